"""What a client has said before it closed in order, on its way to a slow upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiproxy.asgi.client_events import ClientEvents
    from wsgiproxy.asgi.frames import UpstreamEnd

__all__ = ["LAST_WAIT", "delivered"]

#: Seconds for what has begun when an end has come: a hook with its last messages, a message to a
#: client that reads slowly. With the closing handshake of the upstream, less than a second.
LAST_WAIT = 0.4
# Seconds without a byte after which an upstream takes no more, and seconds for all of it.
_STEP, _ALL = 5.0, 30.0
# Seconds between two looks.
_LOOK = 0.02


async def delivered(
    up: asyncio.Task[None],
    events: ClientEvents,
    upstream: UpstreamEnd,
    is_urgent: Callable[[], bool],
) -> None:
    """Wait for the messages that are left, as long as the upstream takes of them.

    :param up: what sends them; its hook is cancelled if it goes on when all are taken.
    :param is_urgent: whether there is no time for this.
    """
    now = asyncio.get_running_loop().time
    began = step = taken = now()
    waiting, unsent = events.waiting, upstream.unsent
    while not (upstream.is_over or is_urgent() or now() - began > _ALL):
        if up.done() and not upstream.unsent:
            return
        await asyncio.wait([up], timeout=_LOOK) if not up.done() else await asyncio.sleep(_LOOK)
        left = events.waiting, upstream.unsent
        if left[0] < waiting or left[1] < unsent:
            step = now()
        if left[0]:
            taken = now()
        waiting, unsent = left
        if now() - step > (_STEP if unsent else LAST_WAIT):
            return
        if now() - taken > LAST_WAIT:
            up.cancel()
