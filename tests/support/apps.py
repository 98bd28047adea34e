"""Applications for the front servers, made from the environment when they are asked for.

``reverse``, ``mounted``, ``exact`` and ``environ_dump``; ``UPSTREAM`` is the href and
``OPTIONS`` the keyword arguments of `WSGIProxyApp` as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["MOUNT", "shifted"]

MOUNT = "/mount"


def _reverse() -> WSGIApplication:
    from wsgiproxy.app import WSGIProxyApp

    return WSGIProxyApp(os.environ["UPSTREAM"], **json.loads(os.environ.get("OPTIONS", "{}")))


def shifted(app: WSGIApplication, mount: str = MOUNT) -> WSGIApplication:
    """*app* below *mount*, as a dispatcher does it: the raw target stays as it was."""

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path != mount and not path.startswith(f"{mount}/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not below the mount"]
        script_name = environ.get("SCRIPT_NAME", "") + mount
        below = {**environ, "SCRIPT_NAME": script_name, "PATH_INFO": path[len(mount) :]}
        return app(below, start_response)

    return dispatch


def _mounted() -> WSGIApplication:
    return shifted(_reverse())


def _exact() -> WSGIApplication:
    from wsgiproxy.exactproxy import proxy_exact_request

    address = urlsplit(os.environ["UPSTREAM"])

    def addressed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        where = {"SERVER_NAME": address.hostname, "SERVER_PORT": str(address.port)}
        return proxy_exact_request({**environ, **where}, start_response)

    return addressed


def _itself() -> WSGIApplication:
    """The exact proxy directly under its own server: it asks itself."""
    from wsgiproxy.exactproxy import proxy_exact_request

    def asked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Some servers call themselves by a name that does not resolve.
        return proxy_exact_request({**environ, "SERVER_NAME": "127.0.0.1"}, start_response)

    return asked


def _environ_dump() -> WSGIApplication:
    def dump(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        texts = {key: value for key, value in environ.items() if isinstance(value, str)}
        body = json.dumps(texts).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    return dump


_MAKERS: dict[str, Callable[[], Any]] = {
    "reverse": _reverse,
    "mounted": _mounted,
    "exact": _exact,
    "itself": _itself,
    "environ_dump": _environ_dump,
}


def __getattr__(name: str) -> WSGIApplication:
    if name not in _MAKERS:
        raise AttributeError(name)
    app: WSGIApplication = _MAKERS[name]()
    globals()[name] = app
    return app
