"""The applications of the WebSocket benchmark that are not ours: an echo, and the peers.

Each factory imports what it needs when it is called, so that a missing peer breaks nobody else.
``python -m tests.benchmarks.websocket_apps PORT`` serves aiorp, which has no command of its own.
"""

from __future__ import annotations

import collections.abc
import sys
import typing
from typing import Any

from tests.benchmarks.apps import asgi_hello, upstream


def _beside_hello(websocket: Any) -> Any:
    """`websocket` for WebSocket; a request is answered with 1 KiB, to say that all is ready."""
    hello = asgi_hello()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        chosen = websocket if scope["type"] == "websocket" else hello
        await chosen(scope, receive, send)

    return application


def echo() -> Any:
    """No proxy at all: every message is sent back, the floor under any relay in the server."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            data = message.get("bytes")
            kind = "text" if data is None else "bytes"
            await send({"type": "websocket.send", kind: message[kind]})

    return _beside_hello(application)


def _session() -> Any:
    """What asgiproxy and aiorp connect with, without aiohttp's limit of 100 connections."""
    import aiohttp

    jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False)


def fastapi_proxy_lib() -> Any:
    """The WebSocket proxy of fastapi-proxy-lib without FastAPI, which costs less."""
    from fastapi_proxy_lib.core.websocket import ReverseWebSocketProxy
    from httpx import AsyncClient, Limits
    from starlette.websockets import WebSocket

    # httpx opens 100 connections and waits 5 s for more, by default.
    client = AsyncClient(timeout=None, limits=Limits(max_connections=None))
    proxy = ReverseWebSocketProxy(client, base_url=f"{upstream().replace('http', 'ws', 1)}/")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        refusal = await proxy.proxy(websocket=websocket, path=scope["path"].lstrip("/"))
        if refusal:
            await refusal(scope, receive, send)

    return _beside_hello(application)


def asgiproxy() -> Any:
    """asgiproxy as its documentation shows, but for the limit of connections."""
    from asgiproxy.config import BaseURLProxyConfigMixin, ProxyConfig
    from asgiproxy.context import ProxyContext
    from asgiproxy.simple_proxy import make_simple_proxy_app

    class Config(BaseURLProxyConfigMixin, ProxyConfig):
        upstream_base_url = upstream()

    context = ProxyContext(Config())
    proxy = make_simple_proxy_app(context)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        context._session = context._session or _session()  # which needs a running loop
        await proxy(scope, receive, send)

    return application


def serve_aiorp(port: int) -> None:
    """aiorp in an aiohttp application, as its documentation shows, but for the same limit."""
    # aiorp 0.1.2 writes AsyncGenerator[None], which typing's own refuses before Python 3.13.
    typing.AsyncGenerator = collections.abc.AsyncGenerator  # type: ignore[misc]
    from aiohttp import web
    from aiorp.context import ProxyContext, configure_contexts
    from aiorp.http_handler import HTTPProxyHandler
    from aiorp.ws_handler import WsProxyHandler
    from yarl import URL

    context = ProxyContext(url=URL(upstream()), session_factory=_session)
    app = web.Application()
    configure_contexts(app, [context])
    app.router.add_get("/echo", WsProxyHandler(context=context))
    app.router.add_route("*", "/{path:.*}", HTTPProxyHandler(context=context))
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    serve_aiorp(int(sys.argv[1]))
