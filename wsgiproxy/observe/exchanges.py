"""Figures of exchanges, made of their records.

The end of an exchange only takes down what was; it is added up later, many at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wsgiproxy.observe.accesslog import ROUTE, Record
from wsgiproxy.observe.looked_at import LookedAt
from wsgiproxy.observe.warn import Seldom
from wsgiproxy.sansio.message import Origin

__all__ = ["BUCKETS", "METHODS", "MULTIPROCESS", "Exchanges"]

#: The folder that several processes share, as the library has it.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
#: Upper bounds of durations in seconds: an answer of a near upstream takes a millisecond, and that
#: of a language model a minute.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: RFC 9110, 9.3 and RFC 5789; a client can write any other token.
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])

# An upstream can answer with any three digits.
_STATUSES = frozenset(map(int, HTTPStatus))
# More upstreams than a configuration has; what ``href`` is reassigned to may be any number.
_UPSTREAMS = 1000
# Bound sets of labels: a full table begins anew, and the figures stay.
_BOUND = 10_000
# Exchanges that are added up together, in some tenths of a millisecond.
_WAITING = 100
# Seconds between two looks, where another process may be asked for the figures of this one.
_INTERVAL = 1.0

_Key = tuple[str, "Origin | None", str, int]
# The key, seconds, bytes for the client, and whether the connection had served before.
_Ended = tuple[_Key, float, int, bool]


class _Bound(NamedTuple):
    """What counts exchanges with certain labels."""

    end: Callable[[float], None]
    observe: Callable[[float], None] | None
    send: Callable[[float], None]
    reuse: Callable[[float], None]


class Exchanges:
    """What records are counted with; see :class:`~wsgiproxy.observe.accesslog.Meter`.

    Safe across threads and forks. No lock is waited for at the end of an exchange, which may come
    at any point of another one, when an answer is garbage.

    :param registry: holds the figures.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.looked_at = LookedAt(registry, self.add_up)
        which = ("route", "upstream")

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"wsgiproxy_{name}", about, labels, registry=registry)

        self._requests = counter(
            "requests", "Exchanges that have ended", *which, "method", "status"
        )
        self._bytes = counter("response_bytes", "Bytes of bodies for clients", *which)
        self._reused = counter("pool_reused", "Exchanges on a connection that had served", *which)
        self._seconds = Histogram(
            "wsgiproxy_request_duration_seconds",
            "Seconds until the end of the answer, of all but WebSockets and tunnels",
            which,
            buckets=BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "wsgiproxy_requests_in_flight",
            "Exchanges that have begun and not ended, WebSockets and tunnels among them",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._table: dict[_Key, _Bound] = {}
        self._failures = Seldom(logging.getLogger("wsgiproxy.error"))
        self._is_over = threading.Event()
        self.begin_anew()
        _all.add(self)

    def begin_anew(self) -> None:
        """Forget what another process has begun, whose copy this one is."""
        self._open: list[None] = []  # adding and removing are one step each for the interpreter
        self._waiting: deque[_Ended] = deque()
        self._lock = threading.Lock()
        self.looked_at.begin_anew()
        # Where a worker answers for all, each has to write down its figures by itself.
        self._has_to_start = MULTIPROCESS in os.environ

    @property
    def all(self) -> Iterable[Any]:
        """Those that a registry knows."""
        return (self._requests, self._seconds, self._bytes, self._reused, self._in_flight)

    def begin(self) -> None:
        """As of :class:`~wsgiproxy.observe.accesslog.Meter`."""
        self._open.append(None)
        if self._has_to_start:
            self._start()
        # Not at the end of one, which a collection of garbage may be, in a thread that holds a lock
        # of the library.
        if len(self._waiting) > _WAITING and self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def discard(self) -> None:
        """As of :class:`~wsgiproxy.observe.accesslog.Meter`."""
        with contextlib.suppress(IndexError):  # it was begun in the parent process
            self._open.pop()

    def end(
        self, record: Record, request: Mapping[str, Any], status: int, seconds: float, sent: int
    ) -> None:
        """As of :class:`~wsgiproxy.observe.accesslog.Meter`."""
        get = request.get
        method = get("REQUEST_METHOD") or get("method") or "GET"
        origin = record.origin if record.has_own_upstream else None
        key = get(ROUTE, ""), origin, method, status
        self._waiting.append((key, seconds, sent, record.reused))
        self.discard()

    def _start(self) -> None:
        """Start the thread of this process, in which figures are written down."""
        with self._lock:
            has_to_start, self._has_to_start = self._has_to_start, False
        if has_to_start:
            threading.Thread(target=self._write_down, name="metrics", daemon=True).start()
            atexit.register(self.stop)

    def _write_down(self) -> None:
        while not self._is_over.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        try:
            self.looked_at.look()
        except OSError as error:  # the folder is full, or has gone
            self._failures.warn(f"figures cannot be written: {error}")

    def stop(self) -> None:
        """Write down what is left, and end the thread."""
        self._is_over.set()
        atexit.unregister(self.stop)
        self._look()

    def add_up(self) -> None:
        """Add up all that waits, and wait for another thread that does it."""
        with self._lock:
            self._add_up()

    def _add_up(self) -> None:
        waiting = self._waiting
        # Those that are alike are counted in one step, which takes a lock.
        alike: dict[_Key, list[_Ended]] = {}
        for _ in range(len(waiting)):
            ended = waiting.popleft()
            alike.setdefault(ended[0], []).append(ended)
        for key, found in alike.items():
            end, observe, send, reuse = self._table.get(key) or self._bind(key)
            end(len(found))
            send(sum([sent for _, _, sent, _ in found]))
            reuse(sum([is_reused for _, _, _, is_reused in found]))
            if observe is not None:
                for _, seconds, _, _ in found:
                    observe(seconds)
        self._in_flight.set(len(self._open))

    def _bind(self, key: _Key) -> _Bound:
        """What counts the exchanges of *key*; remembered if no client can have made it up."""
        route, origin, method, status = key
        # A prefix may be no UTF-8, which the text for Prometheus is.
        place = route.encode("utf-8", "replace").decode(), self._upstream(origin)
        known = method if method in METHODS else "other"
        number = str(status) if status in _STATUSES else f"{status // 100}xx"
        is_tunnel = status == HTTPStatus.SWITCHING_PROTOCOLS or method == "CONNECT"
        bound = _Bound(
            self._requests.labels(*place, known, number).inc,
            None if is_tunnel else self._seconds.labels(*place).observe,
            self._bytes.labels(*place).inc,
            self._reused.labels(*place).inc,
        )
        if known == method:
            if len(self._table) >= _BOUND:
                self._table.clear()
            self._table[key] = bound
        return bound

    def _upstream(self, origin: Origin | None) -> str:
        """The label of an upstream; empty for none of the configuration."""
        if origin is None:
            return ""
        known = self.looked_at.known
        if origin not in known and len(known) >= _UPSTREAMS:
            return "other"
        return known.setdefault(origin, origin.label)


# A child process counts nothing of its parent's once more.
_all: weakref.WeakSet[Exchanges] = weakref.WeakSet()


def _begin_anew() -> None:
    for each in list(_all):
        each.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
