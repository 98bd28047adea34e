"""What stands behind the proxies of the soak: a good server, an ASGI application, and a rude one.

The good one is restarted in the middle of the load; the rude one ends its answers as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

SMALL, LARGE = 1024, 4 * 1024 * 1024
EVENTS, BETWEEN = 10, 0.1  # seconds between two events
_BLOCK = b"x" * 65536
_LENGTHS = {"/small": SMALL, "/large": LARGE}


def application() -> Any:
    """The good one, for an ASGI server."""
    serving = {"http": _http, "websocket": _echo}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in serving:
            raise NotImplementedError(scope["type"])  # so that the server goes on without
        await serving[scope["type"]](scope, receive, send)

    return application


async def _http(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/events":
        await _events(send)
    elif scope["method"] == "PUT":
        received, more = 0, True
        while more:
            message = await receive()
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
        await _answer(send, b"%d" % received)
    else:
        await _answer(send, b"x", times=_LENGTHS[scope["path"]])


async def _answer(send: Any, body: bytes, times: int = 1) -> None:
    length = len(body) * times
    fields = [(b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if times == 1:
        await send({"type": "http.response.body", "body": body})
        return
    while length:
        block = _BLOCK[:length]
        length -= len(block)
        await send({"type": "http.response.body", "body": block, "more_body": length > 0})


async def _events(send: Any) -> None:
    fields = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for number in range(EVENTS):
        event = b"data: %d\n\n" % number
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await asyncio.sleep(BETWEEN)  # the rhythm is what is wanted
    await send({"type": "http.response.body", "body": b""})


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


async def be_rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """``/cut`` promises more than it sends, ``/slow`` says nothing, all else ends at once."""
    # Cancelled when the soak is interrupted; asyncio would report it for each connection.
    quiet = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
    with contextlib.suppress(*quiet):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/cut " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
            await writer.drain()
        elif b"/slow " in head:
            await reader.read()  # until the proxy has had enough
    writer.close()
