"""An answer that begins while its request is still being sent, in an event loop.

RFC 9112, 9.5: the sending stops when the answer says that the connection closes, when the answer
is complete, or when the upstream takes no more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from time import monotonic

import pytest

from tests.support.connection import Connection
from tests.support.loops import in_thread, until
from tests.support.messages import answer, chunks
from tests.transport.aio.test_reuse import POST, origin_of
from tests.transport.test_duplex import BLOCK, HEAD, block_of, echo
from tests.transport.test_duplex import blocks as blocks_of
from wsgiproxy.errors import BadRequest, ClientGone, UpstreamLost
from wsgiproxy.sansio.message import Request
from wsgiproxy.transport import AsyncCall
from wsgiproxy.transport.aio.ticker import TICK

MORE = 80
ECHOED = POST._replace(content_length=BLOCK * MORE)
LONG = POST._replace(content_length=BLOCK * 10_000)


async def blocks(count: int = MORE) -> AsyncIterator[bytes]:
    for block in blocks_of(count):
        yield block


async def counted(taken: list[int], count: int = 10_000) -> AsyncIterator[bytes]:
    for number in range(count):
        taken.append(number)
        yield block_of(number)


async def test_an_echo_passes_and_the_connection_serves_again(upstream, transport):
    upstream.behaviour = echo
    for reused in (False, True):
        reply = await transport.send(origin_of(upstream), ECHOED, blocks())
        assert (reply.head.status, reply.reused) == (200, reused)
        assert await reply.read() == b"".join(blocks_of(MORE))
    assert upstream.connections == 1


async def test_a_chunked_echo_of_10_mib_passes(upstream, transport):
    count = 160

    def echo_chunks(connection: Connection) -> None:
        connection.read_head()
        connection.send(HEAD)
        size = len(chunks(b"x" * BLOCK, last=False))
        for _ in range(count):
            connection.send(connection.read_body(size))
        connection.send(connection.read_body(len(b"0\r\n\r\n")))

    upstream.behaviour = echo_chunks
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    reply = await transport.send(origin_of(upstream), request, blocks(count))
    assert await reply.read() == b"".join(blocks_of(count))


async def test_an_echo_beside_a_login_passes_and_then_its_connection_ends(upstream, transport):
    head = HEAD.replace(b"\r\n\r\n", b"\r\nWWW-Authenticate: Negotiate oRQw\r\n\r\n")
    upstream.behaviour = partial(echo, head=head)
    reply = await transport.send(origin_of(upstream), ECHOED, blocks())
    assert await reply.read() == b"".join(blocks_of(MORE))
    assert await in_thread(upstream.wait_closed)


async def test_an_echo_passes_over_tls(tls_upstream, made, ca_file):
    tls_upstream.behaviour = echo
    transport = made(ca_file=ca_file)
    for _ in range(2):
        reply = await transport.send(
            origin_of(tls_upstream)._replace(scheme="https"), ECHOED, blocks()
        )
        assert await reply.read() == b"".join(blocks_of(MORE))
    assert tls_upstream.connections == 1


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
async def test_an_answer_that_wants_no_more_stops_the_sending(upstream, transport, sent):
    upstream.behaviour = [("read_head",), ("send", sent)]
    if not sent.endswith(b"too much"):
        upstream.behaviour += [("send", b"too much")]
    taken: list[int] = []
    reply = await transport.send(origin_of(upstream), LONG, counted(taken))
    assert (reply.head.status, await reply.read()) == (413, b"too much")
    assert len(taken) < 1000
    assert await in_thread(upstream.wait_closed)


async def test_a_body_that_complains_of_being_stopped_does_not_break_the_answer(
    upstream, transport
):
    asked, go = threading.Event(), threading.Event()
    upstream.behaviour = [
        ("read_head",),
        ("wait", asked),
        ("send", answer(413, [("Connection", "close"), ("Content-Length", "8")])),
        ("wait", go),
        ("send", b"too much"),
    ]
    stopped: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise OSError("the server is cross") from None

    reply = await transport.send(origin_of(upstream), LONG, endless())
    assert await until(lambda: stopped)
    go.set()
    assert await reply.read() == b"too much"


async def test_a_body_without_end_is_stopped_by_a_complete_answer(upstream, transport):
    """The client says nothing more, and the upstream needs nothing more."""
    asked = threading.Event()
    upstream.behaviour = [("read_head",), ("wait", asked), ("send", answer(body=b"enough"))]
    stopped: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    reply = await transport.send(origin_of(upstream), LONG, endless())
    assert (reply.whole, reply.complete) == (b"enough", True)
    assert await in_thread(upstream.wait_closed)
    assert await until(lambda: stopped)


async def test_an_answer_that_completes_later_stops_the_sending(upstream, transport):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"),
        ("read_body", BLOCK * 20),
        ("send", b"cd"),
    ]
    taken: list[int] = []
    reply = await transport.send(origin_of(upstream), LONG, counted(taken))
    assert await reply.read() == b"abcd"
    assert 20 <= len(taken) < 1000
    assert await in_thread(upstream.wait_closed)


@pytest.mark.parametrize("size", [8, 50_000])
@pytest.mark.parametrize("reads", [False, True], ids=["slow-client", "quick-client"])
async def test_an_upstream_that_answers_and_closes_while_we_write(upstream, transport, size, reads):
    """Our write meets a reset; what the upstream said before is not lost."""
    gone = threading.Event()

    def refuse(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer(413, body=b"x" * size))
        # All is acknowledged before the reset, which unread bytes of ours make of the end.
        connection.read_body(BLOCK)
        connection.close()
        gone.set()

    upstream.behaviour = refuse
    reply = await transport.send(origin_of(upstream), LONG, counted([]))
    if not reads:
        assert await in_thread(gone.wait, 5)
        await until(lambda: reply._connection is None, 0.2)
    assert (reply.head.status, len(await reply.read())) == (413, size)


@pytest.mark.parametrize("after", [0, BLOCK, BLOCK * 30])
async def test_a_body_without_length_that_ends_by_reset_is_never_complete(
    upstream, transport, after
):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 200 OK\r\n\r\nhello"),
        ("read_body", after),
        ("reset",),
    ]
    with pytest.raises(UpstreamLost):
        await (await transport.send(origin_of(upstream), LONG, counted([]))).read()


@pytest.mark.parametrize(
    "error", [BadRequest("the client left"), None], ids=["it fails", "it is short"]
)
async def test_a_body_that_breaks_off_breaks_the_answer(upstream, transport, error):
    async def broken() -> AsyncIterator[bytes]:
        async for block in blocks(MORE - 1):
            yield block
        if error is not None:
            raise error

    upstream.behaviour = echo
    with pytest.raises(BadRequest):
        await (await transport.send(origin_of(upstream), ECHOED, broken())).read()
    assert await in_thread(upstream.wait_closed)
    assert upstream.errors == []


async def test_an_answer_that_is_given_up_stops_the_sending(upstream, transport):
    upstream.behaviour = echo
    taken: list[int] = []
    reply = await transport.send(origin_of(upstream), LONG, counted(taken))
    assert await anext(reply)
    reply.close()
    assert await in_thread(upstream.wait_closed)
    assert len(taken) < 10_000


async def test_events_of_the_answer_pass_while_the_request_waits_for_room(upstream, transport):
    """The upstream reads nothing, and says something all the same; the client is not drained."""
    upstream.behaviour = [
        ("read_head",),
        ("send", HEAD),
        *[("send", chunks(b"event", last=False))] * 20,
        ("send", b"0\r\n\r\n"),
    ]
    taken: list[int] = []
    reply = await transport.send(origin_of(upstream), LONG, counted(taken))
    assert await reply.read() == b"event" * 20
    assert len(taken) < 1000


# A client whose upload is not taken


def is_stalled(transport) -> bool:
    """Whether an upload waits for room."""
    replies = transport._place().ticker._due
    return any(each._connection is not None and each._connection.is_stalled for each in replies)


CHUNKED = Request("POST", "/", [("Host", "a")], chunked=True)
SMALL = b"s" * 1000


async def test_a_client_that_leaves_while_its_upload_waits_is_noticed(upstream, transport):
    upstream.behaviour = [("wait", threading.Event())]

    async def leaving() -> AsyncIterator[bytes]:
        while not is_stalled(transport):
            yield block_of(0)
        yield SMALL
        raise ClientGone("the client has left")

    began = monotonic()
    with pytest.raises(ClientGone):
        await transport.send(origin_of(upstream), CHUNKED, leaving())
    assert monotonic() - began < 4, "it was the idle limit"


async def test_a_client_that_has_sent_all_and_leaves_is_noticed_as_well(upstream, transport):
    upstream.behaviour = [("wait", threading.Event())]

    async def ending() -> AsyncIterator[bytes]:
        while not is_stalled(transport):
            yield block_of(0)
        yield SMALL

    async def abandoned() -> None:
        assert is_stalled(transport)

    began = monotonic()
    with pytest.raises(ClientGone):
        await transport.send(origin_of(upstream), CHUNKED, ending(), AsyncCall(abandoned=abandoned))
    assert monotonic() - began < 4, "it was the idle limit"


async def test_what_is_read_while_an_upload_waits_is_a_block_and_arrives_in_order(
    upstream, transport
):
    go = threading.Event()
    upstream.behaviour = [("wait", go), ("read",), ("send", answer(body=b"x"))]
    sent: list[bytes] = []
    ahead: list[bytes] = []

    async def numbered() -> AsyncIterator[bytes]:
        while not is_stalled(transport):
            sent.append(block_of(len(sent)))
            yield sent[-1]
        while is_stalled(transport):
            ahead.append(b"%05d" % len(ahead) + SMALL)
            if sum(map(len, ahead)) >= BLOCK:  # and then nothing more is to be read for a while
                asyncio.get_running_loop().call_later(2 * TICK, go.set)
            yield ahead[-1]
        yield b"the end"

    reply = await transport.send(origin_of(upstream), CHUNKED, numbered())
    assert await reply.read() == b"x"
    assert BLOCK <= sum(map(len, ahead)) < BLOCK + len(ahead[0])
    assert upstream.requests[0].body == b"".join([*sent, *ahead, b"the end"])


async def test_an_answer_while_an_upload_waits_ends_its_reading_ahead(upstream, transport):
    read = threading.Event()
    upstream.behaviour = [("read_head",), ("wait", read), ("send", answer(413, body=b"no"))]
    ended: list[bool] = []

    async def waiting() -> AsyncIterator[bytes]:
        while not is_stalled(transport):
            yield block_of(0)
        read.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    reply = await transport.send(origin_of(upstream), CHUNKED, waiting())
    assert (reply.head.status, await reply.read()) == (413, b"no")
    assert await until(lambda: ended)


async def test_a_short_answer_to_a_long_request_keeps_the_connection(upstream, transport):
    upstream.behaviour = answer(body=b"thanks")
    for _ in range(3):
        reply = await transport.send(origin_of(upstream), ECHOED, blocks())
        assert await reply.read() == b"thanks"
    assert upstream.connections == 1


async def test_a_body_in_one_huge_block_is_given_the_time_that_it_takes(upstream, made):
    """The limits are for silence; an upstream that goes on taking is not silent."""
    size = 1 << 25

    def read_slowly(connection: Connection) -> None:
        connection.read_head()
        for _ in range(16):
            connection.read_body(size >> 4)
            upstream.wait_until(lambda: connection.ended, 0.08)
        connection.send(answer(body=b"x"))
        connection.wait_ended()

    upstream.behaviour = read_slowly
    transport = made(head_timeout=0.4, idle_timeout=0.4)

    async def one() -> AsyncIterator[bytes]:
        yield bytes(size)

    reply = await transport.send(origin_of(upstream), POST._replace(content_length=size), one())
    assert await reply.read() == b"x"
