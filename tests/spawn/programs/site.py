"""WSGI applications to be served by real servers that are spawned.

``site`` answers any path with the environ that it was given, as `tests.support.backend` does;
``/stream`` goes on after a request for ``/go``, and ``/redirect?URL`` leads elsewhere.
``restored`` is the same behind `WSGIProxyMiddleware.from_env`, with the keyword arguments that
are in the variable ``OPTIONS`` as JSON.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tests.support.backend import echo

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["site"]

_go = threading.Event()


def _stream() -> Iterator[bytes]:
    yield b"first\n"
    _go.wait(30)
    yield b"last\n"


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return _stream()
    if path == "/go":
        _go.set()
    if path == "/redirect":
        location = environ["QUERY_STRING"]
        start_response("302 Found", [("Location", location), ("Content-Length", "0")])
        return []
    return echo(environ, start_response)


def __getattr__(name: str) -> WSGIApplication:
    if name != "restored":
        raise AttributeError(name)
    from wsgiproxy.middleware import WSGIProxyMiddleware

    return WSGIProxyMiddleware.from_env(site, **json.loads(os.environ.get("OPTIONS", "{}")))
