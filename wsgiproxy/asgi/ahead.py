"""Reading ``receive`` before its messages are needed, for a request that has to wait."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from wsgiproxy.asgi.body import Message, Receive
from wsgiproxy.errors import ClientGone
from wsgiproxy.sansio.message import BLOCK

__all__ = ["ReadAhead"]


class ReadAhead:
    """``receive`` of a request that waits; it keeps what it reads meanwhile, in order.

    Only ``receive`` tells that the client has left. Of a large body about one block is kept, and
    the rest left where it is: whether its client has left is then seen when it is read on.

    :param receive: as the ASGI specification describes it.
    :param reads: read ahead; a client that waits for ``100 Continue`` would send its body now.
    """

    def __init__(self, receive: Receive, *, reads: bool = True) -> None:
        self._receive = receive
        self._kept: list[Message] = []
        self._room = BLOCK if reads else 0
        self._reading: asyncio.Future[Message] | None = None

    async def wait(self, changed: asyncio.Future[None], seconds: float) -> None:
        """Wait until *changed* is done, for so many seconds at most.

        :raises ClientGone: the client has left.
        """
        deadline = monotonic() + seconds
        while not changed.done() and (left := deadline - monotonic()) > 0:
            waits: set[asyncio.Future[Any]] = {changed, *self._read_on()}
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            self._keep()

    def _read_on(self) -> list[asyncio.Future[Message]]:
        if self._reading is None and self._room > 0:
            self._reading = asyncio.ensure_future(self._receive())
        return [each for each in (self._reading,) if each is not None and not each.done()]

    def _keep(self) -> None:
        reading = self._reading
        if reading is None or not reading.done():
            return
        if reading.cancelled() or reading.exception() is not None:
            return  # raised when it is asked for
        self._reading = None
        message = reading.result()
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            raise ClientGone("the client left while the process was starting")
        self._kept.append(message)
        self._room -= len(message.get("body") or b"") + 1

    async def __call__(self) -> Message:
        """The next message."""
        if self._kept:
            return self._kept.pop(0)
        reading, self._reading = self._reading, None
        return await (self._receive() if reading is None else reading)

    def close(self) -> None:
        """Leave nothing that reads."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            reading.add_done_callback(_forgive)


def _forgive(reading: asyncio.Future[Message]) -> None:
    if not reading.cancelled():
        reading.exception()
