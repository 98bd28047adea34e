"""Tunnels with TLS on one side or on both: each way ends by its words, and nothing is lost."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.transport.threads.test_tunnel import Ends, tcp_pair
from wsgiproxy.transport.threads.tunnel import Tunnel
from wsgiproxy.transport.threads.tunnel_end import End

TLSFiles: TypeAlias = "tuple[ssl.SSLContext, Path]"
WHERE = [("client",), ("server",), ("client", "server")]


def tls_pair(
    files: TLSFiles, *, near_is_server: bool, version: ssl.TLSVersion
) -> list[ssl.SSLSocket]:
    """The far and the near end; what the far end reads says whether its end was cut."""
    context = ssl.create_default_context(cafile=str(files[1]))
    context.maximum_version = version
    far, near = tcp_pair()
    server, client = (near, far) if near_is_server else (far, near)
    wrapped: dict[str, ssl.SSLSocket] = {}

    def serve() -> None:
        wrapped["server"] = files[0].wrap_socket(
            server, server_side=True, suppress_ragged_eofs=near_is_server
        )

    thread = threading.Thread(target=serve)
    thread.start()
    wrapped["client"] = context.wrap_socket(
        client, server_hostname="localhost", suppress_ragged_eofs=not near_is_server
    )
    thread.join()
    ends = [wrapped["client"], wrapped["server"]]
    return ends if near_is_server else ends[::-1]


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2], ids=["1.3", "1.2"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture(params=WHERE, ids="+".join)
def made(
    request: pytest.FixtureRequest, version: ssl.TLSVersion, tls_files: TLSFiles
) -> Iterator[Ends]:
    errors: list[OSError] = []
    pairs = []
    for name in ("client", "server"):
        if name in request.param:
            is_client = name == "client"
            pairs.append(tls_pair(tls_files, near_is_server=is_client, version=version))
        else:
            pairs.append(list(tcp_pair()))
    with ExitStack() as stack:
        (client, near), (server, far) = (map(stack.enter_context, pair) for pair in pairs)
        for sock in (client, server):
            sock.settimeout(10)
        tunnel = Tunnel(near, far)

        def run() -> None:
            try:
                tunnel.run(30)
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        yield Ends(client, server, tunnel, thread, errors)
        tunnel.close()
        thread.join(10)


def read_all(sock: socket.socket) -> bytes:
    """What comes before an end that is no cut."""
    found = b""
    with suppress(ssl.SSLZeroReturnError):  # an end, where ours has been said before
        while block := sock.recv(65536):
            found += block
    return found


def end_writing(sock: socket.socket) -> None:
    """End one way, and go on reading."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(0)
        with suppress(ssl.SSLWantReadError):
            sock.unwrap()
        sock.settimeout(10)
    else:
        sock.shutdown(socket.SHUT_WR)


def sides(made: Ends, first: str) -> tuple[socket.socket, socket.socket]:
    return (made.client, made.server) if first == "client" else (made.server, made.client)


def test_bytes_pass_both_ways(made):
    for size in (1, 1000, 16384, 16385, 100_000):
        data = os.urandom(size)
        for one, other in ((made.client, made.server), (made.server, made.client)):
            sender = threading.Thread(target=one.sendall, args=[data])
            sender.start()
            found = b""
            while len(found) < size:
                found += other.recv(65536)
            sender.join()
            assert found == data


def talk(sock: socket.socket, data: bytes, size: int) -> bytes:
    """Send and receive at once: in one thread, since OpenSSL takes no two for one connection."""
    left, found = memoryview(data), bytearray()
    sock.settimeout(0)
    while left or len(found) < size:
        select.select([sock], [sock] if left else [], [], 10)
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while True:
                found += sock.recv(65536)
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while left:
                left = left[sock.send(left) :]
    return bytes(found)


def test_both_ways_may_be_full(made):
    up, down = os.urandom(2 << 20), os.urandom(2 << 20)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(talk(made.server, down, len(up))))
    thread.start()
    assert talk(made.client, up, len(down)) == down
    thread.join(10)
    assert found == [up]


