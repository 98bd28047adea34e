"""The pooled transport of event loops: connections kept, requests sent, answers begun."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadResponse, UpstreamLost
from wsgiproxy.sansio.fields.authorization import is_bound_to_user
from wsgiproxy.sansio.h1 import (
    BodyWriter,
    Exchange,
    ResponseReader,
    Stale,
    is_replayable,
    request_head,
)
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.settings.described import listing
from wsgiproxy.transport.aio.connection import Connection
from wsgiproxy.transport.aio.dial import Connected, dial
from wsgiproxy.transport.aio.reply import AsyncPooledReply
from wsgiproxy.transport.aio.ticker import Ticker
from wsgiproxy.transport.aio.upload import first
from wsgiproxy.transport.base import AsyncCall
from wsgiproxy.transport.configured import configured
from wsgiproxy.transport.pool import Pool

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import TransportOptions

__all__ = ["AsyncPooledTransport"]

_PLAIN = AsyncCall()


class _Place:
    """What one event loop has of a transport: its connections, and its timer."""

    __slots__ = ("_until_end", "discard", "loop", "pool", "ticker")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Pool[Connection]) -> None:
        self.loop = loop
        self.pool = pool
        self.ticker = Ticker(loop)
        # The loop has the connections; would they have the pool, its end would not be noticed.
        known = weakref.ref(pool)

        def discard(connection: Connection) -> None:
            kept = known()
            if kept is not None:
                kept.discard(connection)

        self.discard = discard
        self._until_end = _closed_at_end(known)
        # Up to its yield; the loop takes note of it then.
        with contextlib.suppress(StopIteration):
            self._until_end.asend(None).send(None)


async def _closed_at_end(known: weakref.ref[Pool[Connection]]) -> AsyncGenerator[None, None]:
    """Close a pool when the event loop ends, which ends all asynchronous generators before.

    An application that is mounted in another one gets no lifespan.
    """
    try:
        yield
    finally:
        pool = known()
        if pool is not None:
            pool.close()


@listing
class AsyncPooledTransport:
    """Keeps connections and sends requests over them, in any number of event loops.

    An event loop never uses a connection of another one, nor a process one of its parent.

    :param connected: shown each new connection before a byte is sent; it raises
        :class:`~wsgiproxy.errors.ConnectFailed` to have another one made, once. What it
        returns, if anything, is awaited.
    :param options: the rows of :data:`wsgiproxy.settings.TRANSPORT`, such as
        ``connect_timeout`` (seconds), ``max_idle`` (connections), ``ca_file`` (a path) or
        ``guard`` (a :class:`~wsgiproxy.guard.Guard`, or true for one that lets public
        addresses pass), for destinations that users choose.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> transport = AsyncPooledTransport(connect_timeout=1)
    >>> transport.timeouts.connect
    1.0
    """

    def __init__(
        self, *, connected: Connected | None = None, **options: Unpack[TransportOptions]
    ) -> None:
        parts = configured("AsyncPooledTransport", options)
        self._connected = connected
        self.timeouts, self.limits, self._dialler, self._guarded, *_ = parts
        self._parts = parts
        self._places: dict[int, _Place] = {}
        _transports.add(self)

    async def send(
        self,
        origin: Origin,
        request: Request,
        body: AsyncIterator[bytes] | None = None,
        call: AsyncCall | None = None,
    ) -> AsyncPooledReply:
        """As :meth:`.AsyncTransport.send`; one retry on a dead kept connection (RFC 9112, 9.3)."""
        if self._guarded:  # a kept connection is asked for anew, too
            self._dialler.check(origin)
        call = call or _PLAIN
        data, writer = request_head(request, self.limits), None
        if call.watch is not None:
            call.watch.send(data)
        if body is not None:
            # The first block travels with the head, and is read before the upstream is called: a
            # body that does not come costs it nothing.
            writer = BodyWriter(request)
            data += await first(writer, body)
        place = self._place()
        kept = place.pool.take(origin)
        while True:
            connection = kept or await self._dial(origin, call, place)
            reply = self._reply(connection, request, data, writer, call, place)
            try:
                # Not in a coroutine of its own: each of them costs a microsecond.
                reply.start(body)
                while not reply.has_begun():
                    await reply.change()
                    if call.on_interim is not None:
                        await reply.pass_interims(call.on_interim)
            except Stale:  # the kept connection was dead: once more, on a new one
                reply.close()
                kept = None
            except BaseException:
                reply.close()
                raise
            else:
                return reply

    async def check(self, origin: Origin) -> None:
        """Connect, with the TLS handshake for https, and hang up.

        :raises DestinationForbidden: the guard refuses it.
        :raises ConnectFailed: there is no connection.
        :raises UpstreamTimeout: there was none in time.
        """
        place = self._place()
        (await dial(self._dialler, origin, self.timeouts.connect, place.discard)).close()

    def _reply(
        self,
        connection: Connection,
        request: Request,
        data: bytes,
        writer: BodyWriter | None,
        call: AsyncCall,
        place: _Place,
    ) -> AsyncPooledReply:
        """What the answer to a request will be on a connection."""
        exchange = Exchange(
            ResponseReader(request.method, self.limits, bool(request.upgrade)),
            data,
            writer,
            call.timeouts or self.timeouts,
            connection.reused,
            is_replayable(request.method, writer),
            not connection.is_tls,
        )
        # A connection over which a user has logged in is never given to another request.
        done = Connection.close if is_bound_to_user(request) else place.pool.keep
        return AsyncPooledReply(connection, exchange, call, done, place.ticker, place.loop)

    async def _dial(self, origin: Origin, call: AsyncCall, place: _Place) -> Connection:
        limit = (call.timeouts or self.timeouts).connect
        connection = await dial(self._dialler, origin, limit, place.discard, self._connected)
        if connection.is_tls and connection.is_dead:
            raise UpstreamLost("the upstream closed the connection before it was asked")
        # TLS has tickets.
        if not connection.is_tls and not connection.is_quiet():
            connection.close()
            raise BadResponse("the upstream answered before it was asked")
        place.pool.made(connection)
        if call.watch is not None:
            call.watch.connect()
        return connection

    def _place(self) -> _Place:
        loop = asyncio.get_running_loop()
        place = self._places.get(id(loop))
        if place is None or place.loop is not loop:
            self._forget_ended()
            pool: Pool[Connection] = Pool(self._parts.keep_alive, self._parts.max_idle)
            self._places[id(loop)] = place = _Place(loop, pool)
        return place

    def _forget_ended(self) -> None:
        for key, place in list(self._places.items()):
            if place.loop.is_closed():
                self._places.pop(key, place).pool.close()  # another thread may be faster

    def close(self) -> None:
        """Close the kept connections of the running event loop, and those of loops that ended.

        The transport can still be used.
        """
        self._forget_ended()
        place = self._places.get(id(asyncio.get_running_loop()))
        if place is not None:
            place.pool.close()

    def close_soon(self) -> None:
        """Close the kept connections of all event loops, from any thread: each loop does it."""
        for place in list(self._places.values()):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                place.loop.call_soon_threadsafe(place.pool.close)

    def _abandon(self) -> None:
        """The connections are those of the parent process, and so is its event loop."""
        places, self._places = self._places, {}
        for place in places.values():
            for connection in place.pool.drain():
                connection.abandon()


# A child process has copies of its parent's connections.
_transports: weakref.WeakSet[AsyncPooledTransport] = weakref.WeakSet()


def _abandon_all() -> None:
    for transport in list(_transports):
        transport._abandon()


os.register_at_fork(after_in_child=_abandon_all)
