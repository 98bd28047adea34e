"""What a client says before it is taken: read on, since only reading tells that it has left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from wsgiproxy.asgi.body import Receive
from wsgiproxy.sansio.message import BLOCK

__all__ = ["LEFT", "ClientEvents"]

#: The event of a client that was lost.
LEFT = {"type": "websocket.disconnect", "code": 1006}
# Bytes that an event takes beside its message.
_EACH = 64


def _size(event: Mapping[str, Any]) -> int:
    return len(event.get("text") or event.get("bytes") or b"") + _EACH


class ClientEvents:
    """The events of a client, read ahead where that is asked for.

    :param receive: of the client.
    :param left: called with the last event as soon as it has been read.
    :ivar is_ahead: some have been read, or are being read.
    """

    def __init__(self, receive: Receive, left: Callable[[Mapping[str, Any]], None]) -> None:
        self._receive = receive
        self._left = left
        self._events: deque[Mapping[str, Any]] = deque()
        self._size = 0
        self._has_last = False
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reads_on = False
        self.is_ahead = False

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken."""
        return len(self._events) - self._has_last

    def look(self) -> None:
        """Read on, up to a block.

        What is beyond that stays with the server, which then reads no more from the client.
        """
        self._reads_on = self.is_ahead = True
        if self._task is None and not self._has_last and self._size < BLOCK:
            self._task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            while self._reads_on and not self._has_last and self._size < BLOCK:
                try:
                    event: Mapping[str, Any] = await self._receive()
                except Exception:  # servers raise what they like
                    event = LEFT
                self._events.append(event)
                self._size += _size(event)
                self._wake()
                if event["type"] == "websocket.disconnect":
                    self._has_last = True
                    self._left(event)
        finally:
            self._task = None
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Mapping[str, Any]:
        """The next event; no more are read ahead but those that are asked for anew."""
        self._reads_on = False
        while not self._events:
            if self._task is None:
                self.look()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        event = self._events.popleft()
        self._size -= _size(event)
        self.is_ahead = bool(self._events) or self._task is not None
        return event

    def reading(self) -> list[asyncio.Task[None]]:
        """What reads, to be cancelled and waited for, if anything does."""
        if self._task is None:
            return []
        return [self._task]
