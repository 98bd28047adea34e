"""Exchanges on kept connections: what happens between two of them, and both ways at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.connection import Connection
from tests.support.upstream import answer, chunks
from tests.transport.threads.conftest import origin_of
from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.message import Request

GET = Request("GET", "/", [("Host", "a")])
BLOCK = b"x" * 65536
MORE = 80  # blocks: more than all buffers on the way hold
POST = Request("POST", "/", [("Host", "a")], content_length=len(BLOCK) * MORE)
#: A POST is never sent twice, so it passes only if no dead connection was used.
SMALL_POST = POST._replace(content_length=4)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- between two requests -----------------------------------------------------------


@pytest.mark.parametrize(
    "happening",
    [
        pytest.param([("close",)], id="an end"),
        pytest.param([("shutdown_write",)], id="the end of its sending"),
        pytest.param([("reset",)], id="a reset"),
        pytest.param([("send", b"x")], id="a byte"),
        pytest.param([("send", answer(body=b"3"))], id="a second answer"),
        pytest.param([("send", b"x"), ("close",)], id="a byte and an end"),
    ],
)
def test_no_request_is_lost_on_an_idle_connection(server, transport, run, happening):
    go, done = threading.Event(), threading.Event()
    # Even the answer that comes in pieces must not confuse the count of bytes.
    first = [("read",), ("send", HEAD), ("send", chunks(b"1")), ("wait", go), *happening[:-1]]
    last = (*happening[-1],)
    server.behaviour = [
        lambda connection: (connection.play(first), _play_last(connection, last, done)),
        answer(body=b"2"),
    ]

    def both() -> bytes:
        transport.send(origin_of(server), GET).read()
        go.set()
        assert done.wait(5)
        return transport.send(origin_of(server), SMALL_POST, [b"body"]).read()

    assert run(both) == b"2"
    assert server.connections == 2


def _play_last(connection: Connection, step: tuple[Any, ...], done: threading.Event) -> None:
    getattr(connection, step[0])(*step[1:])
    done.set()
    if not connection.closed:
        connection.wait_ended()


def test_an_upstream_that_ends_its_sending_is_read_to_the_end(server, transport, run):
    server.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\n\r\nhello"),
        ("shutdown_write",),
    ]
    assert run(lambda: transport.send(origin_of(server), GET).read()) == b"hello"
    assert server.wait_closed()


# -- both ways at once --------------------------------------------------------------


def test_a_large_echo_passes(server, transport, run):
    def echo(connection: Connection) -> None:
        while True:
            connection.read_head()
            connection.send(HEAD)
            for _ in range(MORE):
                connection.send(chunks(connection.read_body(len(BLOCK)), last=False))
            connection.send(b"0\r\n\r\n")

    def ask() -> bytes:
        return transport.send(origin_of(server), POST, iter([BLOCK] * MORE)).read()

    server.behaviour = echo
    assert run(lambda: [ask(), ask()]) == [BLOCK * MORE] * 2
    assert server.connections == 1


def test_an_early_answer_stops_a_large_upload(server, transport, run):
    server.behaviour = [("read_head",), ("send", answer(413, body=b"no"))]
    request = POST._replace(content_length=len(BLOCK) * 10_000)
    taken: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(10_000):
            taken.append(number)
            yield BLOCK

    assert run(lambda: transport.send(origin_of(server), request, blocks()).read()) == b"no"
    assert len(taken) < 1000


def test_a_large_answer_that_breaks_off_is_never_complete(server, transport, run):
    server.behaviour = [("read",), ("send", HEAD + chunks(BLOCK, last=False)), ("reset",)]

    def read() -> None:
        with pytest.raises(UpstreamLost):
            transport.send(origin_of(server), GET).read()

    run(read)
