"""Exchanges of all kinds in a ring, as the edges would have told it of them."""

from __future__ import annotations

import json
import struct
import zlib
from typing import NamedTuple

from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.message import Headers, Origin, Request, ResponseHead

__all__ = ["EVIL", "Answered", "ask", "events", "failed", "image", "many", "websocket"]

_UPSTREAM = Origin("http", "127.0.0.1", 3000)
_SECOND = Origin("http", "127.0.0.1", 3001)

#: What must be text wherever it stands.
EVIL = (
    "</script><script>window.canary=1</script><img src=x onerror=window.canary=2>"
    "<svg/onload=window.canary=3>{{canary}}\"'><a href=javascript:window.canary=4>"
)


class Answered(NamedTuple):
    """What an upstream answers."""

    body: bytes = b"hello"
    content_type: str = "text/plain"
    status: int = 200
    reason: str = "OK"
    more: Headers = []


def ask(
    ring: Ring, target: str, answer: Answered | None = None, *, method: str = "GET",
    body: bytes = b"", content_type: str = "application/json", headers: Headers | None = None,
    retries: int = 0,
) -> Exchange:  # fmt: skip
    """An exchange from its beginning to its end; without an answer it stays under way."""
    sent = [("Host", "shop.example"), ("User-Agent", "check/1"), ("Connection", "keep-alive")]
    sent += headers or []
    if body:
        sent += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    exchange = ring.begin(KNOWN, (method, target, "HTTP/1.1", sent, "127.0.0.1:50000"), "http")
    assert exchange is not None
    if body:
        exchange.body = exchange.new_body()
        exchange.body.add(body)
        exchange.body.end()
    forwarded = [("Host", "127.0.0.1:3000"), *sent[1:2], *(headers or [])]
    forwarded += [("X-Forwarded-Host", "shop.example"), ("Via", "1.1 wsgiproxy")]
    if body:
        forwarded.append(("Content-Type", content_type))
    request = Request(method, target, forwarded, len(body) or None)
    for _ in range(retries):
        refused = ConnectionResetError(104, "Connection reset by peer")
        exchange.attempt(_SECOND, request, is_changed=False).fail(refused)
    attempt = exchange.attempt(_UPSTREAM, request, is_changed=False)
    attempt.connect()
    if answer is None:
        return exchange
    fields = [("Content-Type", answer.content_type), ("Server", "shop/2"), *answer.more]
    location = ("Location", "http://127.0.0.1:3000/next")
    attempt.take(ResponseHead(answer.status, answer.reason, [*fields, location]), is_reused=False)
    location = ("Location", "http://shop.example/next")
    exchange.begin_answer(f"{answer.status} {answer.reason}", [*fields, location])
    exchange.add_answer(answer.body)
    attempt.end(is_whole=True)
    exchange.end()
    return exchange


def failed(ring: Ring, target: str) -> Exchange:
    """An exchange whose upstream was not there."""
    exchange = ask(ring, target)
    error = ConnectionRefusedError(111, "Connection refused")
    exchange.attempts[-1].fail(error)
    exchange.fail(error)
    exchange.begin_answer("502 Bad Gateway", [("Content-Type", "text/plain")])
    exchange.end()
    return exchange


def websocket(ring: Ring, target: str, messages: int = 12) -> Exchange:
    """A WebSocket that is still open."""
    exchange = ask(ring, target)
    exchange.is_websocket = True
    exchange.begin_answer("101 Switching Protocols", [("Upgrade", "websocket")])
    for number in range(messages):
        kind = ("text", "text", "binary", "ping")[number % 4]
        data = bytes(range(40)) if kind == "binary" else json.dumps({"tick": number}).encode()
        exchange.message(kind, data, is_from_client=number % 3 == 0)
    return exchange


def events(ring: Ring, target: str, number: int = 5) -> Exchange:
    """An event stream that is still open."""
    exchange = ask(ring, target)
    head = ResponseHead(200, "OK", [("Content-Type", "text/event-stream")])
    exchange.attempts[-1].take(head, is_reused=True)
    exchange.begin_answer("200 OK", head.headers)
    for count in range(number):
        exchange.add_answer(f'event: price\nid: {count}\ndata: {{"n": {count}}}\n\n'.encode())
    return exchange


def image(width: int = 96, height: int = 48) -> bytes:
    """A PNG with a gradient."""
    rows = b"".join(
        b"\0" + bytes(part for x in range(width) for part in (x * 2 % 256, y * 5 % 256, 180))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def many(ring: Ring, number: int) -> None:
    """So many small exchanges."""
    answers = [Answered(status=status) for status in (200, 200, 304, 404, 500)]
    for count in range(number):
        ask(ring, f"/items/{count}?page={count % 7}", answers[count % 5])
