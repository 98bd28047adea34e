"""An answer that begins while its request is still being sent: both go on at once.

RFC 9112, 9.5: the sending stops when the answer says that the connection closes, when the answer
is complete, or when the upstream takes no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.connection import Connection
from tests.support.messages import answer, chunks
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import BadRequest, UpstreamLost
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport import PooledTransport

BLOCK = 65536
MORE = 80  # blocks: more than all buffers on the way hold
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def block_of(number: int) -> bytes:
    return bytes([number % 251]) * BLOCK


def blocks(count: int = MORE) -> Iterator[bytes]:
    return map(block_of, range(count))


def echo(connection: Connection, head: bytes = HEAD) -> None:
    """Answer each block of a body of MORE blocks as it comes, as `q.pipe(s)` does in node."""
    while True:
        connection.read_head()
        connection.send(head)
        for _ in range(MORE):
            connection.send(chunks(connection.read_body(BLOCK), last=False))
        connection.send(b"0\r\n\r\n")


def origin_of(upstream: RawUpstream, scheme: str = "http") -> Origin:
    return Origin(scheme, "127.0.0.1", upstream.port)


POST = Request("POST", "/", [("Host", "a")], content_length=BLOCK * MORE)


@pytest.fixture
def transport() -> Iterator[PooledTransport]:
    made = PooledTransport()
    yield made
    made.close()


def test_an_echo_passes_and_the_connection_serves_again(upstream, transport):
    upstream.behaviour = echo
    for reused in (False, True):
        reply = transport.send(origin_of(upstream), POST, blocks())
        assert reply.head.status == 200
        assert reply.reused is reused
        assert b"".join(reply) == b"".join(blocks())
    assert upstream.connections == 1


def test_a_chunked_echo_passes(upstream, transport):
    def echo_chunks(connection: Connection) -> None:
        connection.read_head()
        connection.send(HEAD)
        size = len(chunks(b"x" * BLOCK, last=False))
        for _ in range(MORE):
            connection.send(connection.read_body(size))
        connection.send(connection.read_body(len(b"0\r\n\r\n")))

    upstream.behaviour = echo_chunks
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    reply = transport.send(origin_of(upstream), request, blocks())
    assert b"".join(reply) == b"".join(blocks())


def test_an_echo_passes_beside_a_login_and_then_its_connection_ends(upstream, transport):
    head = HEAD.replace(b"\r\n\r\n", b"\r\nWWW-Authenticate: Negotiate oRQw\r\n\r\n")
    upstream.behaviour = partial(echo, head=head)
    reply = transport.send(origin_of(upstream), POST, blocks())
    assert b"".join(reply) == b"".join(blocks())
    assert upstream.wait_closed()


def test_an_echo_passes_over_tls(tls_upstream, tls_files):
    tls_upstream.behaviour = echo
    transport = PooledTransport(ca_file=str(tls_files[1]))
    reply = transport.send(origin_of(tls_upstream, "https"), POST, blocks())
    assert b"".join(reply) == b"".join(blocks())
    transport.close()


def counted(taken: list[int], count: int = 10_000) -> Iterator[bytes]:
    for number in range(count):
        taken.append(number)
        yield block_of(number)


LONG = POST._replace(content_length=BLOCK * 10_000)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(answer(413, body=b"too much"), id="it is complete"),
        pytest.param(
            answer(413, headers=[("Connection", "close"), ("Content-Length", "8")]),
            id="it says that the connection closes",
        ),
        pytest.param(b"HTTP/1.0 413 No\r\nContent-Length: 8\r\n\r\n", id="it is of HTTP/1.0"),
    ],
)
def test_an_answer_that_wants_no_more_stops_the_sending(upstream, transport, sent):
    upstream.behaviour = [("read_head",), ("send", sent)]
    if not sent.endswith(b"too much"):
        upstream.behaviour += [("send", b"too much")]
    taken: list[int] = []
    reply = transport.send(origin_of(upstream), LONG, counted(taken))
    assert (reply.head.status, reply.read()) == (413, b"too much")
    assert len(taken) < 1000
    assert upstream.wait_closed()


def test_an_answer_that_completes_later_stops_the_sending(upstream, transport):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"),
        ("read_body", BLOCK * 20),
        ("send", b"cd"),
    ]
    taken: list[int] = []
    reply = transport.send(origin_of(upstream), LONG, counted(taken))
    assert reply.read() == b"abcd"
    assert 20 <= len(taken) < 1000
    assert upstream.wait_closed()


@pytest.mark.parametrize("after", [0, BLOCK, BLOCK * 30])
def test_a_body_without_length_that_ends_by_reset_is_never_complete(upstream, transport, after):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 200 OK\r\n\r\nhello"),
        ("read_body", after),
        ("reset",),
    ]
    with pytest.raises(UpstreamLost):
        transport.send(origin_of(upstream), LONG, counted([])).read()


@pytest.mark.parametrize(
    "error", [BadRequest("the client left"), None], ids=["it fails", "it is short"]
)
def test_a_body_that_breaks_off_breaks_the_answer(upstream, transport, error):
    def broken() -> Iterator[bytes]:
        yield from blocks(MORE - 1)
        if error is not None:
            raise error

    upstream.behaviour = echo
    reply = transport.send(origin_of(upstream), POST, broken())
    with pytest.raises(BadRequest):
        reply.read()
    assert upstream.wait_closed()
    assert upstream.errors == []


def test_an_answer_that_is_given_up_stops_the_sending(upstream, transport):
    upstream.behaviour = echo
    taken: list[int] = []
    reply = transport.send(origin_of(upstream), POST, counted(taken, MORE))
    assert next(reply)
    reply.close()
    assert upstream.wait_closed()
    assert len(taken) < MORE


def test_events_of_the_answer_pass_while_the_request_waits_for_room(upstream, transport):
    """The upstream reads nothing, and says something all the same."""
    upstream.behaviour = [
        ("read_head",),
        ("send", HEAD),
        *[("send", chunks(b"event", last=False))] * 20,
        ("send", b"0\r\n\r\n"),
    ]
    reply = transport.send(origin_of(upstream), LONG, counted([]))
    assert b"".join(reply) == b"event" * 20


def test_a_short_answer_to_a_long_request_keeps_the_connection(upstream, transport):
    upstream.behaviour = answer(body=b"thanks")
    for _ in range(3):
        assert transport.send(origin_of(upstream), POST, blocks()).read() == b"thanks"
    assert upstream.connections == 1
