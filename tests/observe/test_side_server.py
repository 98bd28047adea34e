"""The server beside what a process serves: its limits, and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from wsgiproxy.observe.side_server import SideServer


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one"
    yield b"two"


@contextlib.contextmanager
def running(app=application, threads: int = 32) -> Iterator[SideServer]:
    server = SideServer(socket.create_server(("127.0.0.1", 0)), app, threads=threads)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.close()


def connected(server: SideServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=5)


def received(connection: socket.socket) -> bytes:
    """All until the end; a reset is one, too."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(65536):
            data += block
    return data


def test_no_more_connections_than_threads():
    may_answer = threading.Event()

    def waits(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        assert may_answer.wait(5)
        yield b"two"

    with running(waits, threads=1) as server, connected(server) as first:
        first.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert first.recv(1) == b"H"
        with connected(server) as second:
            assert received(second) == b""
        may_answer.set()
        assert received(first).endswith(b"onetwo")
        while True:  # until the thread has ended
            with connected(server) as third, contextlib.suppress(ConnectionError):
                third.sendall(b"GET / HTTP/1.1\r\n\r\n")
                if received(third).endswith(b"onetwo"):
                    break


def test_end_cuts_a_silent_client():
    with running() as server, connected(server) as silent, connected(server) as asking:
        asking.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert received(asking).endswith(b"onetwo")  # so the silent one has been accepted
        server.close()
        assert received(silent) == b""


@pytest.mark.parametrize(
    "request_line",
    [b"<script>\r\n\r\n", b"GET <b> HTTP/9\r\n\r\n", b"GET /" + b"a" * 70_000 + b"\r\n\r\n"],
    ids=["word", "version", "long"],
)
def test_what_is_no_http_is_not_repeated(request_line):
    with running() as server, connected(server) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request_line)
        assert b"<" not in received(client) and threading.active_count() < 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_closing_in_a_child_leaves_the_parent_alone():
    with running() as server, connected(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with connected(server) as other:  # so the first one has been accepted
            other.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert received(other)
        child = os.fork()
        if not child:
            server.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.sendall(b"\r\n")
        assert received(client).endswith(b"onetwo")


def test_silent_connections_keep_no_client_out():
    with running(threads=4) as server, contextlib.ExitStack() as opened:
        for _ in range(20):
            silent = opened.enter_context(connected(server))
            with contextlib.suppress(OSError):
                silent.sendall(b"GET /")
        with connected(server) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert received(client).endswith(b"onetwo")
