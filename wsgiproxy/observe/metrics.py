"""Figures for Prometheus: exchanges, connections, tunnels, commands and the health of upstreams.

It makes no figure of what a client can choose: a path, a Host, a method that is not registered.
The extra ``metrics`` installs the library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.accesslog import ROUTE, Record, count_with
from wsgiproxy.observe.watched import UPSTREAMS
from wsgiproxy.sansio.extras import extra
from wsgiproxy.sansio.message import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from prometheus_client import CollectorRegistry

    from wsgiproxy.observe.looked_at import LookedAt

    _Scope = MutableMapping[str, Any]
    _Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    _Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["asgi_metrics_app", "measure", "metrics_app", "watch_upstreams"]

#: Upper bounds of durations in seconds: an answer of a near upstream takes a millisecond, and that
#: of a language model a minute.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# RFC 9110, 9.3 and RFC 5789; a client can write any other token.
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])
# An upstream can answer with any three digits.
_STATUSES = frozenset(map(int, HTTPStatus))
# More upstreams than a configuration has; what ``href`` is reassigned to may be any number.
_UPSTREAMS = 1000
# Bound sets of labels: a full table begins anew, and the figures stay.
_BOUND = 10_000
# Seconds between two looks, where another process is asked for the figures of this one.
_INTERVAL = 1.0

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

_Key = tuple[str, "Origin | None", str, int]


class _Bound(NamedTuple):
    """What counts an exchange with certain labels."""

    end: Callable[[], None]
    observe: Callable[[float], None] | None
    send: Callable[[float], None]
    reuse: Callable[[], None]


def check_library(what: str = "metrics") -> Any:
    """The library.

    :param what: needs it.
    :raises ConfigurationError: it is not installed.
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise ConfigurationError(
            f"{what}: the package prometheus-client is not installed; try: {extra('metrics')}"
        ) from error
    return prometheus_client


class _Exchanges:
    """Figures of exchanges, made of their records; safe across threads.

    :param registry: holds them.
    :param looked_at: figures of what is looked at.
    """

    def __init__(self, registry: CollectorRegistry, looked_at: LookedAt) -> None:
        library = check_library()
        self.registry = registry
        self.looked_at = looked_at
        where, which = {"registry": registry}, ("route", "upstream")
        self._requests = library.Counter(
            "wsgiproxy_requests", "Exchanges that have ended", (*which, "method", "status"), **where
        )
        self._seconds = library.Histogram(
            "wsgiproxy_request_duration_seconds",
            "Seconds until the end of the answer, of all but WebSockets and tunnels",
            which,
            buckets=BUCKETS,
            **where,
        )
        self._bytes = library.Counter(
            "wsgiproxy_response_bytes", "Bytes of bodies for clients", which, **where
        )
        self._reused = library.Counter(
            "wsgiproxy_pool_reused", "Exchanges on a connection that had served", which, **where
        )
        in_flight = library.Gauge(
            "wsgiproxy_requests_in_flight",
            "Exchanges that have begun and not ended, WebSockets and tunnels among them",
            multiprocess_mode="livesum",
            **where,
        )
        self.begin: Callable[[], None] = in_flight.inc
        self.discard: Callable[[], None] = in_flight.dec
        self._table: dict[_Key, _Bound] = {}
        # Where a worker answers for all, the others have to look by themselves.
        self._looks = _MULTIPROCESS in os.environ
        self._next = 0.0

    @property
    def all(self) -> Iterable[Any]:
        """Those that a registry knows."""
        return (self._requests, self._seconds, self._bytes, self._reused, self.discard.__self__)  # type: ignore[attr-defined]

    def end(
        self, record: Record, request: Mapping[str, Any], status: int, seconds: float, sent: int
    ) -> None:
        """As of :class:`~wsgiproxy.observe.accesslog.Meter`."""
        self.discard()
        origin = record.origin if record.has_own_upstream else None
        method = request.get("REQUEST_METHOD") or request.get("method") or "GET"
        key = (request.get(ROUTE, ""), origin, method, status)
        bound = self._table.get(key) or self._bind(key)
        bound.end()
        if bound.observe is not None:
            bound.observe(seconds)
        if sent:
            bound.send(sent)
        if record.reused:
            bound.reuse()
        if self._looks and (now := monotonic()) >= self._next:
            self._next = now + _INTERVAL
            self.looked_at.look()

    def _bind(self, key: _Key) -> _Bound:
        """What counts the exchanges of *key*; remembered if no client can have made it up."""
        route, origin, method, status = key
        # A prefix may be no UTF-8, which the text for Prometheus is.
        place = route.encode("utf-8", "replace").decode(), self.upstream(origin)
        known = method if method in _METHODS else "other"
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
                self._table = {}
            self._table[key] = bound
        return bound

    def upstream(self, origin: Origin | None) -> str:
        """The label of an upstream; empty for none of the configuration."""
        if origin is None:
            return ""
        known = self.looked_at.known
        if origin not in known and len(known) >= _UPSTREAMS:
            return "other"
        return known.setdefault(origin, origin.label)


