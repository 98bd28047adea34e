"""One connection of threads: what is quiet, what waits, and what never does."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from tests.support.calls import in_thread
from tests.support.upstream import answer
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.threads import connection as module
from wsgiproxy.transport.threads.connection import SLICE, Connection

NOWHERE = Origin("http", "127.0.0.1", 1)
FULL = SLICE * 1000 + 1
needs_linux = pytest.mark.skipif(not module._IS_LINUX, reason="as Linux does it")


def tcp_pair(
    family: socket.AddressFamily, host: str, protocol: int = 0
) -> tuple[socket.socket, socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as listener:
        listener.bind((host, 0))
        listener.listen()
        one = socket.socket(family, socket.SOCK_STREAM, protocol)
        one.connect(listener.getsockname())
        return one, listener.accept()[0]


PAIRS: dict[str, Callable[[], tuple[socket.socket, socket.socket]]] = {
    "IPv4": lambda: tcp_pair(socket.AF_INET, "127.0.0.1"),
    "IPv6": lambda: tcp_pair(socket.AF_INET6, "::1"),
    "Unix": socket.socketpair,
    "MPTCP": lambda: tcp_pair(socket.AF_INET, "127.0.0.1", 262),
}


@dataclass
class Ends:
    """A connection, and the socket of its upstream."""

    wire: Connection
    upstream: socket.socket

    def ask(self) -> None:
        """One exchange, so that bytes have come."""
        self.upstream.sendall(b"answer")
        wait_until(self.wire.has_arrived)
        assert self.wire.recv() == b"answer"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture(params=PAIRS)
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    try:
        near, far = PAIRS[request.param]()
    except OSError as error:
        pytest.skip(f"{request.param}: {error}")
    with ExitStack() as stack:
        wire = Connection(near, NOWHERE)
        stack.callback(wire.close)
        stack.enter_context(far)
        yield Ends(wire, far)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def urgent(sock: socket.socket) -> None:
    with suppress(OSError):  # Unix sockets and MPTCP may know none
        sock.send(b"x", socket.MSG_OOB)
    sock.send(b"x")


HAPPENINGS: dict[str, Callable[[socket.socket], object]] = {
    "an end": lambda sock: sock.close(),
    "the end of its sending": lambda sock: sock.shutdown(socket.SHUT_WR),
    "a byte": lambda sock: sock.send(b"x"),
    "a byte and an end": lambda sock: (sock.send(b"x"), sock.close()),
    "a reset": reset,
    "a byte and a reset": lambda sock: (sock.send(b"x"), reset(sock)),
    "an urgent byte": urgent,
}


def is_quiet(connection: Connection) -> bool:
    """What the first thread finds by a poll, and a worker thread by TCP_INFO."""
    found = connection.is_quiet()
    assert in_thread(connection.is_quiet) is found
    return found


@pytest.mark.parametrize("happening", HAPPENINGS)
@pytest.mark.parametrize("counts", [True, False])
def test_an_idle_connection_is_quiet_until_something_happens(ends, monkeypatch, happening, counts):
    if not counts:  # as gVisor's kernel
        monkeypatch.setattr(module, "_state_and_bytes", lambda info: (1, 0))
    for _ in range(3):
        ends.ask()
        assert is_quiet(ends.wire)
    HAPPENINGS[happening](ends.upstream)
    wait_until(ends.wire.has_arrived)
    assert not is_quiet(ends.wire)


def test_a_byte_behind_the_answer_is_not_overlooked(ends):
    ends.upstream.sendall(b"answer")
    wait_until(ends.wire.has_arrived)
    assert ends.wire.recv() == b"answer"
    ends.upstream.sendall(b"x")
    wait_until(ends.wire.has_arrived)
    assert not is_quiet(ends.wire)
    assert ends.wire.recv() == b"x"
    assert is_quiet(ends.wire)


@needs_linux
@pytest.mark.parametrize("ends", ["IPv4", "IPv6"], indirect=True)
def test_a_quiet_tcp_connection_is_not_polled_by_worker_threads(ends):
    ends.ask()
    ends.wire.poll = None
    assert in_thread(ends.wire.is_quiet)


@needs_linux
@pytest.mark.parametrize("ends", ["IPv4"], indirect=True)
def test_bytes_of_a_parent_proxy_are_counted(ends):
    ends.upstream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    assert select.select([ends.wire.sock], [], [], 5)[0]
    ends.wire.sock.recv(100)
    again = Connection(ends.wire.sock, NOWHERE)
    Ends(again, ends.upstream).ask()
    again.poll = None  # type: ignore[assignment]
    assert in_thread(again.is_quiet)


def test_bytes_that_came_before_the_request_are_noticed(ends):
    ends.upstream.sendall(b"x")
    wait_until(ends.wire.has_arrived)
    again = Connection(ends.wire.sock, NOWHERE)
    assert again.has_spoken_first()


def test_what_is_to_be_done_now_does_not_wait(ends):
    start = time.monotonic()
    assert ends.wire.recv() is None
    assert not ends.wire.has_arrived()
    block = b"x" * 1_000_000
    while ends.wire.send_now(block):
        pass
    assert ends.wire.wait(0) == (False, False)
    assert time.monotonic() - start < SLICE


@needs_linux
def test_a_read_waits_for_a_slice_and_for_no_more(ends):
    start = time.monotonic()
    assert ends.wire.recv(waits=True) is None
    assert SLICE - 0.05 <= time.monotonic() - start < SLICE + 1
    ends.upstream.sendall(b"answer")
    assert ends.wire.recv(waits=True) == b"answer"
    ends.upstream.close()
    assert ends.wire.recv(waits=True) == b""


@needs_linux
def test_a_read_waits_by_itself_only_where_no_signal_interrupts_it(ends):
    may = ends.wire.recv_may_wait
    assert not may(FULL), "the first thread gets the signals"
    assert in_thread(lambda: may(FULL))
    assert not in_thread(lambda: may(FULL / 2)), "the limit is nearer"


@needs_linux
@pytest.mark.parametrize("ends", ["IPv4"], indirect=True)
def test_the_only_thread_of_a_forked_child_gets_its_signals(ends):
    def fork() -> int:
        child = os.fork()
        if child == 0:
            os._exit(3 if ends.wire.recv_may_wait(FULL) else 4)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_thread(fork) == 4


@needs_linux
def test_where_a_timeval_has_another_size_reads_do_not_wait(monkeypatch):
    monkeypatch.setattr(module, "_SLICE_IN_C", b"?")
    near, far = socket.socketpair()
    with far:
        wire = Connection(near, NOWHERE)
        assert not in_thread(lambda: wire.recv_may_wait(FULL))
        assert wire.recv() is None
        wire.close()


def test_tls_never_blocks(tls_upstream, tls_files):
    tls_upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(ca_file=str(tls_files[1]))
    origin = Origin("https", "127.0.0.1", tls_upstream.port)
    transport.send(origin, Request("GET", "/", [("Host", "a")])).read()
    [[wire]] = transport._pool._idle.values()
    assert wire.sock.gettimeout() == 0 and not os.get_blocking(wire.sock.fileno())
    assert not in_thread(lambda: wire.recv_may_wait(FULL))
    transport.close()
