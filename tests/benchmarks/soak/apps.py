"""The proxies of the soak, for WSGI and for ASGI: a router with what works, fails and is started.

``SOAK_UPSTREAM``, ``SOAK_RUDE`` and ``SOAK_REFUSED`` are the addresses behind it.
``/-/state`` is not proxied: it collects garbage, gives free memory back to the system, and tells
the id of the process, and what it holds. ``python -m tests.benchmarks.soak.apps PORT`` is the
program that the routers start on demand; it answers with its id.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STATE = "/-/state"
#: Seconds for the head of an answer; what is slow is slower.
HEAD_TIMEOUT = 4.0
_LIBC = ctypes.CDLL(None)


def state(tasks: int) -> bytes:
    """What the process holds, as JSON."""
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):  # glibc's
        _LIBC.malloc_trim(0)
    told = {"pid": os.getpid(), "tasks": tasks, "objects": len(gc.get_objects())}
    return json.dumps({**told, "python threads": threading.active_count()}).encode()


def _routes() -> dict[str, object]:
    return {
        "/": os.environ["SOAK_UPSTREAM"],
        "/rude": os.environ["SOAK_RUDE"],
        "/refused": os.environ["SOAK_REFUSED"],
        "/spawned": [sys.executable, "-m", "tests.benchmarks.soak.apps", "{port}"],
    }


def wsgi() -> Any:
    """A router of WSGI applications."""
    from wsgiproxy.router import Router

    router = Router(_routes(), head_timeout=HEAD_TIMEOUT)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != STATE:
            return router(environ, start_response)
        told = state(0)
        start_response("200 OK", [("Content-Length", str(len(told)))])
        return [told]

    return application


def asgi() -> Any:
    """The same of ASGI applications."""
    from wsgiproxy.asgi import ASGIRouter

    router = ASGIRouter(_routes(), head_timeout=HEAD_TIMEOUT)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != STATE:
            await router(scope, receive, send)
            return
        told = state(len(asyncio.all_tasks()))
        fields = [(b"content-length", b"%d" % len(told))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": told})

    return application


class _TellPid(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the id of the process."""
        told = b"%d" % os.getpid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    socketserver.TCPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _TellPid).serve_forever()
