"""What has ended is one block of bytes; it is the same exchange all the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.inspector.filled import ORIGIN
from tests.observe.inspector.test_feed import sent
from tests.observe.inspector.test_kept import in_threads
from tests.support.asgi_calls import Caller, http_scope
from tests.support.in_process import front_environ
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi.inspected import InspectedASGI
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN, weight
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.h1 import Limits as HeadLimits
from wsgiproxy.sansio.h1 import ResponseReader
from wsgiproxy.sansio.h1.head_lines import head_lines
from wsgiproxy.sansio.message import Request
from wsgiproxy.wsgi.inspected import InspectedWSGI

# As WSGI has it: each byte is one letter.
texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
fields = st.lists(st.tuples(st.sampled_from(["A", "Content-Type", "Set-Cookie"]), texts))


def shown(exchange: Exchange) -> tuple[Any, ...]:
    """All that can be seen of it."""
    body = exchange.answer_body
    attempts = [
        (each.origin, each.request, each.answer, each.began, each.connected, each.sent)
        + (each.answered, each.ended, each.is_reused, each.is_own, each.error)
        for each in exchange.attempts
    ]
    times = exchange.began, exchange.answered, exchange.ended
    heads = exchange.number, exchange.scheme, exchange.mount, exchange.request, exchange.client
    return heads, exchange.answer, attempts, times, body and (body.read(), body.is_whole)


def packed_and_not(ring: Ring, number: int = 1) -> tuple[Exchange, Exchange]:
    """One that has just ended, as it was and as it is kept."""
    before = ring._exchanges[number]
    after = ring.exchanges()[-1]
    assert isinstance(before, Exchange)
    assert isinstance(ring._exchanges[number], bytes)
    return before, after


@given(texts, fields, fields, st.binary(max_size=50), st.booleans())
def test_wsgi(path: str, asked: Any, answered: Any, body: bytes, is_list: bool) -> None:
    ring = Ring()
    environ = front_environ(PATH_INFO="/" + path, SCRIPT_NAME="/mount", HTTP_X=str(asked))

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", answered)
        return [body] if is_list else (body,)

    for _ in InspectedWSGI(app, ring)(environ, lambda status, headers, exc_info=None: len):
        pass
    if is_list:
        before, after = packed_and_not(ring)
        assert shown(before) == shown(after)
    else:  # nothing says that a tuple ends with its block
        after = ring.exchanges()[0]
    assert after.answer is not None and after.answer.headers == answered
    assert after.request.target.endswith("/mount/" + path) or path
    assert ("X", str(asked)) in after.request.headers


@given(st.binary(max_size=20), st.binary(max_size=50))
def test_asgi(value: bytes, body: bytes) -> None:
    ring = Ring()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # The facts of the request are those at its beginning.
        scope["headers"].clear()
        start = {"type": "http.response.start", "status": 201, "headers": [(b"x-b", value)]}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    scope = http_scope((b"x-a", value), root_path="/mount")
    assert asyncio.run(Caller([])(InspectedASGI(app, ring), scope)) is None
    before, after = packed_and_not(ring)
    assert shown(before) == shown(after)
    assert ("X-A", value.decode("latin-1")) in after.request.headers
    assert after.answer is not None
    assert after.answer[:] == (201, "Created", [("X-B", value.decode("latin-1"))])


@pytest.mark.parametrize("edge", ["wsgi", "asgi"])
def test_the_upstreams_leg_is_what_passed(edge: str, upstream: RawUpstream) -> None:
    odd = [("X-Empty", ""), ("X-Tab", "a\tb"), ("X-Latin", "gr\xfc\xdfe"), ("x-case", "  c ")]
    upstream.behaviour = answer(404, odd, b"none").replace(b"x-case:", b"x-case  :")
    _, exchange = sent(edge, ring := Ring(), upstream.url, method="POST", body=b"abc")
    assert isinstance(ring._exchanges[1], bytes) is (exchange.body is None)
    (attempt,) = exchange.attempts
    (got,) = upstream.requests
    assert attempt.request[:3] == (got.method, got.target, got.headers)
    assert attempt.answer is not None
    assert attempt.answer.headers[:4] == [
        ("X-Empty", ""),
        ("X-Tab", "a b"),
        ("X-Latin", "gr\xfc\xdfe"),
        ("x-case", "c"),
    ]


@given(
    st.integers(200, 599),
    texts,
    st.lists(
        st.tuples(
            st.sampled_from(["A", "x-b", "Set-Cookie"]),
            st.sampled_from(["", " ", "\t "]),
            st.sampled_from(["", " ", "  ", "\t"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"])),
        )
    ),
)
def test_the_lines_of_a_head_are_those_of_the_reader(status: int, reason: str, lines: Any) -> None:
    reason = "".join(each for each in reason if each.isprintable())
    text = "".join(f"{name}{before}:{after}{value}\r\n" for name, before, after, value in lines)
    head = f"HTTP/1.1 {status} {reason}\r\n{text}\r\n".encode("latin-1")
    reader = ResponseReader("GET", HeadLimits())
    reader.feed(head)
    assert reader.head is not None and reader.raw == head
    (_, number, phrase), found = head_lines(reader.raw)
    assert (int(number), phrase, found) == reader.head[:3]


class Text(str):
    """What some frameworks give in place of a text."""


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(HTTPStatus.OK, [(b"a", b"b")], id="enumeration"),
        pytest.param(200, [(b"a", memoryview(b"b"))], id="view"),
        pytest.param(200, iter([(b"a", b"b")]), id="iterator"),
        pytest.param("200 OK", [("A", Text("b"))], id="subclass"),
    ],
)
def test_other_types_are_kept_as_they_are(status: Any, headers: Any) -> None:
    ring = Ring()
    for _ in range(20):
        exchange = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
        assert exchange is not None
        exchange.begin_answer(status, headers)
        exchange.add_answer(b"body", is_all=True)
        exchange.end()
    assert 20 * 250 < ring.memory < 20 * 5000
    found = ring.exchanges()
    assert [each.answer and each.answer.status for each in found] == [200] * 20


def test_what_is_in_itself_is_weighed() -> None:
    endless: list[Any] = [("A", "b")]
    endless.append(endless)
    assert 100 < weight(endless) < 10_000
    ring = Ring()
    exchange = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", endless, ""), "http")
    assert exchange is not None
    exchange.end()
    assert 100 < ring.memory < 20_000


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def ended(ring: Ring) -> Exchange:
    exchange = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", [("Host", "a")], ""), "http")
    assert exchange is not None
    exchange.begin_answer("200 OK", [])
    exchange.add_answer(b"body", is_all=True)
    exchange.end()
    return exchange


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_hook_may_ask_when_all_is_over(is_packed: bool) -> None:
    ring = Ring()
    exchange = ended(ring)
    if is_packed:
        assert ring.memory < 1000
        assert isinstance(ring._exchanges[1], bytes)
    attempt = exchange.attempt(ORIGIN, Request("GET", "/later", []), is_own=True)
    assert attempt.answer_body is not None
    attempt.answer_body.add(b"later")
    attempt.end(is_whole=True)
    assert ring[1] is exchange and ring.memory == exchange.in_memory
    assert [each.request.target for each in ring[1].attempts] == ["/later"]
    assert exchange.answer_body is not None and exchange.answer_body.read() == b"body"
    ring.clear()
    assert ring.memory == 0 and attempt.answer_body.kept == 0


def test_a_hook_that_asks_when_its_exchange_has_gone_is_not_kept() -> None:
    ring = Ring()
    exchange = ended(ring)
    assert len(ring) == 1
    ring.clear()
    attempt = exchange.attempt(ORIGIN, Request("GET", "/later", []), is_own=True)
    assert attempt.answer_body is not None
    attempt.answer_body.add(bytes(100_000))
    assert (len(ring), ring.memory, ring.disk) == (0, 0, 0)


@pytest.mark.parametrize("finish", [lambda each: each.end(), lambda each: None])
def test_no_more_than_the_limits_say_are_kept(finish: Callable[[Exchange], None]) -> None:
    ring = Ring(Limits(exchanges=100))
    begun = [
        ring.begin(KNOWN, ("GET", f"/{number}", "HTTP/1.1", [], ""), "http")
        for number in range(1000)
    ]
    assert len(ring._exchanges) <= 113
    for exchange in begun:
        assert exchange is not None
        finish(exchange)
    assert [each.request.target for each in ring.exchanges()] == [f"/{n}" for n in range(900, 1000)]
    assert 0 < ring.memory < 300_000 or not any(each and each.ended for each in begun)
    ring.clear()
    assert ring.memory == 0


def test_threads_look_while_others_begin_and_end(quick_switches: None) -> None:
    ring = Ring(Limits(exchanges=20))

    def work() -> None:
        for _ in range(40):
            for _ in range(30):
                ended(ring)
            for each in ring.exchanges():
                body = each.answer_body
                # One that has just begun has none, and one that has just gone an empty one.
                assert body is None or body.read() == b"body" or each.is_forgotten
            assert ring.memory < 100_000

    in_threads(4, work)
    assert len(ring) == 20
    assert all(each.ended for each in ring.exchanges())
    ring.clear()
    assert ring.memory == 0


def test_the_server_gets_what_an_iterator_gives() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = (each for each in [(b"a", b"b")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"y"})

    ring, caller = Ring(), Caller([])
    assert asyncio.run(caller(InspectedASGI(app, ring), http_scope())) is None
    assert ring.exchanges()[0].answer is not None
    assert list(caller.sent[0]["headers"]) == [(b"a", b"b")]


def test_an_answer_that_is_begun_again_and_a_list_that_changes() -> None:
    exchange = Ring().begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert exchange is not None
    headers = [("A", "b")]
    exchange.begin_answer("200 OK", headers)
    headers.clear()
    assert exchange.answer is not None and exchange.answer.headers == [("A", "b")]
    exchange.begin_answer("500 Oh", [])
    assert exchange.answer is not None and exchange.answer.status == 500


def test_what_passes_when_all_is_over_is_kept_and_goes() -> None:
    ring = Ring(Limits(disk=1 << 20))
    for _ in range(4):
        exchange = ended(ring)
        assert len(ring)
        exchange.add_body(bytes(500_000))
        exchange.add_answer(bytes(500_000))
        exchange.fail(OSError("late"))
    assert list(ring.exchanges()[-1].errors) == ["OSError: late"]
    kept = [ended(ring) for _ in range(50)]
    assert len(ring) >= len(kept) and ring.disk <= 1 << 20
    ring.clear()
    assert (ring.disk, ring.memory) == (0, 0)


def test_files_are_too_many_while_room_is_made() -> None:
    ring = Ring(Limits(disk=1000))
    exchange = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert exchange is not None
    exchange.begin_answer("200 OK", [])
    with ring._lock:  # as where garbage ends an exchange
        exchange.add_answer(bytes(3 << 20))
        exchange.end()
    ended(ring)
    assert len(ring) == 1 and ring.disk == 0
