"""The pooled transport of threads: connections kept, requests sent, answers begun."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadResponse, ConnectFailed
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
from wsgiproxy.transport.base import Call
from wsgiproxy.transport.configured import configured
from wsgiproxy.transport.pool import Pool
from wsgiproxy.transport.threads.connection import Connection
from wsgiproxy.transport.threads.reply import PooledReply

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import TransportOptions

__all__ = ["PooledTransport"]

_NO_BLOCKS: Iterator[bytes] = iter(())
_PLAIN = Call()


@listing
class PooledTransport:
    """Keeps connections and sends requests over them; safe across threads and forks.

    :param connected: shown each new connection before a byte is sent; it raises
        :class:`~wsgiproxy.errors.ConnectFailed` to have another one made, once.
    :param options: the rows of :data:`wsgiproxy.settings.TRANSPORT`, such as
        ``connect_timeout`` (seconds), ``max_idle`` (connections), ``ca_file`` (a path) or
        ``guard`` (a :class:`~wsgiproxy.guard.Guard`, or true for one that lets public
        addresses pass), for destinations that users choose.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> transport = PooledTransport(connect_timeout=1)
    >>> transport.timeouts.connect
    1.0
    """

    def __init__(
        self,
        *,
        connected: Callable[[socket.socket], None] | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        parts = configured("PooledTransport", options)
        self._connected = connected
        self.timeouts, self.limits, self._dialler, self._guarded, *_ = parts
        self._pool: Pool[Connection] = Pool(parts.keep_alive, parts.max_idle)
        _transports.add(self)

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        call: Call | None = None,
    ) -> PooledReply:
        """As :meth:`.Transport.send`; one retry on a dead kept connection (RFC 9112, 9.3.1)."""
        if self._guarded:  # a kept connection is asked for anew, too
            self._dialler.check(origin)
        call = call or _PLAIN
        timeouts = call.timeouts or self.timeouts
        data, writer, blocks = request_head(request, self.limits), None, _NO_BLOCKS
        if call.watch is not None:
            call.watch.send(data)
        if body is not None:
            # The first block travels with the head, and is read before the upstream is called: a
            # body that does not come costs it nothing.
            writer, blocks = BodyWriter(request), filter(None, body)
            data += writer.first(blocks)
        replayable = is_replayable(request.method, writer)
        # A connection over which a user has logged in is never given to another request.
        done = Connection.close if is_bound_to_user(request) else self._pool.keep

        kept = self._pool.take(origin)
        while True:
            connection = kept or self._dial(origin, timeouts.connect, call)
            reader = ResponseReader(request.method, self.limits, bool(request.upgrade))
            exchange = Exchange(
                reader, data, writer, timeouts, connection.reused, replayable, not connection.is_tls
            )
            reply = PooledReply(connection, exchange, blocks, call, done)
            try:
                return reply.begin(request)
            except Stale:  # the kept connection was dead: once more, on a new one
                kept = None

    def check(self, origin: Origin) -> None:
        """Connect, with the TLS handshake for https, and hang up.

        :raises DestinationForbidden: the guard refuses it.
        :raises ConnectFailed: there is no connection.
        :raises UpstreamTimeout: there was none in time.
        """
        self._dialler.dial(origin, self.timeouts.connect).close()

    def _dial(self, origin: Origin, limit: float, call: Call) -> Connection:
        connection = self._connect(origin, limit)
        if connection.has_spoken_first():
            connection.close()
            raise BadResponse("the upstream answered before it was asked")
        self._pool.made(connection)
        if call.watch is not None:
            call.watch.connect()
        return connection

    def _connect(self, origin: Origin, limit: float) -> Connection:
        connection = Connection(self._dialler.dial(origin, limit), origin)
        if self._connected is None:
            return connection
        # Twice, since nothing is sent yet, and who is there may just have changed.
        for last in (False, True):
            try:
                self._connected(connection.sock)
                break
            except BaseException as error:
                connection.close()
                if last or not isinstance(error, ConnectFailed):
                    raise
            connection = Connection(self._dialler.dial(origin, limit), origin)
        return connection

    def close(self) -> None:
        """Close all kept connections; the transport can still be used."""
        self._pool.close()


# After a fork the connections belong to the parent; closing the child's descriptors does not
# end them.
_transports: weakref.WeakSet[PooledTransport] = weakref.WeakSet()


def _forget_all() -> None:
    for transport in list(_transports):
        for connection in transport._pool.drain():
            connection.close()


os.register_at_fork(after_in_child=_forget_all)
