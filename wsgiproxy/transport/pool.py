"""The pooled transport: connections kept, requests sent, answers begun."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadResponse, ConnectFailed
from wsgiproxy.sansio.fields.authorization import has_login
from wsgiproxy.sansio.h1 import (
    BodyWriter,
    Exchange,
    Limits,
    ResponseReader,
    Stale,
    request_head,
)
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport.base import Call, Timeouts
from wsgiproxy.transport.connect import Dialler
from wsgiproxy.transport.threads.connection import Connection
from wsgiproxy.transport.threads.reply import PooledReply

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import TransportOptions

__all__ = ["PooledTransport"]

_NO_BLOCKS: Iterator[bytes] = iter(())
_PLAIN = Call()
# Idle connections of that many upstreams; an exact proxy may meet any number.
_ORIGINS = 256


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
        values = resolve(PARTS["PooledTransport"], options)
        self._connected = connected
        self.timeouts = Timeouts(
            values["connect_timeout"], values["head_timeout"], values["idle_timeout"]
        )
        self.limits = Limits(values["max_head"])
        self._keep_alive: float = values["keep_alive"]
        self._max_idle: int = values["max_idle"]
        identity = ("verify", "ca_file", "client_cert", "client_key", "parent_proxy", "guard")
        self._dialler = Dialler(**{name: values[name] for name in identity})
        self._guarded = values["guard"] is not None
        self._idle: dict[Origin, list[Connection]] = {}
        self._swept = monotonic()
        _transports.add(self)
        # A transport without references, or the end of the program, closes them.
        weakref.finalize(self, _close_all, self._idle)

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
        replayable = request.method in IDEMPOTENT
        if body is not None:
            # The first block travels with the head, and is read before the upstream is called: a
            # body that does not come costs it nothing.
            writer, blocks = BodyWriter(request), filter(None, body)
            data += writer.first(blocks)
            # What is still to be read could not be sent a second time.
            replayable = writer.complete and request.method in SAFE
        # A connection over which a user has logged in is never given to another request.
        has_user = request.login is not False and has_login(request.headers)
        done = Connection.close if has_user else self._keep

        kept = self._kept(origin)
        while True:
            connection = kept or self._dial(origin, timeouts.connect)
            reader, whole = ResponseReader(request.method, self.limits), not connection.is_tls
            exchange = Exchange(
                reader, data, writer, timeouts, connection.reused, replayable, whole
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

    def _dial(self, origin: Origin, limit: float) -> Connection:
        connection = self._connect(origin, limit)
        if connection.has_spoken_first():
            connection.close()
            raise BadResponse("the upstream answered before it was asked")
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

    def _kept(self, origin: Origin) -> Connection | None:
        """A kept connection that is still good; the newest, so that old ones may go."""
        idle = self._idle.get(origin)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                break
            if monotonic() - connection.idle_since < self._keep_alive and connection.is_quiet():
                connection.reused = True
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = now = monotonic()
        if now - self._swept > self._keep_alive:
            self._swept = now
            self._sweep(now)
        idle = self._idle.get(connection.origin)
        if idle is None:
            if len(self._idle) >= _ORIGINS:
                self.close()
            idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= self._max_idle:
            connection.close()
            return
        idle.append(connection)
        if self._idle.get(connection.origin) is not idle:
            # Another thread has emptied the pool in between; this list would not be found again.
            _close_list(idle)

    def _sweep(self, now: float) -> None:
        """Close what has been idle for too long, of all upstreams; the oldest come first."""
        for idle in list(self._idle.values()):
            with contextlib.suppress(IndexError):
                while now - idle[0].idle_since > self._keep_alive:
                    idle.pop(0).close()

    def close(self) -> None:
        """Close all kept connections; the transport can still be used."""
        _close_all(self._idle)


# After a fork the connections belong to the parent; closing the child's descriptors does not
# end them.
_transports: weakref.WeakSet[PooledTransport] = weakref.WeakSet()


def _forget_all() -> None:
    for transport in list(_transports):
        transport.close()


os.register_at_fork(after_in_child=_forget_all)


def _close_all(idle: dict[Origin, list[Connection]]) -> None:
    with contextlib.suppress(KeyError):
        while True:
            _close_list(idle.popitem()[1])


def _close_list(connections: list[Connection]) -> None:
    # Taken out one by one: what another thread has taken first is in use.
    with contextlib.suppress(IndexError):
        while True:
            connections.pop().close()
