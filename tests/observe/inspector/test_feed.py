"""What the edges tell a ring: both sides of an exchange, its attempts, times, errors, messages."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from tests.server.serving import until
from tests.support.asgi_calls import Caller, http_scope
from tests.support.connection import Connection
from tests.support.in_process import front_environ
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.inspected import InspectedASGI
from wsgiproxy.errors import ProxyError
from wsgiproxy.hooks import Request, Response
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.wsgi.inspected import InspectedWSGI


@pytest.fixture(params=["wsgi", "asgi"])
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def call_wsgi(app: Any, method: str, target: str, headers: Any, body: bytes) -> bytes:
    path, _, query = target.partition("?")
    environ = front_environ(
        HTTP_HOST="front.example",
        PATH_INFO=path,
        REQUEST_URI=target,
        QUERY_STRING=query,
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers},
    )
    environ |= {
        "REQUEST_METHOD": method,
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.input": io.BytesIO(body),
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    before = dict(environ)
    blocks = app(environ, lambda status, headers, exc_info=None: len)
    try:
        return b"".join(blocks)
    finally:
        if hasattr(blocks, "close"):
            blocks.close()
        assert environ == before


def call_asgi(app: Any, method: str, target: str, headers: Any, body: bytes) -> bytes:
    path, _, query = target.partition("?")
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    if body:
        lines.append((b"content-length", str(len(body)).encode()))
    scope = http_scope(
        *lines,
        method=method,
        path=path,
        raw_path=path.encode(),
        query_string=query.encode(),
    )
    caller = Caller([{"type": "http.request", "body": body, "more_body": False}])
    error = asyncio.run(caller(app, scope))
    if error is not None:
        raise error
    return b"".join(each.get("body", b"") for each in caller.sent)


def sent(
    edge: str,
    ring: Ring,
    url: str,
    target: str = "/x?a=b",
    *,
    method: str = "GET",
    headers: Any = (),
    body: bytes = b"",
    **options: Any,
) -> tuple[bytes, Exchange]:
    """The body of an answer, and what is kept of the exchange."""
    if edge == "wsgi":
        app: Any = WSGIProxyApp(url, **options)
        try:
            found = call_wsgi(InspectedWSGI(app, ring), method, target, headers, body)
        finally:
            app.close()
    else:
        inspected = InspectedASGI(ASGIProxyApp(url, **options), ring)
        found = call_asgi(inspected, method, target, headers, body)
    return found, ring.exchanges()[-1]


def test_both_sides_are_kept(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(201, [("X-Kind", "a"), ("Keep-Alive", "5")], b"hello")
    ring = Ring()
    found, exchange = sent(
        edge, ring, upstream.url, method="POST", headers=[("X-Y", "z")], body=b"abc"
    )
    assert found == b"hello"
    assert exchange.request[:2] == ("POST", "/x?a=b") and exchange.client == "192.0.2.1"
    headers = dict(exchange.request.headers)
    assert headers["Host"] == "front.example" and headers["X-Y"] == "z"
    assert exchange.body is not None and exchange.body.read() == b"abc" and exchange.body.is_whole
    assert exchange.answer is not None and exchange.answer.status == 201
    assert dict(exchange.answer.headers)["X-Kind"] == "a"
    assert "Keep-Alive" not in dict(exchange.answer.headers)
    assert exchange.answer_body is not None and exchange.answer_body.read() == b"hello"
    assert exchange.answer_body.is_whole and exchange.ended is not None
    (attempt,) = exchange.attempts
    assert attempt.upstream == upstream.url and not attempt.is_reused
    assert dict(attempt.request.headers)["Host"] == upstream.netloc
    assert dict(attempt.request.headers)["X-Forwarded-Host"] == "front.example"
    assert attempt.answer is not None and dict(attempt.answer.headers)["Keep-Alive"] == "5"
    assert attempt.body is None and attempt.answer_body is None
    assert attempt.connected is not None and attempt.answered is not None
    assert 0 <= attempt.began <= attempt.connected <= attempt.answered <= exchange.ended


def test_bodies_that_hooks_change_are_kept_of_both_sides(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = chunked_answer(b"hel", b"lo")

    def changed(request: Any) -> Any:
        request.body = b"other"
        response = yield request
        response.body = (yield response.read()).upper()
        return response

    found, exchange = sent(edge, Ring(), upstream.url, method="POST", body=b"abc", hooks=[changed])
    assert found == b"HELLO"
    (attempt,) = exchange.attempts
    assert exchange.answer_body is not None and exchange.answer_body.read() == b"HELLO"
    assert attempt.body is not None and attempt.body.read() == b"other"
    assert attempt.answer_body is not None and attempt.answer_body.read() == b"hello"


def test_requests_of_hooks_are_apart(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"own")
    url = upstream.url

    def asks(request: Any) -> Any:
        found = yield Request("GET", f"{url}/asked")
        return Response(200, body=(yield found.read()))

    found, exchange = sent(edge, Ring(), upstream.url, hooks=[asks])
    assert found == b"own"
    (attempt,) = exchange.attempts
    assert attempt.is_own and attempt.request.target == "/asked"
    assert attempt.answer_body is not None and attempt.answer_body.read() == b"own"


def test_each_attempt_is_kept(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"x")
    href = f"http://127.0.0.1:1 {upstream.url}"
    exchanges = (sent(edge, Ring(), href, retries=1)[1] for _ in range(50))
    exchange = next(each for each in exchanges if len(each.attempts) == 2)  # it begins anywhere
    first, second = exchange.attempts
    assert first.upstream == "http://127.0.0.1:1" and "ConnectFailed" in first.error
    assert second.upstream == upstream.url and not second.error and second.answer is not None


def test_errors_are_kept_in_full(edge: str) -> None:
    _, exchange = sent(edge, Ring(), "http://127.0.0.1:1")
    assert exchange.answer is not None and exchange.answer.status == 502
    assert "127.0.0.1" in exchange.errors[0] and "ConnectFailed" in exchange.attempts[0].error


def test_an_answer_that_breaks_off_is_not_whole(edge: str, upstream: RawUpstream) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    ring = Ring()

    def breaks_off(connection: Connection) -> None:
        connection.read()
        connection.send(half)
        connection.close()

    upstream.behaviour = breaks_off
    with pytest.raises(ProxyError):
        sent(edge, ring, upstream.url)
    (exchange,) = ring.exchanges()
    body = exchange.answer_body
    assert body is not None and body.read() == b"half" and not body.is_whole
    assert exchange.errors and exchange.ended is not None


def test_refused_requests_are_kept(edge: str, upstream: RawUpstream) -> None:
    _, exchange = sent(edge, Ring(), upstream.url, allowed_hosts=["other.example"])
    assert exchange.answer is not None and exchange.answer.status == 400
    assert exchange.attempts == [] and "front.example" in exchange.errors[0]


def test_events_have_their_times(edge: str, upstream: RawUpstream) -> None:
    whole = chunked_answer(
        b"data: 1\n\n", b"data: 2\n\n", headers=[("Content-Type", "text/event-stream")]
    )
    middle = whole.index(b"data: 1") + 11
    ring = Ring()

    def in_two(connection: Connection) -> None:
        connection.read()
        connection.send(whole[:middle])
        until(lambda: ring.exchanges()[0].answer_body is not None, "first event")
        connection.send(whole[middle:])

    upstream.behaviour = in_two
    _, exchange = sent(edge, ring, upstream.url)
    body = exchange.answer_body
    assert body is not None and body.read() == b"data: 1\n\ndata: 2\n\n"
    first, second = body.arrived(9), body.arrived(18)
    assert first is not None and second is not None and first < second
    assert body.arrived(19) is None


def test_nothing_is_kept_in_a_pause(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"x")
    ring = Ring()
    ring.pause(True)
    with pytest.raises(IndexError):
        sent(edge, ring, upstream.url)
    ring.pause(False)
    assert sent(edge, ring, upstream.url)[1].number == 1


def test_two_inspectors_see_it_once(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"x")
    outer, inner = Ring(), Ring()
    with_both = InspectedWSGI(InspectedWSGI(WSGIProxyApp(upstream.url), inner), outer)
    call_wsgi(with_both, "GET", "/", (), b"")
    assert (len(outer), len(inner)) == (1, 0)


def test_a_foreign_application_is_seen(edge: str) -> None:
    ring = Ring()

    def wsgi(environ: Any, start_response: Any) -> Any:
        assert "wsgi.file_wrapper" not in environ
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"a")
        environ["wsgi.input"].readline()
        return iter([b"b", b"c"])

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        assert "http.response.pathsend" not in scope["extensions"]
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})

    if edge == "wsgi":
        call_wsgi(InspectedWSGI(wsgi, ring), "POST", "/", (), b"line\nrest")
    else:
        length = (b"content-length", b"5")
        extensions = {"http.response.pathsend": {}, "tls": {}}
        scope = http_scope(length, extensions=extensions, method="POST")
        events = [{"type": "http.request", "body": b"line\n"}]
        assert asyncio.run(Caller(events)(InspectedASGI(asgi, ring), scope)) is None
    (exchange,) = ring.exchanges()
    assert exchange.answer_body is not None and exchange.answer_body.read() == b"abc"
    assert exchange.body is not None and exchange.body.read() == b"line\n"


def test_an_application_that_fails_is_seen() -> None:
    ring = Ring()

    def fails(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("why")

    with pytest.raises(RuntimeError):
        call_wsgi(InspectedWSGI(fails, ring), "GET", "/", (), b"")
    (exchange,) = ring.exchanges()
    assert exchange.errors == ["RuntimeError: why"] and exchange.ended is not None


class TestLimits:
    def ring(self, **limits: int) -> Ring:
        return Ring(Limits(**limits))

    def post(self, ring: Ring, body: bytes) -> Exchange:
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return [environ["wsgi.input"].read()]

        call_wsgi(InspectedWSGI(app, ring), "POST", "/", (), body)
        return ring.exchanges()[-1]

    def test_the_oldest_go_first(self) -> None:
        ring = self.ring(exchanges=3)
        numbers = [self.post(ring, b"x").number for _ in range(5)]
        assert [each.number for each in ring.exchanges()] == numbers[2:]

    def test_memory_is_bounded(self) -> None:
        ring = self.ring(memory=300_000)
        for _ in range(20):
            self.post(ring, b"x" * 50_000)
        assert 1 < len(ring) < 4 and ring.memory <= 300_000

    def test_a_long_body_goes_to_disk_and_is_cut(self) -> None:
        ring = self.ring(body=200_000)
        exchange = self.post(ring, b"0123456789" * 50_000)
        for body in (exchange.body, exchange.answer_body):
            assert body is not None and body.is_cut
            assert (body.size, body.kept, body.in_memory) == (500_000, 200_000, 0)
            assert body.read() == b"0123456789" * 20_000 and body.read(5) == b"01234"
        assert ring.disk == 400_000
        ring.clear()
        assert ring.disk == 0 and len(ring) == 0

    def test_disk_is_bounded(self) -> None:
        ring = self.ring(disk=1_000_000)
        for _ in range(10):
            self.post(ring, b"x" * 200_000)
        assert 800_000 <= ring.disk <= 1_400_000
        ring.settle()
        assert ring.disk == 800_000 and len(ring) == 2

    def test_a_full_disk_fails_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tempfile

        monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
        exchange = self.post(self.ring(), b"x" * 200_000)
        body = exchange.answer_body
        assert body is not None and body.size == 200_000 and body.is_cut


def test_listeners_are_told_of_changes() -> None:
    ring = Ring()
    changes = ring.listen()
    TestLimits().post(ring, b"x")
    assert changes.wait(5) == {1}
    ring.clear()
    assert changes.wait(5) == {0}
    changes.close()
    TestLimits().post(ring, b"x")
    assert changes.wait(0) <= {0}
