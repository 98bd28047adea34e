"""New connections of event loops are shown before a byte is sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable

import pytest

from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConnectFailed, ProxyError
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport.aio.transport import AsyncPooledTransport

GET = Request("GET", "/", [("Host", "a")])


class Watch:
    """Refuses the first of some connections."""

    def __init__(self, refuses: int, *, awaits: bool) -> None:
        self.seen: list[socket.socket] = []
        self._refuses = refuses
        self._awaits = awaits

    def __call__(self, sock: socket.socket) -> Awaitable[None] | None:
        if self._awaits:
            return self._later(sock)
        self._look(sock)
        return None

    async def _later(self, sock: socket.socket) -> None:
        await asyncio.sleep(0)
        self._look(sock)

    def _look(self, sock: socket.socket) -> None:
        assert sock.getpeername()
        self.seen.append(sock)
        if len(self.seen) <= self._refuses:
            raise ConnectFailed("not ours")


def send(upstream: RawUpstream, watch: Watch, count: int = 1) -> list[bytes]:
    async def main() -> list[bytes]:
        transport = AsyncPooledTransport(connected=watch)
        try:
            origin = Origin("http", "127.0.0.1", upstream.port)
            return [await (await transport.send(origin, GET)).read() for _ in range(count)]
        finally:
            transport.close()
            await asyncio.sleep(0)

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("awaits", [False, True], ids=["called", "awaited"])


@BOTH
def test_a_new_connection_is_shown_and_a_kept_one_is_not(upstream, awaits):
    upstream.behaviour = [("read",), ("send", answer(body=b"x"))] * 3
    watch = Watch(0, awaits=awaits)
    assert send(upstream, watch, 3) == [b"x"] * 3
    assert len(watch.seen) == 1


@BOTH
def test_one_that_is_refused_is_made_again_once(upstream, awaits):
    upstream.behaviour = [("read",), ("send", answer(body=b"x"))]
    watch = Watch(1, awaits=awaits)
    assert send(upstream, watch) == [b"x"]
    assert [sock.fileno() for sock in watch.seen][0] == -1
    assert len(watch.seen) == 2


@BOTH
def test_one_that_is_refused_twice_gets_no_byte(upstream, awaits):
    upstream.behaviour = [("read",), ("send", answer(body=b"x"))]
    watch = Watch(2, awaits=awaits)
    with pytest.raises(ProxyError, match="not ours"):
        send(upstream, watch)
    assert [sock.fileno() for sock in watch.seen] == [-1, -1]
    assert upstream.requests == []
