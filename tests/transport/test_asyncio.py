"""The exchange under asyncio: what waits is written again, what decides is not."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.connection import Connection
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import BadRequest, BadResponse, ProxyError, UpstreamLost, UpstreamTimeout
from wsgiproxy.sansio.h1 import BodyWriter, Exchange, Limits, ResponseReader, Stale, request_head
from wsgiproxy.sansio.h1.limits import Timeouts
from wsgiproxy.sansio.message import Request

TIMEOUTS = Timeouts(head=3, idle=2)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"


class Driver:
    """One exchange, as an event loop has it: what waits, while the exchange decides."""

    def __init__(self, sock: socket.socket, exchange: Exchange, blocks: list[bytes]) -> None:
        self._sock = sock
        self._exchange = exchange
        self._blocks = iter(blocks)
        self._loop = asyncio.get_running_loop()
        exchange.sent(0, self._loop.time())

    async def upload(self) -> None:
        exchange, loop = self._exchange, self._loop
        while exchange.sending:
            while exchange.wants_body:
                exchange.supply(next(self._blocks, b""), loop.time())
            data = bytes(exchange.pending)[:65536]
            try:
                await loop.sock_sendall(self._sock, data)
            except OSError as error:
                exchange.send_failed(error, loop.time())
            else:
                exchange.sent(len(data), loop.time())

    async def download(self) -> list[bytes]:
        exchange, loop = self._exchange, self._loop
        got = []
        while not exchange.complete:
            # A slice, since the limit changes when the request has been sent.
            left = min(exchange.tick(loop.time()), 0.05)
            try:
                data = await asyncio.wait_for(loop.sock_recv(self._sock, 65536), left)
            except TimeoutError:
                continue
            except OSError as error:
                exchange.receive_failed(error)
                raise
            got.append(exchange.received(data))
        assert exchange.head is not None
        return [str(exchange.head.status).encode(), b"".join(got)]

    async def run(self) -> list[bytes]:
        """Both at once. A failure of either ends it; the answer may be whole first."""
        sending = asyncio.ensure_future(self.upload())
        receiving = asyncio.ensure_future(self.download())
        try:
            await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            return await receiving
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.wait([sending, receiving])


async def send(
    port: int, request: Request, blocks: list[bytes], timeouts: Timeouts, *, reused: bool = False
) -> list[bytes]:
    """The status and the body of one request."""
    reader = ResponseReader(request.method, Limits())
    head, body = request_head(request, Limits()), BodyWriter(request) if blocks else None
    exchange = Exchange(reader, head, body, timeouts, reused, request.method == "GET")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setblocking(False)
        return await Driver(sock, exchange, blocks).run()


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


@pytest.mark.parametrize(("method", "error"), [("GET", Stale), ("POST", UpstreamLost)])
def test_a_kept_connection_that_is_dead(
    upstream: RawUpstream, method: str, error: type[Exception]
) -> None:
    upstream.behaviour = [("read",), ("close",)]
    request = Request(method, "/", [("Host", "a")])
    with pytest.raises(error):
        asyncio.run(send(upstream.port, request, [], TIMEOUTS, reused=True))


def test_a_body_that_is_too_short(upstream: RawUpstream) -> None:
    upstream.behaviour = [("read_head",), ("wait_ended",)]
    request = Request("POST", "/", [("Host", "a")], 10)
    with pytest.raises(BadRequest, match="5 bytes short"):
        asyncio.run(send(upstream.port, request, [b"hello"], TIMEOUTS))


def test_an_answer_that_comes_early_and_closes(upstream: RawUpstream) -> None:
    early = b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    upstream.behaviour = [("read_head",), ("send", early), ("wait_ended",)]
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    got = asyncio.run(send(upstream.port, request, [b"x" * 65536] * 1000, TIMEOUTS))
    assert got == [b"413", b"no"]
