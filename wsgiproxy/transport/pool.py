"""Idle connections, by where they lead to: what both transports keep, and for how long."""

from __future__ import annotations

import contextlib
import weakref
from time import monotonic
from typing import Generic, Protocol, TypeVar

from wsgiproxy.observe.watched import POOLS, Watched
from wsgiproxy.sansio.message import Origin

__all__ = ["Pool"]

# Idle connections of that many upstreams; an exact proxy may meet any number.
_ORIGINS = 256


class _Connection(Protocol):
    origin: Origin
    idle_since: float
    reused: bool

    @property
    def is_open(self) -> bool: ...

    def is_quiet(self) -> bool: ...

    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Connection)


class Pool(Generic[_C]):
    """Idle connections, the newest of an upstream first, so that old ones may go.

    Safe across threads.

    :param keep_alive: seconds for which a connection may be idle.
    :param max_idle: idle connections to one upstream.
    """

    __slots__ = ("__weakref__", "_idle", "_keep_alive", "_made", "_max_idle", "_swept")

    def __init__(self, keep_alive: float, max_idle: int) -> None:
        self._keep_alive = keep_alive
        self._max_idle = max_idle
        self._idle: dict[Origin, list[_C]] = {}
        self._swept = monotonic()
        self._made: Watched[_C] = Watched()
        POOLS.add(self)
        # A pool without references, or the end of the program, closes them.
        weakref.finalize(self, _close_all, self._idle)

    def take(self, origin: Origin) -> _C | None:
        """The newest connection that is still good; None if there is none."""
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

    def keep(self, connection: _C) -> None:
        """Keep a connection that may serve another request."""
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

    def made(self, connection: _C) -> None:
        """Count a new connection as open, for as long as it is."""
        self._made.add(connection)

    def counts(self) -> dict[Origin, tuple[int, int]]:
        """How many connections to each upstream are open, and how many of these are idle."""
        found = {origin: (0, len(idle)) for origin, idle in self._idle.copy().items() if idle}
        for connection in self._made:
            if connection.is_open:
                count, idle = found.get(connection.origin, (0, 0))
                found[connection.origin] = count + 1, idle
        return {origin: (max(count, idle), idle) for origin, (count, idle) in found.items()}

    def discard(self, connection: _C) -> None:
        """Forget a connection that has ended while it was idle."""
        with contextlib.suppress(KeyError, ValueError):
            self._idle[connection.origin].remove(connection)

    def _sweep(self, now: float) -> None:
        """Close what has been idle for too long, of all upstreams; the oldest come first."""
        for idle in list(self._idle.values()):
            with contextlib.suppress(IndexError):
                while now - idle[0].idle_since > self._keep_alive:
                    idle.pop(0).close()

    def drain(self) -> list[_C]:
        """Take out all, for what is done with them instead."""
        found = []
        self._made.clear()
        with contextlib.suppress(KeyError):
            while True:
                found += self._idle.popitem()[1]
        return found

    def close(self) -> None:
        """Close all; the pool can still be used."""
        _close_all(self._idle)


def _close_all(idle: dict[Origin, list[_C]]) -> None:
    with contextlib.suppress(KeyError):
        while True:
            _close_list(idle.popitem()[1])


def _close_list(connections: list[_C]) -> None:
    # Taken out one by one: what another thread has taken first is in use.
    with contextlib.suppress(IndexError):
        while True:
            connections.pop().close()
