"""A connection that has gone over to another protocol, and has ended before it was taken."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.loops import until
from tests.support.upstream import RawUpstream
from tests.transport.aio.test_reuse import GET, origin_of
from wsgiproxy.sansio.websocket import accept_key
from wsgiproxy.transport import AsyncPooledTransport

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\n\r\n"
).encode()


class Receiver:
    def __init__(self) -> None:
        self.events: list[object] = []

    def data(self, data: bytes) -> None:
        self.events.append(data)

    def lost(self, error: OSError) -> None:
        self.events.append("lost")

    def drained(self) -> None:
        self.events.append("drained")


@pytest.mark.parametrize(
    ("end", "told"), [("close", b""), ("reset", "lost")], ids=["in-order", "reset"]
)
async def test_what_came_before_the_end_is_handed_over_first(
    upstream: RawUpstream, transport: AsyncPooledTransport, end: str, told: object
) -> None:
    def behaviour(connection) -> None:
        connection.read()
        connection.send(SWITCH + b"hello")
        assert go_on.wait(5)
        getattr(connection, end)()

    go_on = threading.Event()
    upstream.behaviour = behaviour
    request = GET._replace(headers=[*GET.headers, ("Sec-WebSocket-Key", KEY)], upgrade="websocket")
    reply = await transport.send(origin_of(upstream), request)
    assert reply.head.status == 101
    assert await until(lambda: reply.received == 5)
    go_on.set()
    assert await until(lambda: reply._tell_end is not None)
    receiver = Receiver()
    connection, first = reply.detach(receiver)
    assert (first, receiver.events) == (b"hello", [])
    await asyncio.sleep(0)
    assert receiver.events == [told]
    connection.close()