@pytest.mark.parametrize("first", ["client", "server"])
def test_one_side_may_end_and_still_be_answered(made, first):
    one, other = sides(made, first)
    one.sendall(b"question")
    end_writing(one)
    assert read_all(other) == b"question"
    answer = os.urandom(1 << 20)
    sender = threading.Thread(target=lambda: (other.sendall(answer), end_writing(other)))
    sender.start()
    assert read_all(one) == answer
    sender.join(10)
    made.end()
    assert not made.errors


# Plain, since OpenSSL says the end of its own side only when all from the other one is read.
@pytest.mark.parametrize(
    ("made", "first"), [(("server",), "client"), (("client",), "server")], indirect=["made"]
)
def test_one_side_may_end_while_the_other_sends(made, first):
    one, other = sides(made, first)
    data = os.urandom(4 << 20)
    # More than fits between the two: some of it is on its way when the end comes.
    sender = threading.Thread(target=other.sendall, args=[data])
    sender.start()
    one.sendall(b"enough")
    end_writing(one)
    found = bytearray()
    while len(found) < len(data):
        found += one.recv(65536)
    assert found == data
    sender.join(10)
    assert read_all(other) == b"enough"
    end_writing(other)
    made.end()
    assert not made.errors


@pytest.mark.parametrize("first", ["client", "server"])
def test_an_end_without_a_word_of_tls_is_an_end(made, first):
    one, other = sides(made, first)
    one.sendall(b"x")
    assert other.recv(1) == b"x"
    socket.socket.shutdown(one, socket.SHUT_WR)
    assert other.recv(1) == b""
    end_writing(other)
    made.end()
    assert not made.errors


@pytest.mark.parametrize("first", ["client", "server"])
def test_nothing_passes_behind_the_end_of_tls(made, first):
    one, other = sides(made, first)
    end_writing(one)
    assert read_all(other) == b""
    if isinstance(one, ssl.SSLSocket):
        # On the wire, behind the end: where anybody on the way may write.
        with suppress(OSError):
            os.write(one.fileno(), b"in plain text")
    end_writing(other)
    made.end()
    with suppress(OSError):
        assert read_all(other) == b""


def test_it_can_be_closed_from_outside(made):
    made.client.sendall(b"x")
    assert made.server.recv(1) == b"x"
    made.tunnel.close()
    made.end()
    for sock in (made.client, made.server):
        with suppress(ssl.SSLEOFError):  # cut, and it shows
            assert sock.recv(1) == b""


@pytest.fixture
def ends(version: ssl.TLSVersion, tls_files: TLSFiles) -> Iterator[tuple[ssl.SSLSocket, End]]:
    far, near = tls_pair(tls_files, near_is_server=True, version=version)
    with far, near:
        far.settimeout(10)
        near.settimeout(0)
        yield far, End(near)


def read_now(end: End) -> bytes:
    while (block := end.read()) is None:
        assert select.select([end.sock], [], [], 10)[0]
    return block


def test_what_has_come_before_the_end_was_said_is_still_read(ends):
    far, near = ends
    for block in (b"one", b"two"):
        far.sendall(block)
    assert select.select([near.sock], [], [], 10)[0]
    assert near.end_writing()
    assert read_all(far) == b""
    found = b""
    while len(found) < 6:
        found += read_now(near)
    assert found == b"onetwo"
    end_writing(far)
    assert read_now(near) == b""


def test_the_end_waits_for_room(ends):
    far, near = ends
    assert near.write(b"x") == 1
    assert far.recv(1) == b"x"  # with the tickets of TLS 1.3 before it
    number, filled = near.sock.fileno(), 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(number, bytes(1 << 16))
    assert not near.end_writing()
    assert near.has_unsaid
    found = b""
    while not (near.end_writing() and len(found) > filled):
        assert select.select([far], [], [], 10)[0]
        found += os.read(far.fileno(), 1 << 20)
    assert not near.has_unsaid
    assert found[:filled] == bytes(filled)
    content_type = 21 if far.version() == "TLSv1.2" else 23  # of the alert; TLS 1.3 hides it
    assert found[filled] == content_type
    assert len(found) - filled == 5 + int.from_bytes(found[filled + 3 : filled + 5], "big")
