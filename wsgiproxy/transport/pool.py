"""The pooled transport: connections kept, requests sent, answers begun."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any, Protocol

from wsgiproxy.errors import BadResponse
from wsgiproxy.sansio.h1 import LAST_CHUNK, Limits, Reader, chunk, request_head
from wsgiproxy.sansio.message import Origin, Request, ResponseHead
from wsgiproxy.transport.attempt import Attempt, Stale
from wsgiproxy.transport.dial import Dialler
from wsgiproxy.transport.reply import Reply
from wsgiproxy.transport.wire import Patience, Timeouts, Wire

__all__ = ["PooledTransport", "Transport"]

# RFC 9110, 9.2.2; and never with a body, which we could not send a second time.
_IDEMPOTENT = frozenset(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
# Idle connections of that many upstreams; an exact proxy may meet any number.
_ORIGINS = 256


class Transport(Protocol):
    """Sends one request and begins its answer. Any status is an answer."""

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        *,
        timeouts: Timeouts | None = None,
        abandoned: Callable[[], bool] | None = None,
        on_interim: Callable[[ResponseHead], None] | None = None,
    ) -> Reply:
        """Send *request* to *origin*.

        :param body: blocks of the body, read as they are sent; None for none.
        :param timeouts: other limits for this one request.
        :param abandoned: asked during waits; true when nobody wants the answer any more.
        :param on_interim: told of each 1xx response.
        :raises ProxyError: there is no answer.
        """


class PooledTransport:
    """Keeps connections and sends requests over them; safe across threads and forks.

    :param connect_timeout: seconds for connecting to one address, TLS included.
    :param head_timeout: seconds for the whole head of the answer.
    :param idle_timeout: seconds between two reads or writes.
    :param keep_alive: seconds that an unused connection is kept.
    :param max_idle: connections kept for one upstream.
    :param verify: verify certificates and names of https upstreams.
    :param ca_file: PEM file of the authorities to believe instead of the system's.
    :param client_cert: PEM file with our own certificate and key.
    :param client_key: PEM file of the key, if it is not in ``client_cert``.
    :param parent_proxy: ``http://…`` or ``socks5h://…`` through which to connect.
    :param limits: bounds on heads.
    :raises ConfigurationError: a file or the address of the parent is no good.

    >>> transport = PooledTransport(connect_timeout=1)
    >>> transport.timeouts.connect
    1
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 10.0,
        head_timeout: float = 60.0,
        idle_timeout: float = 60.0,
        keep_alive: float = 50.0,
        max_idle: int = 64,
        verify: bool = True,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        parent_proxy: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.timeouts = Timeouts(connect_timeout, head_timeout, idle_timeout)
        self.limits = limits or Limits()
        self._keep_alive = keep_alive
        self._max_idle = max_idle
        self._dialler = Dialler(
            verify=verify,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            parent_proxy=parent_proxy,
        )
        self._idle: dict[Origin, list[Wire]] = {}
        self._pid = os.getpid()
        # A transport that nobody holds any more, or the end of the program, closes them.
        weakref.finalize(self, _close_all, self._idle)

    @classmethod
    def from_settings(cls, settled: Mapping[str, Any]) -> PooledTransport:
        """From the settled rows of :data:`wsgiproxy.settings.TRANSPORT`."""
        limits = Limits(settled["max_head"], settled["max_fields"], settled["max_line"])
        names = set(cls.__init__.__kwdefaults__ or ()) - {"limits"}
        return cls(limits=limits, **{name: settled[name] for name in names})

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        *,
        timeouts: Timeouts | None = None,
        abandoned: Callable[[], bool] | None = None,
        on_interim: Callable[[ResponseHead], None] | None = None,
    ) -> Reply:
        """As :meth:`Transport.send`; one retry on a dead kept connection (RFC 9112, 9.3.1)."""
        head = request_head(request, self.limits)
        rest: Iterator[bytes] | None = None
        if body is not None:
            # The first block travels with the head, and is read before anybody is called:
            # a body that does not come costs the upstream nothing.
            rest = _framed(iter(body), request.chunked)
            head += next(rest, b"")
        patience = Patience(timeouts or self.timeouts, abandoned)
        replayable = body is None and request.method in _IDEMPOTENT

        kept = self._kept(origin)
        if kept is not None:
            tried = Attempt(kept, Reader(request.method, self.limits), patience, on_interim)
            try:
                return tried.run(head, rest, replayable, self._keep)
            except Stale:
                pass  # once more, on a new connection
        wire = self._dial(origin, patience)
        tried = Attempt(wire, Reader(request.method, self.limits), patience, on_interim)
        return tried.run(head, rest, False, self._keep)

    def check(self, origin: Origin) -> None:
        """Connect, with the TLS handshake for https, and hang up.

        :raises ConnectFailed: there is no connection.
        :raises UpstreamTimeout: there was none in time.
        """
        self._dialler.dial(origin, self.timeouts.connect).close()

    def _dial(self, origin: Origin, patience: Patience) -> Wire:
        wire = Wire(self._dialler.dial(origin, patience.timeouts.connect), origin)
        if wire.has_spoken_first():
            wire.close()
            raise BadResponse("the upstream answered before it was asked")
        return wire

    def _kept(self, origin: Origin) -> Wire | None:
        """A kept connection that is still good; the newest, so that old ones may go."""
        if self._pid != os.getpid():
            # After a fork they belong to the parent; closing ours does not end them.
            self.close()
            self._pid = os.getpid()
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

    def _keep(self, wire: Wire) -> None:
        idle = self._idle.get(wire.origin)
        if idle is None:
            if len(self._idle) >= _ORIGINS:
                self.close()
            idle = self._idle.setdefault(wire.origin, [])
        if len(idle) >= self._max_idle:
            wire.close()
            return
        wire.idle_since = now = monotonic()
        idle.append(wire)
        with contextlib.suppress(IndexError):
            if now - idle[0].idle_since > self._keep_alive:
                idle.pop(0).close()

    def close(self) -> None:
        """Close all kept connections; the transport can still be used."""
        _close_all(self._idle)


def _close_all(idle: dict[Origin, list[Wire]]) -> None:
    with contextlib.suppress(KeyError):
        while True:
            _, wires = idle.popitem()
            for wire in wires:
                wire.close()


def _framed(blocks: Iterator[bytes], chunked: bool) -> Iterator[bytes]:
    if not chunked:
        yield from blocks
        return
    for block in blocks:
        if block:
            yield chunk(block)
    yield LAST_CHUNK
