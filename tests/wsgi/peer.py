"""Both ends of a WebSocket through a proxy, byte by byte, in one thread."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from wsproto.utilities import generate_accept_token

from tests.server.serving import serving
from tests.support.client import RawClient, request_bytes
from tests.support.messages import RawRequest
from wsgiproxy import WSGIProxyApp

__all__ = ["ACCEPT", "HANDSHAKE", "KEY", "SWITCHED", "Peer", "open_tunnel", "peer", "proxied"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = generate_accept_token(KEY.encode()).decode()
HANDSHAKE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]
SWITCHED = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()


class Peer:
    """An upstream that the test plays itself."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    @contextlib.contextmanager
    def asked(self, answer: bytes = b"") -> Iterator[tuple[RawRequest, socket.socket]]:
        """The head of the next request, and its connection, on which *answer* is sent."""
        sock, _ = self._listener.accept()
        with sock:
            sock.settimeout(10)
            data = b""
            while b"\r\n\r\n" not in data:
                block = sock.recv(65536)
                assert block, data
                data += block
            head, _, rest = data.partition(b"\r\n\r\n")
            assert not rest, "bytes behind the head before the answer"
            sock.sendall(answer)
            yield RawRequest(head + b"\r\n\r\n"), sock

    def was_asked(self) -> bool:
        """Whether a connection waits."""
        self._listener.settimeout(0)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self._listener.settimeout(10)
        return True


@contextlib.contextmanager
def peer() -> Iterator[Peer]:
    """A :class:`Peer` that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield Peer(listener)


@contextlib.contextmanager
def proxied(url: str, **options: Any) -> Iterator[tuple[WSGIProxyApp, int]]:
    """A proxy in front of *url*, and the port of its server."""
    app = WSGIProxyApp(url, **options)
    with serving(app) as server:
        try:
            yield app, server.server_port
        finally:
            app.close()


@contextlib.contextmanager
def open_tunnel(
    port: int, peer: Peer, early: bytes = b"", answer: bytes = b""
) -> Iterator[tuple[RawClient, socket.socket]]:
    """Both ends of a WebSocket; *early* and *answer* come with their heads."""
    with RawClient(port) as client:
        client.send(request_bytes("GET /chat", HANDSHAKE) + early)
        with peer.asked(SWITCHED + answer) as (_, sock):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
            yield client, sock
