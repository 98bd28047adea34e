"""The applications that the measured servers import; ``BENCH_UPSTREAM`` says where they proxy to.

Each factory imports what it needs when it is called, so that a missing peer breaks nobody else.
``python -m tests.benchmarks.apps NAME PORT`` serves those that have no command of their own.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import os
import socket
import socketserver
import sys
import tempfile
import threading
import typing
import wsgiref.simple_server
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def upstream() -> str:
    """The address that every application proxies to."""
    return os.environ["BENCH_UPSTREAM"]


def ours() -> Any:
    """`wsgiproxy.app.WSGIProxyApp` with its default settings."""
    from wsgiproxy.app import WSGIProxyApp

    return WSGIProxyApp(upstream())


def asgi_ours() -> Any:
    """`wsgiproxy.asgi.ASGIProxyApp` with its default settings."""
    from wsgiproxy.asgi import ASGIProxyApp

    return ASGIProxyApp(upstream())


def inspected() -> Any:
    """`ours` with the inspector on."""
    from wsgiproxy.inspector import Inspector

    return Inspector(ours(), listen="127.0.0.1:0")


def asgi_inspected() -> Any:
    """`asgi_ours` with the inspector on."""
    from wsgiproxy.inspector import Inspector

    return Inspector(asgi_ours(), listen="127.0.0.1:0")


def asgi_logged() -> Any:
    """The same, and a line in a file for each exchange."""
    from wsgiproxy.cli.accesslines import INTERVAL

    write = write_access_lines(Path(tempfile.gettempdir(), "access.log"))
    application, writing = asgi_ours(), []

    async def write_often() -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            write()

    async def logged(scope: Any, receive: Any, send: Any) -> None:
        if not writing:
            writing.append(asyncio.get_running_loop().create_task(write_often()))
        await application(scope, receive, send)

    return logged


def write_access_lines(file: Path) -> Callable[[], None]:
    """Write the lines of ``wsgiproxy.access`` to `file` as the command does under uvicorn.

    :returns: writes those that wait.
    """
    from wsgiproxy.cli.log import LogStyle, write_in_batches

    # The handler takes the stderr of this moment, which stays open with it.
    with contextlib.redirect_stderr(file.open("a", encoding="utf-8")):
        return write_in_batches(LogStyle())


def asgi_hello() -> Any:
    """No proxy at all: 1 KiB with its length, the floor under any application of the server."""
    body = {"type": "http.response.body", "body": b"x" * 1024}
    fields = [(b"content-type", b"application/octet-stream"), (b"content-length", b"1024")]
    start = {"type": "http.response.start", "status": 200, "headers": fields}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])  # so that the server goes on without
        await send(start)
        await send(body)

    return application


def raw_socket() -> Any:
    """No proxy at all: each thread sends fixed bytes and takes what comes, unread.

    It is the floor under any blocking proxy in this server: whatever understands the request
    and the answer comes on top of it.
    """
    address = urlsplit(upstream())
    kept = threading.local()
    request = b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if not hasattr(kept, "connection"):
            kept.connection = socket.create_connection((address.hostname, address.port))
        kept.connection.send(request)
        answer = kept.connection.recv(65536)
        start_response("200 OK", [("Content-Length", "1024")])
        return [answer[-1024:]]

    return application


def urllib3_loop() -> Any:
    """A view as programs write it: urllib3 asks, and status, headers and body are handed on."""
    import urllib3

    pool = urllib3.connection_from_url(upstream(), maxsize=64)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        headers = {
            key[5:].replace("_", "-").title(): value
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        answer = pool.urlopen(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers=headers)
        kept = [field for field in answer.headers.items() if field[0].lower() != "connection"]
        start_response(f"{answer.status} {answer.reason}", kept)
        return [answer.data]

    return application


def fastapi_proxy_lib() -> Any:
    """The reverse proxy of fastapi-proxy-lib in bare Starlette, which costs less than FastAPI."""
    from fastapi_proxy_lib.core.http import ReverseHttpProxy
    from httpx import AsyncClient
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    # httpx gives up after 5 s by default, which the long transfers do not keep.
    proxy = ReverseHttpProxy(AsyncClient(timeout=None), base_url=f"{upstream()}/")

    async def endpoint(request: Request) -> Response:
        return await proxy.proxy(request=request, path=request.path_params["path"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await proxy.aclose()

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    routes = [Route("/{path:path}", endpoint, methods=methods)]
    return Starlette(routes=routes, lifespan=lifespan)


def fastapi_reverse_proxy() -> Any:
    """fastapi-reverse-proxy as its documentation shows, with the kept client of its lifespan."""
    from fastapi import FastAPI, Request
    from fastapi_reverse_proxy import Proxy, proxy_pass

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Proxy(app):
            yield

    app = FastAPI(lifespan=lifespan)

    # FastAPI looks at the annotation, and would not find a name of this function by its text.
    async def endpoint(request: Any) -> Any:
        return await proxy_pass(request, upstream())

    endpoint.__annotations__ = {"request": Request}
    app.add_api_route("/{path:path}", endpoint, methods=["GET", "POST", "PUT", "DELETE"])
    return app


def python_pyproxy() -> Any:
    """The gateway of python-pyproxy, without an application around it, which costs less."""
    from pyproxy.asgi import PyProxyGateway

    return PyProxyGateway(routes=[{"path": "/", "target": upstream()}])


def serve_aiorp(port: int) -> None:
    """aiorp in an aiohttp application, as its documentation shows."""
    # aiorp 0.1.2 writes AsyncGenerator[None], which typing's own refuses before Python 3.13.
    typing.AsyncGenerator = collections.abc.AsyncGenerator  # type: ignore[misc]
    from aiohttp import web
    from aiorp.context import ProxyContext, configure_contexts
    from aiorp.http_handler import HTTPProxyHandler
    from yarl import URL

    context = ProxyContext(url=URL(upstream()))
    app = web.Application(client_max_size=2**40)
    configure_contexts(app, [context])
    app.router.add_route("*", "/{path:.*}", HTTPProxyHandler(context=context))
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def serve_wsgiref(port: int) -> None:
    """Ours under the standard library's server, one thread for a connection, nothing logged."""

    class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
        daemon_threads = True

    class Handler(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with Server(("127.0.0.1", port), Handler) as server:
        server.set_app(ours())
        server.serve_forever()


def serve_werkzeug(port: int) -> None:
    """Ours under the development server of werkzeug, threaded, nothing logged."""
    from werkzeug.serving import WSGIRequestHandler, run_simple

    class Handler(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            pass

    run_simple("127.0.0.1", port, ours(), threaded=True, request_handler=Handler)


SERVE: dict[str, Callable[[int], None]] = {
    "aiorp": serve_aiorp,
    "wsgiref": serve_wsgiref,
    "werkzeug": serve_werkzeug,
}

if __name__ == "__main__":
    SERVE[sys.argv[1]](int(sys.argv[2]))
