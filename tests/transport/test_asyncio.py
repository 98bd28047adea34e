"""The exchange under asyncio: what waits is written again, what decides is not."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.connection import Connection
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import BadResponse, ProxyError, UpstreamLost, UpstreamTimeout
from wsgiproxy.sansio.h1 import BodyWriter, Exchange, Limits, ResponseReader, request_head
from wsgiproxy.sansio.h1.limits import Timeouts
from wsgiproxy.sansio.message import Request

TIMEOUTS = Timeouts(head=3, idle=2)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"


async def send(port: int, request: Request, blocks: list[bytes], timeouts: Timeouts) -> list[bytes]:
    """The status and the body of one request, as an event loop has them."""
    loop = asyncio.get_running_loop()
    body = BodyWriter(request) if blocks else None
    reader = ResponseReader(request.method, Limits())
    exchange = Exchange(reader, request_head(request, Limits()), body, timeouts)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setblocking(False)
        exchange.sent(0, loop.time())

        async def upload() -> None:
            rest = iter(blocks)
            while exchange.sending:
                while exchange.wants_body:
                    exchange.supply(next(rest, b""), loop.time())
                data = bytes(exchange.pending)[:65536]
                try:
                    await loop.sock_sendall(sock, data)
                except OSError as error:
                    exchange.send_failed(error, loop.time())
                else:
                    exchange.sent(len(data), loop.time())

        async def download() -> list[bytes]:
            got = []
            while not exchange.complete:
                # A slice, since the limit changes when the request has been sent.
                left = min(exchange.tick(loop.time()), 0.05)
                try:
                    data = await asyncio.wait_for(loop.sock_recv(sock, 65536), left)
                except TimeoutError:
                    continue
                except OSError as error:
                    exchange.receive_failed(error)
                    raise
                got.append(exchange.received(data))
            assert exchange.head is not None
            return [str(exchange.head.status).encode(), b"".join(got)]

        uploading = asyncio.ensure_future(upload())
        try:
            return await download()
        finally:
            uploading.cancel()
            await asyncio.wait([uploading])


def test_a_get(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [], b"hello")
    request = Request("GET", "/a", [("Host", "a")])
    assert asyncio.run(send(upstream.port, request, [], TIMEOUTS)) == [b"200", b"hello"]
    assert upstream.received == b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


def test_an_upload_and_its_answer_at_once(upstream: RawUpstream) -> None:
    """More than all buffers hold, in both directions."""

    blocks = [b"x" * 65536] * 160

    def echo(connection: Connection) -> None:
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in blocks:
            connection.send(connection.read_body(len(b"10000\r\n") + 65536 + 2))
        connection.send(connection.read_body(len(b"0\r\n\r\n")))

    upstream.behaviour = echo
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    status, body = asyncio.run(send(upstream.port, request, blocks, Timeouts()))
    assert (status, body) == (b"200", b"".join(blocks))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ([("read",), ("wait_ended",)], UpstreamTimeout),
        (
            [("read",), ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), ("close",)],
            UpstreamLost,
        ),
        ([("read",), ("send", b"nonsense")], BadResponse),
    ],
    ids=["silence", "cut", "no-http"],
)
def test_failures_are_the_same(
    upstream: RawUpstream, behaviour: list[object], error: type[ProxyError]
) -> None:
    upstream.behaviour = behaviour
    request = Request("GET", "/", [("Host", "a")])
    with pytest.raises(error):
        asyncio.run(send(upstream.port, request, [], Timeouts(head=0.2)))
