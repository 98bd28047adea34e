"""The scopes that are no request: the lifespan, and what is not carried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.asgi.websocket import refuse_websocket
from wsgiproxy.errors import NotSupported, WebSocketNotCarried
from wsgiproxy.observe.accesslog import Record, asked_in_scope

__all__ = ["serve_other"]


async def serve_other(
    scope: Scope, receive: Receive, send: Send, close: Callable[[], Awaitable[None] | None]
) -> None:
    """Serve a scope of another type than ``http``.

    :param close: called once, at the end of the server; what it returns, if anything, is awaited.
    :raises NotSupported: a type that is not known.
    """
    if scope["type"] == "lifespan":
        await _serve_lifespan(receive, send, close)
    elif scope["type"] == "websocket":
        await _refuse_websocket(scope, receive, send)
    else:
        raise NotSupported(f"a scope of type {scope['type']!r}: expected http or lifespan")


async def _serve_lifespan(
    receive: Receive, send: Send, close: Callable[[], Awaitable[None] | None]
) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            closing = close()
            if closing is not None:
                await closing
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    error = WebSocketNotCarried("a WebSocket handshake, which this application does not carry")
    await receive()  # websocket.connect
    await refuse_websocket(error, scope, send, Record(scope, None, asked_in_scope))
