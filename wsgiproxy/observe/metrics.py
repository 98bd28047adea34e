"""Figures for Prometheus: exchanges, connections, tunnels, commands and the health of upstreams.

It makes no figure of what a client can choose: a path, a Host, a method that is not registered.
The extra ``metrics`` installs the library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.accesslog import count_with
from wsgiproxy.observe.watched import UPSTREAMS
from wsgiproxy.sansio.extras import extra

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from prometheus_client import CollectorRegistry

    from wsgiproxy.observe.exchanges import Exchanges

    _Scope = MutableMapping[str, Any]
    _Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    _Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["asgi_metrics_app", "measure", "metrics_app", "watch_upstreams"]


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


_exchanges: Exchanges | None = None


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


def _started(registry: CollectorRegistry | None = None) -> Exchanges:
    global _exchanges
    library = check_library()
    if registry is None:
        registry = library.REGISTRY if _exchanges is None else _exchanges.registry
    if _exchanges is None:
        from wsgiproxy.observe.exchanges import MULTIPROCESS, Exchanges

        folder = os.environ.get(MULTIPROCESS)
        if folder is not None and not os.path.isdir(folder):
            raise ConfigurationError(f"{MULTIPROCESS}={folder!r}: expected a folder that exists")
        _exchanges = Exchanges(registry)
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
        exchanges.stop()
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


def _shown(exchanges: Exchanges) -> CollectorRegistry:
    """The registry to show: one of all processes, where there are several."""
    from prometheus_client import CollectorRegistry

    from wsgiproxy.observe.exchanges import MULTIPROCESS

    if MULTIPROCESS not in os.environ:
        return exchanges.registry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
