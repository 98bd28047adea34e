"""Bytes both ways, each way with an end of its own."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from wsgiproxy.transport.threads.tunnel import Tunnel


@dataclass
class Ends:
    """A tunnel that runs, and who talks through it."""

    client: socket.socket
    server: socket.socket
    tunnel: Tunnel
    thread: threading.Thread
    errors: list[OSError]

    def end(self) -> None:
        self.thread.join(10)
        assert not self.thread.is_alive()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Iterator[Ends]:
    options = getattr(request, "param", {})
    errors: list[OSError] = []
    with ExitStack() as stack:
        client, near = map(stack.enter_context, tcp_pair())
        server, far = map(stack.enter_context, tcp_pair())
        for sock in (client, server):
            sock.settimeout(10)
        tunnel = Tunnel(near, far, options.get("first", b""))

        def run() -> None:
            try:
                tunnel.run(options.get("idle", 30))
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        yield Ends(client, server, tunnel, thread, errors)
        tunnel.close()
        thread.join(10)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_bytes_pass_both_ways(made):
    made.client.sendall(b"ping")
    assert made.server.recv(10) == b"ping"
    made.server.sendall(b"pong!")
    assert made.client.recv(10) == b"pong!"
    made.client.close()
    assert made.server.recv(1) == b""
    made.server.close()
    made.end()
    assert (made.tunnel.sent, made.tunnel.received) == (4, 5)
    assert not made.tunnel.was_silent


@pytest.mark.parametrize("made", [{"first": b"early "}], indirect=True)
def test_what_came_early_goes_first(made):
    made.client.sendall(b"late")
    made.client.shutdown(socket.SHUT_WR)
    assert read_all(made.server) == b"early late"
    made.server.shutdown(socket.SHUT_WR)
    made.end()
    assert made.tunnel.sent == 10


@pytest.mark.parametrize("first", ["client", "server"])
def test_one_side_may_end_and_still_be_answered(made, first):
    one, other = (made.client, made.server)[:: 1 if first == "client" else -1]
    one.sendall(b"question")
    one.shutdown(socket.SHUT_WR)
    assert read_all(other) == b"question"
    answer = os.urandom(1 << 20)
    other.sendall(answer)
    other.close()
    assert read_all(one) == answer
    made.end()
    assert not made.errors


@pytest.mark.parametrize("slow", ["client", "server"])
def test_a_slow_reader_gets_all_of_what_a_closed_sender_has_sent(made, slow):
    reader, writer = (made.client, made.server)[:: 1 if slow == "client" else -1]
    reader.shutdown(socket.SHUT_WR)
    assert writer.recv(1) == b""
    data = os.urandom(8 << 20)
    sender = threading.Thread(target=lambda: (writer.sendall(data), writer.close()))
    sender.start()
    digest = hashlib.sha256()
    while block := reader.recv(5000):
        digest.update(block)
    sender.join()
    made.end()
    assert digest.digest() == hashlib.sha256(data).digest()
    assert not made.errors


def test_an_end_that_nobody_is_left_to_hear_is_no_failure(made):
    made.server.close()
    assert made.client.recv(1) == b""
    made.client.close()
    made.end()
    assert not made.errors


def test_both_ways_may_be_full(made):
    up, down = os.urandom(4 << 20), os.urandom(4 << 20)
    threads = [
        threading.Thread(target=lambda: (made.client.sendall(up), made.client.shutdown(1))),
        threading.Thread(target=lambda: (made.server.sendall(down), made.server.shutdown(1))),
    ]
    for thread in threads:
        thread.start()
    found: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=lambda: found.update(up=read_all(made.server))),
        threading.Thread(target=lambda: found.update(down=read_all(made.client))),
    ]
    for thread in readers:
        thread.start()
    for thread in threads + readers:
        thread.join(20)
    made.end()
    assert found == {"up": up, "down": down}


@pytest.mark.parametrize("broken", ["client", "server"])
def test_a_reset_ends_both(made, broken):
    one, other = (made.client, made.server)[:: 1 if broken == "client" else -1]
    one.sendall(b"x")
    assert other.recv(1) == b"x"
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()
    made.end()
    assert made.errors
    assert made.tunnel.upstream_broke == (broken == "server")
    assert other.recv(1) == b""


@pytest.mark.parametrize("made", [{"idle": 0.2}], indirect=True)
def test_a_silent_tunnel_is_given_up(made):
    made.client.sendall(b"x")
    assert made.server.recv(1) == b"x"
    made.end()
    assert made.tunnel.was_silent
    assert made.client.recv(1) == made.server.recv(1) == b""


def test_it_can_be_closed_from_outside(made):
    made.client.sendall(b"x")
    assert made.server.recv(1) == b"x"
    made.tunnel.close()
    made.end()
    assert made.client.recv(1) == made.server.recv(1) == b""


# The interpreter waits for the threads of a pool, as that of gunicorn's threads.
_POOLED = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
from wsgiproxy.transport.threads.tunnel import Tunnel
from wsgiproxy.transport.threads.tunnels import Tunnels

near, far = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
tunnels = Tunnels()
pool = ThreadPoolExecutor()

def serve():
    tunnel = Tunnel(near, far, b"begun")
    with tunnels.opened(tunnel):
        tunnel.run(600)

begun = pool.submit(serve)
while not len(tunnels) and not begun.done():
    pass
"""


def test_it_ends_with_the_process():
    client, near = socket.socketpair()
    server, far = socket.socketpair()
    with client, near, server, far:
        numbers = [near.fileno(), far.fileno()]
        command = [sys.executable, "-c", _POOLED, *map(str, numbers)]
        process = subprocess.Popen(command, pass_fds=numbers)
        near.close()
        far.close()
        server.settimeout(20)
        assert read_all(server) in (b"", b"begun")
        assert process.wait(20) == 0
        client.settimeout(20)
        assert read_all(client) == b""
