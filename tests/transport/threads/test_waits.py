"""What a request waits for, in the first thread and in others: all promises hold in both."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.connection import Connection
from tests.support.upstream import answer, chunks
from tests.transport.threads.conftest import origin_of
from wsgiproxy.errors import ClientGone, UpstreamTimeout
from wsgiproxy.sansio.message import Request
from wsgiproxy.transport import Call, Timeouts

pytestmark = pytest.mark.in_turns(3)

GET = Request("GET", "/", [("Host", "a")])
POST = Request("POST", "/", [("Host", "a")], content_length=1 << 23)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# More than one slice, so that a read waits by itself first.
LIMITED = Call(Timeouts(5, 0.7, 0.7))


@contextmanager
def took(least: float, most: float) -> Iterator[None]:
    """How long it takes; with some room, for machines that have much else to do."""
    start = time.monotonic()
    yield
    assert least <= time.monotonic() - start < most


# -- limits -------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.05, 0.4, 0.7])
def test_a_silence_has_its_limit(server, transport, run, limit):
    server.behaviour = [("read",)]
    with took(limit, limit + 1), pytest.raises(UpstreamTimeout):
        run(lambda: transport.send(origin_of(server), GET, None, Call(Timeouts(5, limit, 9))))


def test_a_silence_in_the_body_has_its_limit(server, transport, run):
    server.behaviour = [("read",), ("send", HEAD + chunks(b"1", last=False))]

    def read() -> None:
        with pytest.raises(UpstreamTimeout):
            transport.send(origin_of(server), GET, None, LIMITED).read()

    with took(0.7, 1.7):
        run(read)


def test_a_head_in_pieces_passes(server, transport, run):
    server.behaviour = [("read",), ("send_slowly", answer(body=b"x"), 0.02)]
    assert run(lambda: transport.send(origin_of(server), GET).read()) == b"x"


def test_a_head_in_pieces_has_its_limit(server, transport, run):
    server.behaviour = [("read",), ("send_slowly", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 999, 0.05)]
    with took(0.7, 1.7), pytest.raises(UpstreamTimeout):
        run(lambda: transport.send(origin_of(server), GET, None, LIMITED))


def test_a_body_in_pieces_has_none(server, transport, run):
    """The idle limit is between two reads."""
    server.behaviour = [
        ("read",),
        ("send", answer(headers=[("Content-Length", "9")])),
        ("send_slowly", b"x" * 9, 0.15),
    ]
    call = Call(Timeouts(5, 5, 0.6))
    assert run(lambda: transport.send(origin_of(server), GET, None, call).read()) == b"x" * 9


def test_an_upload_that_is_not_taken_has_its_limit(server, transport, run):
    server.behaviour = [("read_head",), ("wait_ended",)]
    with took(0.7, 1.9), pytest.raises(UpstreamTimeout):
        run(
            lambda: transport.send(
                origin_of(server), POST, iter([b"x" * (1 << 16)] * (1 << 7)), LIMITED
            )
        )


@contextmanager
def signals(interval: float) -> Iterator[list[int]]:
    """Signals to the process again and again; how many there were."""
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("interval", [0.01, 0.001])
def test_signals_do_not_stretch_a_limit(server, transport, run, interval):
    server.behaviour = [("read",)]
    with signals(interval) as seen, took(1, 2.1), pytest.raises(UpstreamTimeout):
        run(lambda: transport.send(origin_of(server), GET, None, Call(Timeouts(5, 1, 1))))
    assert len(seen) > 20


def test_signals_do_not_hide_a_client_that_has_left(server, transport, run):
    server.behaviour = [("read",)]
    call = Call(abandoned=lambda: True)
    with signals(0.01), took(0.4, 1.6), pytest.raises(ClientGone):
        run(lambda: transport.send(origin_of(server), GET, None, call))


# -- the client ---------------------------------------------------------------------


def test_a_client_that_has_left_is_noticed_within_a_second(server, transport, run):
    server.behaviour = [("read",)]
    with took(0.4, 1.6), pytest.raises(ClientGone):
        run(lambda: transport.send(origin_of(server), GET, None, Call(abandoned=lambda: True)))
    assert server.wait_closed(1)


def test_a_client_that_has_left_is_noticed_in_a_silent_body(server, transport, run):
    server.behaviour = [("read",), ("send", HEAD + chunks(b"1", last=False))]

    def read() -> None:
        with pytest.raises(ClientGone):
            transport.send(origin_of(server), GET, None, Call(abandoned=lambda: True)).read()

    with took(0.4, 1.6):
        run(read)


def test_a_silence_is_offered_each_half_second(server, transport, run):
    server.behaviour = [("read",), ("send", HEAD + chunks(b"1", last=False))]

    def read() -> list[bytes]:
        reply = transport.send(origin_of(server), GET)
        reply.pulse()
        blocks = [next(reply) for _ in range(3)]
        reply.close()
        return blocks

    with took(0.9, 2.1):
        assert run(read) == [b"1", b"", b""]


# -- greenlets ----------------------------------------------------------------------

GREENLETS = """
    from gevent import monkey
    monkey.patch_all()
    import sys, time
    import gevent
    from wsgiproxy.errors import ClientGone, UpstreamTimeout
    from wsgiproxy.sansio.message import Origin, Request
    from wsgiproxy.transport import Call, PooledTransport, Timeouts

    transport = PooledTransport()
    origin = Origin("http", "127.0.0.1", int(sys.argv[1]))
    get = Request("GET", "/", [("Host", "a")])
    transport.send(origin, get).read()
    [[wire]] = transport._pool._idle.values()
    start, ticks_seen = time.monotonic(), []

    def tick():
        while True:
            gevent.sleep(0.01)
            ticks_seen.append(1)

    def silent(**options):
        try:
            transport.send(origin, get._replace(target="/silent"), None, Call(**options))
        except (ClientGone, UpstreamTimeout) as error:
            return type(error).__name__, time.monotonic() - start

    ticks = gevent.spawn(tick)
    asked = [
        gevent.spawn(silent, timeouts=Timeouts(5, 1.0, 1.0)),
        gevent.spawn(silent, abandoned=lambda: True),
    ]
    for _ in range(20):
        assert transport.send(origin, get).reused
    (late, spent), (gone, noticed) = [one.get(10) for one in asked]
    print(late, 1 <= spent < 2, gone, 0.4 < noticed < 1.4, len(ticks_seen) > 10)
    print(wire.sock.gettimeout(), type(wire.sock).__module__)
"""


def test_greenlets_go_on_while_one_waits(upstream):
    pytest.importorskip("gevent")

    def behave(connection: Connection) -> None:
        while connection.read().target == "/":
            connection.send(answer(body=b"x"))
        connection.wait_ended()

    upstream.behaviour = behave
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GREENLETS), str(upstream.port)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == [
        "UpstreamTimeout True ClientGone True True",
        "0.0 gevent._socket3",
    ], done.stderr


def test_a_default_timeout_of_the_process_changes_nothing(server, transport, run):
    server.behaviour = [("read",)]
    socket.setdefaulttimeout(0.1)
    try:
        with took(0.7, 1.7), pytest.raises(UpstreamTimeout):
            run(lambda: transport.send(origin_of(server), GET, None, LIMITED))
    finally:
        socket.setdefaulttimeout(None)
