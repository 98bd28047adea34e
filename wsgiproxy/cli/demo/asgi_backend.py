"""The demo's web application under ASGI: behind the middleware of that side, and in threads."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from asyncio import to_thread
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi import ASGIProxyMiddleware
from wsgiproxy.asgi.body import Body
from wsgiproxy.cli.demo.backend import RECEIVED, DemoBackend
from wsgiproxy.cli.demo.facts import CARRIED, received_in
from wsgiproxy.cli.uvicorn_server import server_of
from wsgiproxy.sansio.environ.scope_environ import environ_of

if TYPE_CHECKING:
    from wsgiproxy.asgi.body import Receive, Scope, Send
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = ["asgi_in_background", "asgi_verified"]

# Bytes of an upload that are kept in memory.
_IN_MEMORY = 1 << 20


def asgi_verified(backend: DemoBackend, secret_file: str) -> ASGIApplication:
    """The backend behind its middleware, with the request as it was before that."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve(backend, scope, receive, send)

    middleware = ASGIProxyMiddleware(serve, secret_file, accept_keys=[CARRIED], replay="memory")

    async def remember(scope: Scope, receive: Receive, send: Send) -> None:
        more = {RECEIVED: received_in(environ_of(scope))} if scope["type"] == "http" else {}
        await middleware({**scope, **more}, receive, send)

    return remember


async def _serve(backend: DemoBackend, scope: Scope, receive: Receive, send: Send) -> None:
    known = scope.get("wsgiproxy") or {}
    environ = {**environ_of(scope), RECEIVED: scope[RECEIVED]}
    environ["wsgiproxy.verified"] = known.get("verified", "")
    if CARRIED in known:
        environ[CARRIED] = known[CARRIED]
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        size = 0
        async for block in Body(receive):
            size += file.write(block)
        file.seek(0)
        environ.update({"wsgi.input": file, "CONTENT_LENGTH": str(size)})
        await _answer(backend, environ, send)


async def _answer(backend: DemoBackend, environ: dict[str, Any], send: Send) -> None:
    head: list[Any] = []

    def start_response(status: str, fields: list[tuple[str, str]], *exc_info: object) -> Any:
        head.extend([status, fields])

    blocks = iter(await to_thread(backend, environ, start_response))
    status, fields = head
    await send(
        {
            "type": "http.response.start",
            "status": int(status[:3]),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields],
        }
    )
    while (block := await to_thread(next, blocks, None)) is not None:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def asgi_in_background(application: ASGIApplication, listener: socket.socket) -> Iterator[None]:
    """Serve in a thread during a block."""
    accepting = threading.Event()
    server = server_of(application, accepting.set, lambda: None, "auto")
    # The front has ended by then, and reads no answer.
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(
        target=server.run, args=[[listener]], name="demo-backend", daemon=True
    )
    thread.start()
    accepting.wait()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
