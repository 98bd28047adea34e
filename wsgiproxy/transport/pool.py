"""The pooled transport: connections kept, requests sent, answers begun."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadResponse, ConnectFailed
from wsgiproxy.sansio.fields.authorization import has_login
from wsgiproxy.sansio.h1 import Limits, ResponseReader, request_head
from wsgiproxy.sansio.message import Origin, Request, ResponseHead
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport.base import Timeouts
from wsgiproxy.transport.connect import Dialler
from wsgiproxy.transport.threads.attempt import Attempt, Stale
from wsgiproxy.transport.threads.connection import Connection, Deadline
from wsgiproxy.transport.threads.reply import PooledReply
from wsgiproxy.transport.threads.upload import FramedBody

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import TransportOptions

__all__ = ["PooledTransport"]

_NEVER: frozenset[str] = frozenset()
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
        settled = resolve(PARTS["PooledTransport"], options)
        self._connected = connected
        self.timeouts = Timeouts(
            settled["connect_timeout"], settled["head_timeout"], settled["idle_timeout"]
        )
        self.limits = Limits(settled["max_head"])
        self._keep_alive: float = settled["keep_alive"]
        self._max_idle: int = settled["max_idle"]
        identity = ("verify", "ca_file", "client_cert", "client_key", "parent_proxy", "guard")
        self._dialler = Dialler(**{name: settled[name] for name in identity})
        self._guarded = settled["guard"] is not None
        self._idle: dict[Origin, list[Connection]] = {}
        self._swept = monotonic()
        _transports.add(self)
        # A transport that nobody holds any more, or the end of the program, closes them.
        weakref.finalize(self, _close_all, self._idle)

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        *,
        timeouts: Timeouts | None = None,
        abandoned: Callable[[], bool] | None = None,
        on_interim: Callable[[ResponseHead], None] | None = None,
    ) -> PooledReply:
        """As :meth:`.Transport.send`; one retry on a dead kept connection (RFC 9112, 9.3.1)."""
        if self._guarded:  # a kept connection is asked for anew, too
            self._dialler.check(origin)
        head = request_head(request, self.limits)
        done: Callable[[Connection], None] = self._keep
        # A connection over which a user has logged in is never given to another request.
        if request.login is not False and has_login(request.headers):
            done = Connection.close
        rest: FramedBody | None = None
        again = IDEMPOTENT
        if body is not None:
            # The first block travels with the head, and is read before the upstream is called:
            # a body that does not come costs it nothing.
            rest = FramedBody(body, request)
            head += rest.read()
            # What is still to be read could not be sent a second time.
            again = SAFE if rest.last else _NEVER
        patience = Deadline(timeouts or self.timeouts, abandoned)
        replayable = request.method in again

        kept = self._kept(origin)
        if kept is not None:
            tried = Attempt(kept, ResponseReader(request.method, self.limits), patience, on_interim)
            try:
                return tried.run(request, head, rest, replayable, done)
            except Stale:
                pass  # once more, on a new connection
        wire = self._dial(origin, patience)
        tried = Attempt(wire, ResponseReader(request.method, self.limits), patience, on_interim)
        return tried.run(request, head, rest, False, done)

    def check(self, origin: Origin) -> None:
        """Connect, with the TLS handshake for https, and hang up.

        :raises DestinationForbidden: the guard refuses it.
        :raises ConnectFailed: there is no connection.
        :raises UpstreamTimeout: there was none in time.
        """
        self._dialler.dial(origin, self.timeouts.connect).close()

    def _dial(self, origin: Origin, patience: Deadline) -> Connection:
        wire = self._connect(origin, patience)
        if wire.has_spoken_first():
            wire.close()
            raise BadResponse("the upstream answered before it was asked")
        return wire

    def _connect(self, origin: Origin, patience: Deadline) -> Connection:
        limit = patience.timeouts.connect
        wire = Connection(self._dialler.dial(origin, limit), origin)
        if self._connected is None:
            return wire
        # Twice, since nothing is sent yet, and who is there may just have changed.
        for last in (False, True):
            try:
                self._connected(wire.sock)
                break
            except BaseException as error:
                wire.close()
                if last or not isinstance(error, ConnectFailed):
                    raise
            wire = Connection(self._dialler.dial(origin, limit), origin)
        return wire

    def _kept(self, origin: Origin) -> Connection | None:
        """A kept connection that is still good; the newest, so that old ones may go."""
        idle = self._idle.get(origin)
        while idle:
            try:
                wire = idle.pop()
            except IndexError:  # another thread was faster
                break
            if monotonic() - wire.idle_since < self._keep_alive and wire.is_quiet():
                wire.reused = True
                return wire
            wire.close()
        return None

    def _keep(self, wire: Connection) -> None:
        wire.idle_since = now = monotonic()
        if now - self._swept > self._keep_alive:
            self._swept = now
            self._sweep(now)
        idle = self._idle.get(wire.origin)
        if idle is None:
            if len(self._idle) >= _ORIGINS:
                self.close()
            idle = self._idle.setdefault(wire.origin, [])
        if len(idle) >= self._max_idle:
            wire.close()
            return
        idle.append(wire)
        if self._idle.get(wire.origin) is not idle:
            # Another thread has emptied the pool in between; nobody would find this list.
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


def _close_list(wires: list[Connection]) -> None:
    # Taken out one by one: what another thread has taken first is in use.
    with contextlib.suppress(IndexError):
        while True:
            wires.pop().close()
