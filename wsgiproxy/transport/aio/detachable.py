"""What a reply does with a connection that has gone over to another protocol (RFC 9110, 7.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.h1 import Exchange
from wsgiproxy.sansio.websocket import SWITCHING
from wsgiproxy.transport.aio.connection import Connection, Receiver
from wsgiproxy.transport.aio.upload import wake

__all__ = ["Detachable"]


class Detachable:
    """The part of a reply that hands its connection over, with its end if that has come already."""

    __slots__ = (
        "_connection",
        "_error",
        "_exchange",
        "_is_held",
        "_loop",
        "_tell_end",
        "_waiter",
    )

    _connection: Connection | None
    _error: BaseException | None
    _exchange: Exchange
    _is_held: bool
    _loop: asyncio.AbstractEventLoop
    _waiter: asyncio.Future[None] | None
    # Tells the receiver of a connection that has switched that it has ended already.
    _tell_end: Callable[[Receiver], None] | None

    def _taken(self) -> bytes:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    @property
    def _has_switched(self) -> bool:
        head = self._exchange.head
        return head is not None and head.status == SWITCHING

    def _keep_end(self, tell: Callable[[Receiver], None]) -> None:
        """Leave the end of a connection that has switched to the receiver that takes it."""
        self._tell_end = self._tell_end or tell
        wake(self._waiter)

    def detach(self, receiver: Receiver) -> tuple[Connection, bytes]:
        """The connection of a 101, which is the caller's to close, and what has come behind it.

        :param receiver: takes what happens from now on.
        :raises ProxyError: the connection is lost already.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            raise self._error or UpstreamLost("the connection has ended at once")
        self._end()
        connection.receiver = receiver
        if self._tell_end is not None:
            self._loop.call_soon(self._tell_end, receiver)
        elif self._is_held:
            connection.transport.resume_reading()
        return connection, self._taken()
