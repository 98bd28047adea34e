"""Tunnels in the servers that give a socket, with both of their ends in hand."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.forward.proxies import Proxy, started
from tests.forward.site import Site
from tests.support.client import RawClient, raw_exchange, request_bytes

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
KINDS = ("handler", "gunicorn", "werkzeug")


class Peer:
    """A place to connect to; what is behind it is in the test's hand."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.authority = f"127.0.0.1:{listener.getsockname()[1]}"

    def connection(self) -> socket.socket:
        """The next one."""
        sock, _ = self._listener.accept()
        sock.settimeout(10)
        return sock


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """What the tunnels lead to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield Peer(listener)


@pytest.fixture(scope="module", params=KINDS)
def tunnelling(
    request: pytest.FixtureRequest, peer: Peer, sites: tuple[Site, Site]
) -> Iterator[Proxy]:
    """A proxy that may go there."""
    with started(request.param, peer.authority, sites[0].authority) as proxy:
        yield proxy


@contextlib.contextmanager
def tunnel(
    proxy: Proxy, peer: Peer, early: bytes = b""
) -> Iterator[tuple[RawClient, socket.socket]]:
    """Both ends of a tunnel; *early* is sent with the head."""
    with RawClient(proxy.port) as client:
        client.send(request_bytes(f"CONNECT {peer.authority}", host=peer.authority) + early)
        with peer.connection() as sock:
            assert client.read_until(b"\r\n\r\n") == ESTABLISHED
            yield client, sock


def received(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or what came before the end."""
    found = b""
    while len(found) < size and (block := sock.recv(size - len(found))):
        found += block
    return found


def test_bytes_go_both_ways(tunnelling, peer):
    with tunnel(tunnelling, peer) as (client, sock):
        for word in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff", b"0\r\n\r\n"):
            client.send(word)
            assert received(sock, len(word)) == word
            sock.sendall(word[::-1])
            assert client.read_until(word[::-1]) == word[::-1]


@pytest.mark.parametrize("size", [1, 5, 8000, 8192, 100_000])
def test_bytes_that_came_with_the_head_go_first(size, tunnelling, peer):
    early = bytes(number % 251 for number in range(size))
    with tunnel(tunnelling, peer, early) as (client, sock):
        assert received(sock, size) == early
        client.send(b"later")
        assert received(sock, 5) == b"later"
        client.shutdown_write()
        assert received(sock, 1) == b""


def test_what_came_with_the_head_is_not_served_again(tunnelling, peer, plain):
    early = request_bytes(f"GET {plain.url}/headers")
    with tunnel(tunnelling, peer, early) as (client, sock):
        assert received(sock, len(early)) == early
        sock.close()
        client.shutdown_write()
        assert client.closed_by_server()
        assert client.received == ESTABLISHED
    # The server has had the time to take it for a request of its own.
    assert raw_exchange(tunnelling.port, request_bytes(f"GET {plain.url}/landed")).status == 200
    assert [seen.path for seen in plain.seen] == ["/landed"]


def test_nothing_of_an_answer_is_in_it_or_behind_it(tunnelling, peer):
    with tunnel(tunnelling, peer) as (client, sock):
        sock.sendall(b"hello")
        client.send(request_bytes("GET /not-for-the-proxy"))
        client.shutdown_write()
        sent = request_bytes("GET /not-for-the-proxy")
        assert received(sock, len(sent) + 1) == sent
        sock.close()
        assert client.closed_by_server()
        assert client.received == ESTABLISHED + b"hello"


def test_a_client_may_end_its_side_first(tunnelling, peer):
    with tunnel(tunnelling, peer) as (client, sock):
        client.send(b"all I have to say")
        client.shutdown_write()
        assert received(sock, 100) == b"all I have to say"
        sock.sendall(b"answer" * 100_000)
        sock.close()
        assert client.closed_by_server()
        assert client.received == ESTABLISHED + b"answer" * 100_000


def test_the_other_side_may_end_first(tunnelling, peer):
    with tunnel(tunnelling, peer) as (client, sock):
        sock.sendall(b"that is all")
        sock.shutdown(socket.SHUT_WR)
        assert client.closed_by_server()
        assert client.received == ESTABLISHED + b"that is all"
        client.send(b"heard" * 100_000)
        client.shutdown_write()
        assert received(sock, 600_000) == b"heard" * 100_000


def test_a_reset_on_one_side_resets_the_other(tunnelling, peer):
    with tunnel(tunnelling, peer) as (client, sock):
        client.reset()
        with contextlib.suppress(ConnectionError):
            assert received(sock, 1) == b""
    with tunnel(tunnelling, peer) as (client, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        assert client.closed_by_server()


# The others end the connection with each request.
@pytest.mark.parametrize("tunnelling", ["gunicorn"], indirect=True)
def test_a_tunnel_may_follow_a_request_on_its_connection(tunnelling, peer, plain):
    with RawClient(tunnelling.port) as client:
        client.send(request_bytes(f"GET {plain.url}/landed"))
        assert client.response().body == b"landed"
        client.send(request_bytes(f"CONNECT {peer.authority}") + b"early")
        with peer.connection() as sock:
            assert client.read_until(b"\r\n\r\n") == ESTABLISHED
            assert received(sock, 5) == b"early"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("127.0.0.1:{port}", 403, id="not-allowed"),
        pytest.param("127.0.0.1", 400, id="no-port"),
        pytest.param("http://127.0.0.1:{port}/", 400, id="absolute"),
        pytest.param("/", 400, id="origin"),
        pytest.param("user@127.0.0.1:{port}", 400, id="userinfo"),
        pytest.param("127.0.0.1:{port}0000", 400, id="no-such-port"),
    ],
)
def test_a_refusal_is_an_answer(target, status, tunnelling, sites):
    port = sites[1].port
    response = raw_exchange(tunnelling.port, request_bytes(f"CONNECT {target.format(port=port)}"))
    assert (response.status, response.complete) == (status, True)
