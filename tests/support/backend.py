"""Applications for servers behind the proxy: they tell what environ they were given.

``restored`` is behind `WSGIProxyMiddleware` with the keyword arguments in ``OPTIONS`` (JSON);
``shared`` remembers nonces in the Redis at ``REDIS`` (a path), by the class that the
documentation shows; ``fix`` is behind Werkzeug's ProxyFix; ``echo`` is behind nothing;
``compared`` is a front application that shows the environ at both ends of `WSGIProxyApp`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tests.support.apps import shifted
from tests.support.documented import code_block

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["FACTS", "REPORT", "reported"]

#: What of an environ is the client's request, and has to come back.
FACTS = (
    "REQUEST_METHOD",
    "wsgi.url_scheme",
    "HTTP_HOST",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
)
#: Where the facts are for HEAD, which has no body.
REPORT = "x-facts"


def _told(environ: WSGIEnvironment) -> dict[str, Any]:
    """All of an environ that JSON can hold."""
    told = {}
    for key, value in environ.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            continue
        told[key] = value
    return told


def _body(environ: WSGIEnvironment) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    if length:
        return bytes(environ["wsgi.input"].read(int(length)))
    return bytes(environ["wsgi.input"].read()) if environ.get("wsgi.input_terminated") else b""


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The environ as JSON, with ``body_sha256`` and the id of the process, ``pid``."""
    told = _told(environ)
    told["body_sha256"] = hashlib.sha256(_body(environ)).hexdigest()
    told["pid"] = os.getpid()
    answer = json.dumps(told).encode()
    facts = json.dumps({key: environ.get(key) for key in FACTS}).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(answer))),
    ]
    if environ["REQUEST_METHOD"] == "HEAD":
        headers.append((REPORT, base64.b64encode(facts).decode()))
        answer = b""
    start_response("200 OK", headers)
    return [answer]


def reported(body: bytes, report: str = "") -> dict[str, Any]:
    """What `echo` has told: its answer, or for HEAD the field that it sends instead."""
    told: dict[str, Any] = json.loads(base64.b64decode(report) if report else body)
    return told


def _options() -> dict[str, Any]:
    options: dict[str, Any] = json.loads(os.environ.get("OPTIONS", "{}"))
    return options


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(stream=sys.stderr)


def _restored() -> WSGIApplication:
    from wsgiproxy.middleware import WSGIProxyMiddleware

    _log_to_stderr()
    return WSGIProxyMiddleware(echo, **_options())


def _shared() -> WSGIApplication:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from wsgiproxy.middleware import WSGIProxyMiddleware

    shown: dict[str, Any] = {}
    exec(code_block("docs/trust.rst", "class RedisReplay"), shown)
    # By default it tries again for some seconds.
    retry = Retry(NoBackoff(), 1)
    store = shown["RedisReplay"](redis.Redis(unix_socket_path=os.environ["REDIS"], retry=retry))
    _log_to_stderr()
    return WSGIProxyMiddleware(echo, **_options(), replay=store)


def _fix() -> WSGIApplication:
    from werkzeug.middleware.proxy_fix import ProxyFix

    return ProxyFix(echo, **_options())


def _compared() -> WSGIApplication:
    from wsgiproxy.app import WSGIProxyApp

    proxy = WSGIProxyApp(os.environ["UPSTREAM"], **_options())

    def compare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """``{"before": ..., "status": ..., "after": ...}``."""
        seen: list[str] = []

        def catch(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen.append(status)

        environ = {**environ, "REMOTE_USER": "bob", "front.list": [1, {"a": None}]}
        blocks = proxy(environ, catch)
        try:
            body = b"".join(blocks)
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        both = {
            "before": _told(environ),
            "status": seen[0],
            "after": json.loads(body) if seen[0].startswith("200") else body.decode("latin-1"),
        }
        answer = json.dumps(both).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
        start_response("200 OK", headers)
        return [answer]

    return shifted(compare)


_MAKERS: dict[str, Callable[[], Any]] = {
    "restored": _restored,
    "shared": _shared,
    "fix": _fix,
    "compared": _compared,
}


def __getattr__(name: str) -> WSGIApplication:
    if name not in _MAKERS:
        raise AttributeError(name)
    app: WSGIApplication = _MAKERS[name]()
    globals()[name] = app
    return app
