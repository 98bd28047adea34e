"""Several upstreams under ASGI: one request, sent until one of them answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ProxyError
from wsgiproxy.transport.turn import LOWEST_RETRIED, Turn, close, reframed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wsgiproxy.sansio.message import Inbound, Request, ResponseHead
    from wsgiproxy.sansio.pipeline import Outgoing
    from wsgiproxy.transport.base import AsyncReply
    from wsgiproxy.transport.room import Room
    from wsgiproxy.transport.upstreams import Upstream, Upstreams

__all__ = ["exchange"]

Made = Callable[[Any], "Outgoing"]
Framed = Callable[["Request"], "Awaitable[tuple[AsyncIterator[bytes] | None, Request]]"]
Sending = Callable[..., "Awaitable[tuple[ResponseHead, AsyncReply | None]]"]


async def exchange(
    upstreams: Upstreams,
    inbound: Inbound,
    send: Sending,
    made: Made,
    framed: Framed,
    wanted: str = "",
    *,
    is_counted: bool = False,
) -> tuple[ResponseHead, AsyncReply | None]:
    """As :meth:`.ASGIGateway.send`, to one of several upstreams.

    :param send: that method; gets what the policy has made, the request and its body.
    :param made: what a policy makes of the request.
    :param framed: its body, read once, and the request with its final framing.
    :param wanted: the address of the upstream that a hook has chosen.
    :param is_counted: as for :class:`.Turn`.
    """
    if not upstreams.is_settled and not upstreams.is_ready():
        await asyncio.get_running_loop().run_in_executor(None, upstreams.look_up)
    turn = Turn(upstreams, inbound, wanted, is_counted=is_counted)
    try:
        upstream = turn.choose() or await _wait_for_room(turn, upstreams)
        return await _answered(turn, upstream, send, made, framed)
    except BaseException:
        turn.end()
        raise


async def _answered(
    turn: Turn, upstream: Upstream, send: Sending, made: Made, framed: Framed
) -> tuple[ResponseHead, AsyncReply | None]:
    """The first answer that is one for the client."""
    going = upstream.going(made)
    blocks, request = await framed(going.request)
    body = None if blocks is None else turn.kept(blocks)
    while True:
        try:
            head, reply = await send(going, request, body)
        except ProxyError as error:
            other = turn.choose() if turn.failed(error, body) else None
            if other is None:
                raise
        else:
            other = turn.after(head, body) if head.status >= LOWEST_RETRIED else None
            if other is None:
                return turn.answered(head, reply)
            close(reply)
        going = other.going(made)
        request = reframed(going.request, request)


async def _wait_for_room(turn: Turn, upstreams: Upstreams) -> Upstream:
    event = asyncio.Event()
    room = upstreams.room
    limit = monotonic() + turn.begin_waiting()
    # A thread or another event loop may be the one that makes room.
    place = room.queue(partial(_wake, asyncio.get_running_loop(), event, room))
    try:
        while (found := turn.choose()) is None:
            room.let_one_in(behind=place)
            try:
                await asyncio.wait_for(event.wait(), max(limit - monotonic(), 0))
            except (asyncio.TimeoutError, TimeoutError):
                raise turn.no_room() from None
            event.clear()
            room.listen(place)
        return found
    finally:
        room.unqueue(place)


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event, room: Room) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:  # the loop has ended, and so has the request
        room.let_one_in()
