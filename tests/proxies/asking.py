"""Calling a proxy as a server does, and as a program does that has no server."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from wsgiref.util import setup_testing_defaults

from tests.support.upstream import RawRequest, RawUpstream
from tests.test_exactproxy import Called

__all__ = ["CLIENTS", "asked", "call", "only", "served"]

#: The clients that have a name.
CLIENTS = ("httplib", "urllib3", "requests")


def asked(path: str = "/", **more: Any) -> dict[str, Any]:
    """The environ of a request that a program makes by itself."""
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_HOST": "public.example"}
    setup_testing_defaults(environ)
    environ["SERVER_PROTOCOL"] = "HTTP/1.1"
    return {**environ, **more}


def served(path: str = "/", **more: Any) -> dict[str, Any]:
    """The environ of a request that has come to a server."""
    return asked(path, **{"REMOTE_ADDR": "203.0.113.9", **more})


def call(app: Any, environ: dict[str, Any] | None = None) -> tuple[int, list[Any], bytes]:
    """Status, headers and body of an answer; the application is closed afterwards, if it can be."""
    environ = asked() if environ is None else environ
    if not hasattr(app, "close"):
        called = Called(app, environ)
        body = called.read()
        return called.status, called.headers, body
    with closing(app):
        called = Called(app, environ)
        body = called.read()
    return called.status, called.headers, body


def only(upstream: RawUpstream) -> RawRequest:
    """The one request that has arrived."""
    (request,) = upstream.requests
    return request