_exchanges: _Exchanges | None = None


def measure(registry: CollectorRegistry | None = None) -> None:
    """Make figures of every exchange of this process, WSGI and ASGI alike, from now on.

    A second call changes nothing. Where ``PROMETHEUS_MULTIPROC_DIR`` is set, the figures of all
    processes with that folder are one, as prometheus_client has it.

    :param registry: holds the figures; that of the library, ``prometheus_client.REGISTRY``, if
        not given.
    :raises ConfigurationError: the library is missing, the folder is none, or the figures are in
        another registry already.

    >>> from prometheus_client import generate_latest
    >>> measure()
    >>> b"wsgiproxy_requests_in_flight" in generate_latest()
    True
    """
    _started(registry)


def _started(registry: CollectorRegistry | None = None) -> _Exchanges:
    global _exchanges
    library = check_library()
    if registry is None:
        registry = library.REGISTRY if _exchanges is None else _exchanges.registry
    if _exchanges is None:
        from wsgiproxy.observe.looked_at import LookedAt

        folder = os.environ.get(_MULTIPROCESS)
        if folder is not None and not os.path.isdir(folder):
            raise ConfigurationError(f"{_MULTIPROCESS}={folder!r}: expected a folder that exists")
        _exchanges = _Exchanges(registry, LookedAt(registry))
        count_with(_exchanges)
    elif _exchanges.registry is not registry:
        raise ConfigurationError(
            f"registry={registry!r}: expected the one that holds the figures of this process"
            " already"
        )
    return _exchanges


def stop() -> None:
    """Make no figures any more, and take them out of their registry: for tests."""
    global _exchanges
    exchanges, _exchanges = _exchanges, None
    count_with(None)
    if exchanges is not None:
        for each in (*exchanges.all, *exchanges.looked_at.all):
            exchanges.registry.unregister(each)


def watch_upstreams(upstreams: Any) -> None:
    """Show the health of a set of upstreams, for as long as something else keeps it.

    :param upstreams: has ``members``, an iterable of objects with a ``key`` (an
        :class:`~wsgiproxy.sansio.message.Origin`, or what :class:`str` makes a name of), a
        ``state`` (a text or a member of an ``enum.Enum``) and ``in_flight`` (a number). They
        are read when figures are asked for, in the thread that asks.

    >>> from types import SimpleNamespace
    >>> class Upstreams:
    ...     members = [SimpleNamespace(key="http://10.0.0.1", state="up", in_flight=2)]
    >>> upstreams = Upstreams()
    >>> watch_upstreams(upstreams)
    """
    UPSTREAMS.add(upstreams)


def metrics_app(registry: CollectorRegistry | None = None) -> WSGIApplication:
    """A WSGI application that shows the figures to Prometheus, at every path; to be mounted.

    It is for those who may see the names of routes and upstreams: keep it from the public.

    :param registry: as of :func:`measure`, which is called as well.
    :raises ConfigurationError: as :func:`measure`.

    >>> from webob import Request
    >>> answer = Request.blank("/metrics").get_response(metrics_app())
    >>> answer.status, "wsgiproxy_requests_in_flight" in answer.text
    ('200 OK', True)
    """
    exchanges = _started(registry)
    show = check_library().make_wsgi_app(_shown(exchanges))

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchanges.looked_at.look()
        blocks: Iterable[bytes] = show(environ, start_response)
        return blocks

    return serve


def asgi_metrics_app(
    registry: CollectorRegistry | None = None,
) -> Callable[[_Scope, _Receive, _Send], Awaitable[None]]:
    """The same as an ASGI application for requests; it is mounted, and serves no lifespan.

    :param registry: as of :func:`measure`, which is called as well.
    :raises ConfigurationError: as :func:`measure`.

    >>> import asyncio
    >>> sent = []
    >>> async def receive(): return {"type": "http.request"}
    >>> async def send(message): sent.append(message)
    >>> scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    >>> asyncio.run(asgi_metrics_app()(scope, receive, send))
    >>> sent[0]["status"]
    200
    """
    exchanges = _started(registry)
    show = check_library().make_asgi_app(_shown(exchanges))

    async def serve(scope: _Scope, receive: _Receive, send: _Send) -> None:
        exchanges.looked_at.look()
        await show(scope, receive, send)

    return serve


def _shown(exchanges: _Exchanges) -> CollectorRegistry:
    """The registry to show: one of all processes, where there are several."""
    if _MULTIPROCESS not in os.environ:
        return exchanges.registry
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
