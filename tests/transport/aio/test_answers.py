"""Answers in an event loop: what is whole, what is cut, limits in size and in time."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.connection import Connection
from tests.support.loops import in_thread, until
from tests.support.upstream import answer, chunked_answer, chunks
from tests.transport.aio.test_reuse import GET, POST, ask, origin_of, stream
from wsgiproxy.errors import (
    BadRequest,
    BadResponse,
    ClientGone,
    HeadTooLarge,
    UpstreamLost,
    UpstreamTimeout,
)
from wsgiproxy.sansio.message import Request, ResponseHead
from wsgiproxy.transport import AsyncCall, Timeouts
from wsgiproxy.transport.aio.ticker import TICK

QUICK = Timeouts(connect=5, head=0.3, idle=0.3)
CHUNKED = answer(headers=[("Transfer-Encoding", "chunked")])
NINE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


# -- whole, or cut -----------------------------------------------------------------------


async def test_a_head_in_pieces(upstream, transport):
    upstream.behaviour = [("read",), ("send_slowly", answer(body=b"hello"), 0.001)]
    assert await ask(transport, upstream) == b"hello"


async def test_what_came_whole_is_also_iterated(upstream, transport):
    upstream.behaviour = answer(body=b"hello")
    reply = await transport.send(origin_of(upstream), GET)
    assert (reply.whole, [block async for block in reply]) == (b"hello", [b"hello"])
    assert await reply.read() == b"hello"


async def test_interim_answers_are_told_and_passed_over(upstream, transport):
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    upstream.behaviour = b"HTTP/1.1 100 Continue\r\n\r\n" + hint + answer(body=b"x")
    told: list[int] = []

    async def tell(head: ResponseHead) -> None:
        told.append(head.status)

    reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(on_interim=tell))
    assert (reply.head.status, await reply.read(), told) == (200, b"x", [100, 103])
    assert (await transport.send(origin_of(upstream), GET)).reused


@pytest.mark.parametrize("last", [b"", answer(body=b"x")], ids=["before the answer", "with it"])
async def test_an_interim_answer_that_comes_while_another_is_told(upstream, transport, last):
    """The upstream may wait until its 100 has led to a body."""
    first, go = threading.Event(), threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 102 Processing\r\n\r\n"),
        ("wait", first),
        ("send", b"HTTP/1.1 100 Continue\r\n\r\n" + last),
        ("wait", go),
        ("send", b"" if last else answer(body=b"x")),
    ]
    told: list[int] = []
    replies: list[object] = []

    async def tell(head: ResponseHead) -> None:
        told.append(head.status)
        if head.status == 102:
            (reply,) = transport._place().ticker._due
            first.set()
            assert await until(lambda: len(reply._exchange._reader.interims) == 2)
        else:
            go.set()

    reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(on_interim=tell))
    replies.append(reply)
    assert (told, await reply.read()) == ([102, 100], b"x")


@pytest.mark.parametrize("end", [("close",), ("reset",)])
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(NINE, id="short-of-its-length"),
        pytest.param(chunked_answer(b"abc", last=False), id="no-last-chunk"),
        pytest.param(CHUNKED[:-2], id="cut-head"),
        pytest.param(b"", id="nothing-at-all"),
    ],
)
async def test_a_cut_answer_never_looks_complete(upstream, transport, raw, end):
    upstream.behaviour = [("read",), ("send", raw), end]
    with pytest.raises(UpstreamLost):
        await ask(transport, upstream)


async def test_an_answer_without_length_that_ends_by_reset_is_cut(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\n\r\nabc"),
        ("wait", go),
        ("reset",),
    ]
    reply = await transport.send(origin_of(upstream), GET)
    assert await anext(reply) == b"abc"
    go.set()
    with pytest.raises(UpstreamLost):
        await anext(reply)
    assert not reply.complete


async def test_an_answer_without_length_ends_with_the_connection(upstream, transport):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\n\r\nabc"), ("close",)]
    assert await ask(transport, upstream) == b"abc"


async def test_a_reset_after_the_answer_does_not_harm_it(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(body=b"x" * 3000)), ("reset",)]
    reply = await transport.send(origin_of(upstream), GET)
    assert await reply.read() == b"x" * 3000
    assert await until(lambda: not any(transport._place().pool._idle.values()))


async def test_bad_chunks_before_the_first_block_are_a_bad_response(upstream, transport):
    upstream.behaviour = CHUNKED + b"3\r\nabc\r\nzz\r\n"
    with pytest.raises(BadResponse):
        await ask(transport, upstream)
    assert await in_thread(upstream.wait_closed)


async def test_bad_chunks_break_the_body(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", CHUNKED + chunks(b"one", last=False)),
        ("wait", go),
        ("send", b"zz\r\n"),
    ]
    reply = await transport.send(origin_of(upstream), GET)
    assert await anext(reply) == b"one"
    go.set()
    with pytest.raises(BadResponse):
        await anext(reply)
    assert await in_thread(upstream.wait_closed)


async def test_blocks_pass_as_they_arrive(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", CHUNKED + chunks(b"one", last=False)),
        ("wait", go),
        ("send", chunks(b"two")),
    ]
    reply = await transport.send(origin_of(upstream), GET)
    assert await anext(reply) == b"one"
    go.set()
    assert [block async for block in reply] == [b"two"]


async def test_many_small_chunks(upstream, transport):
    upstream.behaviour = chunked_answer(*[b"abc"] * 100_000)
    for _ in range(2):
        assert await ask(transport, upstream) == b"abc" * 100_000
    assert upstream.connections == 1


async def test_an_answer_before_the_question_is_refused(upstream, transport, monkeypatch):
    spoken = threading.Event()
    upstream.behaviour = [("send", answer(body=b"x")), ("signal", spoken)]
    from wsgiproxy.transport.aio import dial

    connect = dial.start_connection

    async def connect_and_hear(*arguments, **options):
        sock = await connect(*arguments, **options)
        assert await in_thread(spoken.wait, 5)
        return sock

    monkeypatch.setattr(dial, "start_connection", connect_and_hear)
    with pytest.raises(BadResponse):
        await ask(transport, upstream)
    assert upstream.requests == []


def is_full(sock: socket.socket) -> bool:
    """Whether the kernel has no room for what is written."""
    return not select.select([], [sock], [], 0)[1]


# -- back-pressure -----------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_consumer_that_stops_holds_the_upstream_up(
    upstream, tls_upstream, made, ca_file, scheme
):
    transport = made(ca_file=ca_file)
    server = upstream if scheme == "http" else tls_upstream
    size, total, sent = 1 << 16, 1000, []

    def pour(connection: Connection) -> None:
        connection.read()
        connection.send(answer(headers=[("Content-Length", str(size * total))]))
        for number in range(total):
            connection.send(bytes(size))
            sent.append(number)
        connection.wait_ended()

    server.behaviour = pour
    origin = origin_of(server)._replace(scheme=scheme)
    reply = await transport.send(origin, GET)
    # What we hold does not grow from then on, and the kernel's buffers are full.
    assert await until(lambda: reply._is_held and is_full(server.accepted[0]._sock))
    assert len(sent) < total and reply._size <= 1 << 19
    count = 0
    async for block in reply:
        count += len(block)
    assert count == size * total
    assert any(transport._place().pool._idle.values())


# -- time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([("read",)], id="silence"),
        pytest.param([("read",), ("send_slowly", answer(body=b"x"), 0.05)], id="now-and-then"),
        pytest.param([("read",), ("send", b"HTTP/1.1 100 Continue\r\n\r\n")], id="only-interim"),
    ],
)
async def test_the_head_has_one_deadline(upstream, transport, script):
    upstream.behaviour = script
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout, match=r"head_timeout=0\.3"):
        await transport.send(origin_of(upstream), GET, None, AsyncCall(QUICK))
    assert 0.3 <= time.monotonic() - began < 0.3 + TICK + 0.5
    assert await in_thread(upstream.wait_closed)


async def test_silence_in_the_body_meets_the_idle_limit(upstream, transport):
    upstream.behaviour = [("read",), ("send", NINE)]
    reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(QUICK))
    assert await anext(reply) == b"abc"
    with pytest.raises(UpstreamTimeout, match="idle_timeout"):
        await anext(reply)
    assert await in_thread(upstream.wait_closed)


async def test_bytes_between_two_blocks_do_not_renew_the_idle_limit(upstream, transport):
    """The upstream writes a chunk extension, byte by byte, and nothing of the body."""
    slowly = ("send_slowly", b"1;" + b"x" * 100, 0.05)
    upstream.behaviour = [("read",), ("send", CHUNKED + chunks(b"abc", last=False)), slowly]
    reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(QUICK))
    assert await anext(reply) == b"abc"
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout, match="idle_timeout"):
        await anext(reply)
    assert time.monotonic() - began < QUICK.idle + TICK + 1


async def test_the_time_that_the_client_takes_for_the_answer_does_not_count(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [("read",), ("send", NINE), ("wait", go), ("send", b"defghi")]
    reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(QUICK))
    assert await anext(reply) == b"abc"
    await asyncio.sleep(QUICK.idle + 2 * TICK)  # the slowness is what is tested
    go.set()
    assert await reply.read() == b"defghi"


async def test_the_time_that_the_client_takes_for_its_body_does_not_count(upstream, transport):
    upstream.behaviour = answer(body=b"x")

    async def slow() -> AsyncIterator[bytes]:
        yield b"bo"
        await asyncio.sleep(QUICK.idle + 2 * TICK)
        yield b"dy"

    reply = await transport.send(origin_of(upstream), POST, slow(), AsyncCall(QUICK))
    assert await reply.read() == b"x"


async def test_an_upstream_that_takes_nothing_meets_the_idle_limit(upstream, transport):
    upstream.behaviour = [("wait", threading.Event())]
    taken: list[int] = []

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(16384):
            taken.append(number)
            yield bytes(65536)

    request = POST._replace(content_length=1 << 30)
    with pytest.raises(UpstreamTimeout, match="idle_timeout"):
        await transport.send(origin_of(upstream), request, blocks(), AsyncCall(QUICK))
    assert len(taken) < 1000


# -- clients that leave ------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\n\r\nabc"], ids=["head", "body"])
async def test_a_client_that_has_left_ends_the_wait(upstream, transport, raw):
    upstream.behaviour = [("read",), ("send", raw)]
    gone = asyncio.Event()

    async def abandoned() -> None:
        await gone.wait()

    async def leave() -> None:
        await in_thread(upstream.wait_for_requests, 1)
        gone.set()

    leaving = asyncio.ensure_future(leave())
    with pytest.raises(ClientGone):
        reply = await transport.send(origin_of(upstream), GET, None, AsyncCall(abandoned=abandoned))
        assert await anext(reply) == b"abc"
        await anext(reply)
    assert await in_thread(upstream.wait_closed, 1)
    await leaving


async def test_a_client_that_has_left_is_noticed_while_the_head_dribbles(upstream, transport):
    """Bytes that come again and again are no answer yet."""
    upstream.behaviour = [
        ("read_head",),
        ("send_slowly", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, 0.02),
    ]

    async def abandoned() -> None:
        pass

    with pytest.raises(ClientGone):
        await transport.send(origin_of(upstream), GET, None, AsyncCall(abandoned=abandoned))
    assert await in_thread(upstream.wait_closed)


async def test_a_watch_that_fails_ends_the_request(upstream, transport):
    """A server may raise what it likes when its client has left."""
    upstream.behaviour = [("read",)]

    async def abandoned() -> None:
        raise OSError("the server has lost it")

    with pytest.raises(ClientGone):
        await transport.send(origin_of(upstream), GET, None, AsyncCall(abandoned=abandoned))


# -- limits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + answer(), id="17-interim"),
        pytest.param(answer(headers=[("A", "x")] * 201), id="201-fields"),
        pytest.param(answer(headers=[("A", "x" * 8200)]), id="a-line-over-8-KiB"),
        pytest.param(answer(headers=[("A", "x" * 8000)] * 9), id="a-head-over-64-KiB"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101-unasked"),
        pytest.param(b"nonsense\r\n\r\n", id="no-http"),
    ],
)
async def test_too_much_is_a_bad_response(upstream, transport, raw):
    upstream.behaviour = raw
    with pytest.raises(BadResponse):
        await ask(transport, upstream)
    assert await in_thread(upstream.wait_closed)


async def test_an_endless_head_is_cut_off(upstream, transport):
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\n"),
        ("send_until_ended", b"X-A: " + b"x" * 1000 + b"\r\n"),
    ]
    with pytest.raises(BadResponse):
        await ask(transport, upstream)
    assert await in_thread(upstream.wait_closed)


async def test_a_request_that_is_too_large_is_not_sent(upstream, transport):
    with pytest.raises(HeadTooLarge):
        await ask(transport, upstream, GET._replace(headers=[("Cookie", "x" * 9000)]))
    assert upstream.connections == 0


# -- bodies up -------------------------------------------------------------------------


async def test_a_body_streams_in_chunks(upstream, transport):
    """An empty block is not the end."""
    upstream.behaviour = answer()
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    await ask(transport, upstream, request, [b"", b"one", b"", b"two"])
    received = upstream.requests[0]
    assert received.raw_body == chunks(b"one", b"two")
    assert received.values("Transfer-Encoding") == ["chunked"]
    assert received.values("Content-Length") == []


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [([b"bodybody"], "longer"), ([b"bo"], "short"), ([b""], "short"), ([b"body", b"x"], "longer")],
)
async def test_a_body_is_as_long_as_its_head_says(upstream, transport, blocks, complaint):
    upstream.behaviour = answer()
    with pytest.raises(BadRequest, match=complaint):
        await ask(transport, upstream, POST, blocks)
    assert not any(request.complete for request in upstream.requests)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [BadRequest("x"), OSError("x"), asyncio.CancelledError("x")])
async def test_a_body_that_fails_ends_the_request(upstream, transport, error, before):
    upstream.behaviour = answer()

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(before):
            yield b"x"
        raise error

    with pytest.raises(type(error)):
        await asyncio.wait_for(transport.send(origin_of(upstream), POST, blocks()), 5)
    assert await in_thread(upstream.wait_until, lambda: upstream.connections == before)
    assert await in_thread(upstream.wait_closed)
    assert not any(request.complete for request in upstream.requests)


async def test_an_interim_answer_does_not_stop_the_upload(upstream, transport):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("read_body", 1 << 20),
        ("send", answer(body=b"done")),
    ]
    request = POST._replace(content_length=1 << 20)
    assert await ask(transport, upstream, request, [b"x" * 65536] * 16) == b"done"


async def test_an_answer_before_the_end_of_the_connection_is_relayed(upstream, transport):
    upstream.behaviour = [("read_head",), ("send", answer(401, body=b"no")), ("shutdown_write",)]
    request = POST._replace(content_length=1 << 20)
    reply = await transport.send(origin_of(upstream), request, stream([b"x" * 65536] * 16))
    assert (reply.head.status, await reply.read()) == (401, b"no")
