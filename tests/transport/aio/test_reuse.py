"""Kept connections in an event loop: when they serve again, and when a request is tried again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable

import pytest

from tests.support.loops import in_thread, until
from tests.support.upstream import RawUpstream, answer, chunked_answer
from wsgiproxy.errors import BadRequest, UpstreamLost
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE
from wsgiproxy.transport import AsyncPooledTransport

GET = Request("GET", "/", [("Host", "upstream.example")])
POST = Request("POST", "/", [("Host", "upstream.example")], content_length=4)


def origin_of(upstream: RawUpstream) -> Origin:
    return Origin("http", "127.0.0.1", upstream.port)


async def stream(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def ask(transport: AsyncPooledTransport, upstream: RawUpstream, request=GET, body=None):
    reply = await transport.send(origin_of(upstream), request, body and stream(body))
    return await reply.read()


# -- reuse ------------------------------------------------------------------


async def test_a_fully_read_answer_gives_the_connection_back(upstream, transport):
    upstream.behaviour = answer(body=b"hello")
    reused = []
    for _ in range(3):
        reply = await transport.send(origin_of(upstream), GET)
        assert (await reply.read(), reply.complete, reply.received) == (b"hello", True, 5)
        reused.append(reply.reused)
    assert reused == [False, True, True]
    assert upstream.connections == 1


async def test_the_connection_used_last_serves_first(upstream, transport):
    """So that the others may expire."""
    upstream.behaviour = answer(body=b"x")
    await asyncio.gather(*[ask(transport, upstream) for _ in range(3)])
    last = transport._place().pool._idle[origin_of(upstream)][-1]
    for _ in range(3):
        await ask(transport, upstream)
    assert transport._place().pool._idle[origin_of(upstream)][-1] is last
    assert len({each.connection for each in upstream.requests[3:]}) == 1


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer(headers=[("Connection", "close")], body=b"x"), id="connection-close"),
        pytest.param(answer(body=b"x", version="1.0"), id="http-1.0"),
        pytest.param(answer(body=b"x") + b"surplus", id="surplus-bytes"),
        pytest.param(answer(body=b"x") * 2, id="a-second-answer"),
        pytest.param(chunked_answer(b"x") + b"surplus", id="surplus-after-chunks"),
        pytest.param(chunked_answer(b"x") + b"\r\n", id="empty-line-after-chunks"),
        pytest.param(answer(204) + b"surplus", id="body-of-204"),
        pytest.param(
            answer(headers=[("WWW-Authenticate", "Negotiate oRQw")], body=b"x"), id="login-offered"
        ),
    ],
)
async def test_no_reuse_after_any_doubt(upstream, transport, raw):
    upstream.behaviour = raw
    for _ in range(2):
        assert await ask(transport, upstream) in (b"x", b"")
    assert upstream.connections == 2


@pytest.mark.parametrize("scheme", ["Negotiate YIIJ", "NTLM TlRM"])
async def test_a_connection_with_a_login_is_never_shared(upstream, transport, scheme):
    upstream.behaviour = answer(body=b"x")
    await ask(transport, upstream, GET._replace(headers=[*GET.headers, ("Authorization", scheme)]))
    assert await in_thread(upstream.wait_closed)
    await ask(transport, upstream)
    assert upstream.connections == 2


async def test_http_1_0_with_keep_alive_is_reused(upstream, transport):
    upstream.behaviour = answer(headers=[("Connection", "Keep-Alive")], body=b"x", version="1.0")
    for _ in range(2):
        await ask(transport, upstream)
    assert upstream.connections == 1


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        pytest.param("HEAD", answer(headers=[("Content-Length", "9")]), id="head"),
        pytest.param("GET", answer(204), id="204"),
        pytest.param("GET", answer(304, [("Content-Length", "9")]), id="304"),
    ],
)
async def test_an_answer_without_body_is_whole_and_keeps_the_connection(
    upstream, transport, method, raw
):
    upstream.behaviour = raw
    for reused in (False, True):
        reply = await transport.send(origin_of(upstream), GET._replace(method=method))
        assert (reply.whole, reply.reused, [each async for each in reply]) == (b"", reused, [])


async def test_an_unread_rest_closes_the_connection(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]) + b"abc")]
    reply = await transport.send(origin_of(upstream), GET)
    assert await anext(reply) == b"abc"
    reply.close()
    reply.close()
    assert await in_thread(upstream.wait_closed)
    assert [each async for each in reply] == [], "nothing is given after close()"


async def test_closing_a_reply_that_was_never_iterated_ends_the_upstream(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]))]
    (await transport.send(origin_of(upstream), GET)).close()
    assert await in_thread(upstream.wait_closed)


ENDS = {
    "eof": [("close",)],
    "reset": [("reset",)],
    "a-stray-byte": [("send", b"x")],
    "a-second-answer": [("send", answer(body=b"3"))],
}


@pytest.mark.parametrize("loop_has_seen_it", [True, False])
@pytest.mark.parametrize("steps", ENDS.values(), ids=ENDS)
async def test_a_kept_connection_that_is_not_quiet_is_not_used(
    upstream, transport, steps, loop_has_seen_it
):
    """POST is never tried again, so it passes only if the connection was not used."""
    upstream.behaviour = [[("read",), ("send", answer(body=b"1")), *steps], answer(body=b"2")]
    assert await ask(transport, upstream) == b"1"
    idle = transport._place().pool._idle
    if loop_has_seen_it:
        assert await until(lambda: not any(idle.values()))
    else:
        # The loop is not let run: the kernel alone knows.
        while any(kept.is_quiet() for kept in idle.get(origin_of(upstream), ())):
            pass
    assert await ask(transport, upstream, POST, [b"body"]) == b"2"
    assert [each.method for each in upstream.requests] == ["GET", "POST"]
    assert upstream.requests[1].connection == 1


async def test_idle_connections_expire(upstream, made):
    transport = made(keep_alive=1e-9)
    upstream.behaviour = answer(body=b"x")
    for _ in range(2):
        await ask(transport, upstream)
    assert upstream.connections == 2


async def test_no_more_idle_connections_than_asked_for(upstream, made):
    transport = made(max_idle=1)
    upstream.behaviour = answer(body=b"x")
    await asyncio.gather(*[ask(transport, upstream) for _ in range(3)])
    assert await in_thread(
        upstream.wait_until, lambda: sum(each.ended for each in upstream.accepted) == 2
    )
    transport.close()
    assert await in_thread(upstream.wait_closed)
    await ask(transport, upstream)


async def test_many_tasks_share_a_pool(upstream, transport):
    upstream.behaviour = answer(body=b"x" * 5000)

    async def work() -> None:
        for _ in range(40):
            assert await ask(transport, upstream) == b"x" * 5000

    await asyncio.gather(*[work() for _ in range(8)])
    assert len(upstream.requests) == 320
    assert upstream.connections <= 8


async def test_closing_the_pool_leaves_connections_in_use_alone(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "1")]))]
    reply = await transport.send(origin_of(upstream), GET)
    transport.close()
    upstream.accepted[0].send(b"x")
    assert await reply.read() == b"x"


async def test_unused_connections_to_other_upstreams_expire_too(upstream, made):
    with RawUpstream(answer(body=b"x")) as other:
        transport = made(keep_alive=0.05)
        await ask(transport, other)
        upstream.behaviour = answer(body=b"y")
        while not await in_thread(other.wait_closed, 0.05):
            await ask(transport, upstream)


async def test_many_upstreams_do_not_pile_up(transport, monkeypatch):
    monkeypatch.setattr("wsgiproxy.transport.pool._ORIGINS", 2)
    servers = [RawUpstream(answer(body=b"x")) for _ in range(3)]
    with servers[0], servers[1], servers[2]:
        for server in servers:
            await ask(transport, server)
        assert await in_thread(servers[0].wait_closed) and await in_thread(servers[1].wait_closed)
        assert (await transport.send(origin_of(servers[2]), GET)).reused
        transport.close()


async def test_a_transport_without_references_closes_its_connections(upstream):
    upstream.behaviour = answer(body=b"x")
    transport = AsyncPooledTransport()
    await ask(transport, upstream)
    del transport
    gc.collect()
    assert await in_thread(upstream.wait_closed)


async def test_normal_exchanges_leave_nothing_to_the_garbage_collector(upstream, transport):
    upstream.behaviour = chunked_answer(b"one", b"two")
    await ask(transport, upstream)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await ask(transport, upstream)
        assert gc.collect() == 0
    finally:
        gc.enable()


# -- retry -------------------------------------------------------------------

DIES = [("read",), ("send", answer(body=b"1")), ("read",), ("close",)]


async def second_of(transport, upstream, request, body=None, first=DIES):
    upstream.behaviour = [first, answer(body=b"2")]
    await ask(transport, upstream)
    return await ask(transport, upstream, request, body)


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
async def test_an_idempotent_request_without_body_is_tried_once_more(upstream, transport, method):
    await second_of(transport, upstream, GET._replace(method=method))
    assert [request.method for request in upstream.requests] == ["GET", method, method]


@pytest.mark.parametrize("end", [("close",), ("reset",)])
@pytest.mark.parametrize(
    ("request_", "body"),
    [
        pytest.param(GET._replace(method="POST"), None, id="post"),
        pytest.param(GET._replace(method="PATCH"), None, id="patch"),
        pytest.param(GET._replace(method="propfind"), None, id="in-lower-case"),
        pytest.param(POST._replace(method="PUT"), [b"body"], id="put-with-body"),
        pytest.param(POST, [b"body"], id="post-with-body"),
        pytest.param(POST._replace(method="REPORT"), [b"bo", b"dy"], id="body-in-two-blocks"),
        pytest.param(
            GET._replace(method="QUERY", chunked=True), [b"body"], id="body-without-length"
        ),
    ],
)
async def test_nothing_else_is_tried_again(upstream, transport, request_, body, end):
    with pytest.raises(UpstreamLost):
        await second_of(transport, upstream, request_, body, [*DIES[:3], end])
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("end", [("close",), ("reset",)])
@pytest.mark.parametrize("method", sorted(SAFE))
async def test_a_safe_request_with_its_body_in_hand_is_tried_once_more(
    upstream, transport, method, end
):
    body = [b"<propfind xmlns='DAV:'/>"]
    request = GET._replace(method=method, content_length=len(body[0]))
    second = await second_of(transport, upstream, request, body, [*DIES[:3], end])
    assert second == (b"" if method == "HEAD" else b"2")
    assert [request.method for request in upstream.requests] == ["GET", method, method]
    assert [request.body for request in upstream.requests] == [b"", *body, *body]


async def test_a_body_that_is_too_long_is_not_sent_at_all(upstream, transport):
    with pytest.raises(BadRequest):
        await second_of(transport, upstream, POST._replace(method="QUERY"), [b"body", b"more"])
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("scripts", "connections"),
    [
        pytest.param([[("read",), ("close",)]], 1, id="a new connection"),
        pytest.param(
            [[*DIES[:3], ("send", b"HTTP/1.1"), ("close",)], answer(body=b"2")], 1, id="a byte came"
        ),
        pytest.param([DIES, [("read",), ("close",)]], 2, id="once is enough"),
    ],
)
async def test_no_retry(upstream, transport, scripts, connections):
    upstream.behaviour = scripts
    with pytest.raises(UpstreamLost):
        for _ in range(2):
            await ask(transport, upstream)
    assert upstream.connections == connections


async def test_a_post_whose_first_write_fails_was_not_sent(upstream, transport, monkeypatch, kind):
    """The kernel has taken nothing, so that it may go out once more."""
    if kind == "uvloop":
        pytest.skip("its writes do not go through Python's sockets")
    upstream.behaviour = [DIES, answer(body=b"2")]
    await ask(transport, upstream)
    ((kept,),) = transport._place().pool._idle.values()
    kept._sock.shutdown(1)
    assert await ask(transport, upstream, POST, [b"body"]) == b"2"
    assert [request.body for request in upstream.requests if request.complete] == [b"", b"body"]
