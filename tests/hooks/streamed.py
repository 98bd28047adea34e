"""One answer as it arrives, on either edge, for a client that looks at it and may leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.asgi_calls import LAST, http_scope
from tests.support.in_process import front_environ
from tests.support.loops import LOOPS, ended
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

__all__ = ["STREAMING", "streamed"]

STREAMING = ("wsgi", *LOOPS)

#: Gets all bytes so far; true for a client that leaves.
OnData = Callable[[bytes], object]


def streamed(
    edge: str, url: str, hooks: Iterable[Any], on_data: OnData, **options: Any
) -> tuple[bytes, BaseException | None]:
    """What the client of a GET has got, and what the application has raised."""
    if edge == "wsgi":
        return _wsgi(WSGIProxyApp(url, hooks=hooks, **options), on_data)
    return ended(LOOPS[edge](), _asgi(ASGIProxyApp(url, hooks=hooks, **options), on_data))


def _wsgi(app: WSGIProxyApp, on_data: OnData) -> tuple[bytes, BaseException | None]:
    """A server that lets the application see the client's socket."""
    got = b""
    client, server = socket.socketpair()
    environ = front_environ(**{"wsgiproxy.socket": server})
    blocks: Any = app(environ, lambda *arguments: None)  # type: ignore[arg-type, misc]
    try:
        for block in blocks:
            got += block
            if block and on_data(got):
                client.close()
    except Exception as error:
        return got, error
    finally:
        blocks.close()
        app.close()
        client.close()
        server.close()
    return got, None


async def _asgi(app: ASGIProxyApp, on_data: OnData) -> tuple[bytes, BaseException | None]:
    got = b""
    events = [LAST]
    has_gone = asyncio.Event()

    async def receive() -> Any:
        if events:
            return events.pop()
        await has_gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal got
        got += message.get("body", b"")
        if message.get("body") and on_data(got):
            has_gone.set()

    try:
        await asyncio.wait_for(app(http_scope(), receive, send), 10)
    except Exception as error:
        return got, error
    finally:
        app.close()
    return got, None
