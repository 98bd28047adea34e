"""Messages of WebSockets, as an inspector is told of them under both kinds of servers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.server.serving import serving, until
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.inspected import InspectedASGI
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.frames import Frames
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.wsgi.inspected import InspectedWSGI


@contextlib.contextmanager
def echo() -> Iterator[str]:
    def each(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    with serve(each, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(10)


@contextlib.contextmanager
def served(edge: str, href: str, ring: Ring) -> Iterator[int]:
    if edge == "wsgi":
        with (
            contextlib.closing(WSGIProxyApp(href)) as app,
            serving(InspectedWSGI(app, ring)) as server,
        ):
            yield server.server_port
        return
    app = InspectedASGI(ASGIProxyApp(href), ring)
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "start")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("edge", ["wsgi", "asgi"])
def test_messages_are_seen_both_ways(edge: str, compression: str | None) -> None:
    ring = Ring()
    with echo() as href, served(edge, href, ring) as port:
        with connect(f"ws://127.0.0.1:{port}/chat", compression=compression) as client:
            client.send("grüße")
            assert client.recv() == "grüße"
            client.send(b"\0" * 70_000)
            assert client.recv() == b"\0" * 70_000
            client.send(["in ", "parts"])
            assert client.recv() == "in parts"
        (exchange,) = ring.exchanges()
        until(lambda: exchange.ended is not None, "end")
    assert exchange.is_websocket and exchange.answer is not None
    assert exchange.answer.status == 101 and exchange.request.target == "/chat"
    data = [each for each in exchange.messages if each.kind in ("text", "binary")]
    found = [(each.is_from_client, each.kind, each.size) for each in data]
    assert found == [
        (True, "text", 7),
        (False, "text", 7),
        (True, "binary", 70_000),
        (False, "binary", 70_000),
        (True, "text", 8),
        (False, "text", 8),
    ]
    assert data[0].data == "grüße".encode() and data[2].data == b"\0" * 16384
    assert exchange.messages[-1].kind == "close"
    assert [each.seconds for each in data] == sorted(each.seconds for each in data)


def exchange_of(ring: Ring) -> Exchange:
    from wsgiproxy.observe.inspector.heads import KNOWN

    found = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("extensions", "data"),
    [
        pytest.param("", b"\xff" * 300, id="no-frames"),
        pytest.param("permessage-deflate", b"\xc1\x82\0\0\0\0\xff\xff", id="bad-deflate"),
        pytest.param("x-unknown; a=b", b"\x81\x81\0\0\0\0a", id="unknown-extension"),
        pytest.param("permessage-deflate; client_max_window_bits=99", b"abc", id="bad-bits"),
    ],
)
def test_bytes_that_are_no_frames_are_shown_as_bytes(extensions: str, data: bytes) -> None:
    exchange = exchange_of(Ring())
    headers = [("Sec-WebSocket-Extensions", extensions)] if extensions else []
    frames = Frames(exchange, "websocket", headers)
    for _ in range(3):
        frames.from_client(data)
    assert exchange.passed_messages >= 1


def test_messages_are_bounded() -> None:
    ring = Ring()
    exchange = exchange_of(ring)
    for _ in range(3000):
        exchange.message("text", b"x" * 20_000, is_from_client=True)
    assert exchange.passed_messages == 3000 and len(exchange.messages) == 1000
    for _ in range(10):
        other = exchange_of(ring)
        for _ in range(1000):
            other.message("text", b"x" * 20_000, is_from_client=False)
    assert ring.memory <= ring.limits.memory and len(ring) < 6
