"""Hooks under WSGI, on the bytes that reach a raw upstream and the answer that a server gets."""

from __future__ import annotations

import gc
import io
import logging
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import RawClient, request_bytes
from tests.support.in_process import key_file
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from tests.test_exactproxy import Called, call, environ_for
from tests.wsgi.peer import HANDSHAKE, SWITCHED, peer, proxied
from wsgiproxy import ExactProxy, ForwardProxy, HostProxy, SpawningApplication
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError, Forbidden, ProxyError, UpstreamLost
from wsgiproxy.hooks import CLIENT_EDGE, Request, Response
from wsgiproxy.secretloader import new_key

HELLO = answer(200, [("ETag", '"a"'), ("Content-MD5", "x"), ("Accept-Ranges", "bytes")], b"hello")


@pytest.fixture
def served(upstream: RawUpstream) -> Any:
    """Call an application with hooks; no connection is in use behind it."""
    apps: list[WSGIProxyApp] = []

    def serve(*hooks: Any, behaviour: Any = HELLO, options: Any = None, **environ: Any) -> Called:
        upstream.behaviour = behaviour
        apps.append(WSGIProxyApp(upstream.url, hooks=hooks, **(options or {})))
        return call(environ_for(upstream, **environ), apps[-1])

    yield serve
    for app in apps:
        app.close()
    gc.collect()
    assert upstream.wait_until(lambda: all(each.ended for each in upstream.accepted), 5)


def body(data: bytes, **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        **more,
    }


def length(called: Called) -> str | None:
    return dict(called.calls[0][1]).get("Content-Length")


# -- the request -------------------------------------------------------------------------


def test_what_hooks_change_is_sent(upstream, served):
    def changes(request):
        assert request.environ["HTTP_X_A"] == "1" and request.scope is None
        with pytest.raises(TypeError):
            request.environ["X"] = 1
        request.method, request.path, request.query = "PUT", "/ä b", "x=1"
        request.headers["X-A"] = "2"
        request.headers.add("x-a", "3")
        request.body = "text"
        yield request

    served(changes, **body(b"old"), HTTP_X_A="1")
    sent = upstream.requests[-1]
    assert sent.line == "PUT /%C3%A4%20b?x=1 HTTP/1.1"
    assert sent.values("X-A") == ["2", "3"] and sent.body == b"text"
    assert sent.values("Content-Length") == ["4"]


def test_what_cleaning_removed_cannot_come_back(upstream, served):
    def brings_back(request):
        assert "X-Forwarded-For" not in request.headers and "X-Hop" not in request.headers
        for name in ("X-Forwarded-For", "Proxy", "X-WSGIProxy-Test", "TE", "Transfer-Encoding",
                     "Host", "Content-Length", "Content_Length", "Expect"):  # fmt: skip
            request.headers[name] = "9"
        request.inbound.headers.append(("X-Forwarded-For", "9"))
        yield request

    served(brings_back, HTTP_CONNECTION="X-Hop", HTTP_X_HOP="1", HTTP_X_FORWARDED_FOR="1")
    sent = upstream.requests[-1]
    assert "9" not in [value for _, value in sent.headers]
    assert sent.values("Host") == [upstream.netloc] and not sent.values("Content-Length")


def test_a_trusted_peer_is_believed_with_hooks_too(upstream, served):
    def passes(request):
        yield request

    options = {"trusted_proxies": ["192.0.2.1"], "require_forwarded": True}
    served(passes, options=options, REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="192.0.2.9",
           HTTP_X_FORWARDED_PROTO="https", HTTP_X_FORWARDED_HOST="a.example")  # fmt: skip
    (announced,) = upstream.requests[-1].values("X-Forwarded-For")
    assert announced.startswith("192.0.2.9")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "CONNECT"),
        ("method", "G T"),
        ("method", 5),
        ("raw_path", "//[::1]/ x"),
        ("raw_path", "a"),
        ("raw_path", "/a?b"),
        ("raw_path", "/a#b"),
        ("raw_path", "*"),
        ("raw_path", None),
        ("query", "a#b"),
        ("query", "a b"),
        ("headers", {"X A": "1"}),
        ("headers", {"X-A": "1\r\nX-B: 2"}),
        ("headers", {"X-A": "☃"}),
        ("headers", {"X-A": 5}),
        ("body", 5),
        ("body", {"a": 1}),
    ],
)
def test_what_cannot_be_sent_is_500_and_names_the_hook(name, value, upstream, served, caplog):
    def breaks(request):
        setattr(request, name, value)
        yield request

    assert served(breaks).status == 500
    assert not upstream.requests and "breaks" in caplog.text


def test_a_path_cannot_leave_the_wall_of_href(upstream):
    def leaves(request):
        request.path = "/../admin"
        yield request

    app = WSGIProxyApp(upstream.url + "/base", hooks=[leaves])
    assert call(environ_for(upstream), app).status == 400
    assert not upstream.accepted
    app.close()


@pytest.mark.parametrize(
    ("raw", "decoded", "is_ambiguous"),
    [("/a%20b", "/a b", False), ("/a%2Fb", "/a/b", True), ("/a/../b", "/a/../b", True),
     ("/a//b", "/a//b", True), ("/a;b", "/a;b", True), ("/%252e", "/%2e", True),
     ("/%61dmin", "/admin", True)],
)  # fmt: skip
def test_the_path_is_there_raw_and_decoded(raw, decoded, is_ambiguous, served):
    seen = []

    def looks(request):
        seen.append((request.raw_path, request.path, request.is_ambiguous))
        yield request

    served(looks, REQUEST_URI=raw, PATH_INFO=decoded)
    assert seen == [(raw, decoded, is_ambiguous)]


def test_a_body_is_mapped_and_no_block_of_it_is_empty(upstream, served):
    def maps(request):
        request.body.map(lambda block: b"", lambda: b"end")
        yield request

    served(maps, **body(b"x" * 200_000, HTTP_CONTENT_MD5="x"))
    sent = upstream.requests[-1]
    assert sent.body == b"end" and sent.values("Transfer-Encoding") == ["chunked"]
    assert sent.complete and not sent.values("Content-MD5")


@pytest.mark.parametrize("content", [b"new", [b"ne", b"", b"w"], iter([b"new"])])
def test_a_body_that_is_set_can_be_mapped(content, upstream, served):
    def maps(request):
        request.body = content
        request.body.map(bytes.upper)
        response = yield request
        response.body = b"abc"
        response.body.map(bytes.upper)

    called = served(maps, **body(b"old"))
    assert upstream.requests[-1].body == b"NEW" and called.read() == b"ABC"


def test_a_body_that_was_read_can_be_sent_twice(upstream, served):
    def twice(request):
        assert (yield request.read(limit=5)) == b"hello"
        yield request
        return (yield request)

    assert served(twice, **body(b"hello", HTTP_CONTENT_MD5="x")).status == 200
    assert [each.body for each in upstream.requests] == [b"hello", b"hello"]
    assert upstream.requests[0].values("Content-MD5") == ["x"]


def test_a_get_that_is_read_has_no_length(upstream, served):
    def reads(request):
        assert (yield request.read()) == b""
        yield request

    served(reads)
    assert not upstream.requests[-1].values("Content-Length")


@pytest.mark.parametrize("is_iterator", [False, True])
def test_a_body_that_is_gone_is_not_sent_again(is_iterator, upstream, served, caplog):
    def twice(request):
        if is_iterator:
            request.body = iter([b"hello"])
        yield request
        yield request

    assert served(twice, **body(b"hello")).status == 500
    assert len(upstream.requests) == 1 and "hook test_a_body_that_is_gone" in caplog.text


def test_a_body_over_the_limit_is_413_and_nothing_of_it_is_sent(upstream, served):
    def reads(request):
        try:
            yield request.read(limit=4)
        except ProxyError as error:
            assert error.status == 413
        yield request

    assert served(reads, **body(b"hello")).status == 500
    assert not upstream.requests

    def fails(request):
        yield request.read(limit=4)

    assert served(fails, **body(b"hello")).status == 413


@pytest.mark.parametrize("kind", ["raises", "str", "map raises", "map returns None"])
def test_a_body_that_fails_is_never_a_whole_request(kind, upstream, served, caplog):
    def fails(request):
        def blocks():
            yield b"x" * 100_000
            if kind == "raises":
                raise ValueError("here")
            yield "text"

        def change(block):
            if kind == "map raises":
                raise ValueError("here")

        if kind.startswith("map"):
            request.body.map(change)
        else:
            request.body = blocks()
        yield request

    assert served(fails, behaviour=[("read",)], **body(b"hello")).status == 500
    assert "fails" in caplog.text
    assert not any(each.complete for each in upstream.requests)


def test_the_signature_covers_what_hooks_leave(upstream, served, tmp_path):
    def changes(request):
        request.path = "/other"
        request.body.map(bytes.upper)
        yield request

    secret = key_file(tmp_path / "secret", new_key("k1"))
    options = {"secret_file": secret, "sign_body": True}
    assert served(changes, options=options, **body(b"hello")).status == 200
    sent = upstream.requests[-1]
    assert sent.body == b"HELLO" and sent.values("Content-Length") == ["5"]
    assert sent.values("Signature") and sent.values("Content-Digest")
    seen = {}

    def backend(environ, start_response):
        seen.update(environ, body=environ["wsgi.input"].read(5))
        start_response("200 OK", [])
        return []

    from wsgiproxy.middleware import WSGIProxyMiddleware

    environ = {"PATH_INFO": "/other", "wsgi.input": io.BytesIO(sent.body)}
    for name, value in sent.headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
    base = environ_for(upstream, REQUEST_METHOD="POST", **environ)
    assert call(base, WSGIProxyMiddleware(backend, secret_file=secret)).status == 200
    assert seen["PATH_INFO"] == "/other" and seen["body"] == b"HELLO"


# -- the response ------------------------------------------------------------------------


def test_what_hooks_change_arrives(served):
    def changes(request):
        response = yield request
        assert response.reason == "OK"
        response.status = 404
        response.headers.add("Set-Cookie", "a=b")
        response.headers["Connection"] = "close"
        response.headers["Content-Length"] = "9"

    called = served(changes)
    status, headers = called.calls[0]
    assert status == "404 Not Found" and called.read() == b"hello"
    assert ("Set-Cookie", "a=b") in headers and "Connection" not in dict(headers)
    assert length(called) == "5" and dict(headers)["ETag"] == '"a"'


@pytest.mark.parametrize("behaviour", [HELLO, chunked_answer(b"hel", b"lo")])
def test_a_mapped_body_has_its_own_length_and_a_weak_tag(behaviour, served):
    def maps(request):
        response = yield request
        response.body.map(lambda block: block.upper(), lambda: b"!")

    called = served(maps, behaviour=behaviour)
    assert called.read() == b"HELLO!"
    assert length(called) in (None, "6")
    headers = dict(called.calls[0][1])
    assert headers.get("ETag", 'W/"a"') == 'W/"a"'
    assert not {"Content-MD5", "Accept-Ranges"} & set(headers)


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [(200, "HEAD", "5"), (204, "GET", None), (304, "GET", "5"), (205, "GET", "0")],
)
@pytest.mark.parametrize("kind", ["read", "map", "set", "nothing"])
def test_where_no_body_may_be_there_is_none(kind, status, method, expected, served):
    def changes(request):
        response = yield request
        if kind == "read":
            assert (yield response.read()) == b""
        elif kind == "map":
            response.body.map(bytes.upper)
        elif kind == "set":
            response.body = b"abc"

    raw = f"HTTP/1.1 {status} X\r\nContent-Length: {0 if status == 205 else 5}\r\n\r\n"
    if status == 204:
        raw = "HTTP/1.1 204 X\r\n\r\n"
    called = served(changes, behaviour=raw.encode(), REQUEST_METHOD=method)
    assert called.read() == b""
    if kind in ("read", "nothing"):
        assert length(called) == expected


@pytest.mark.parametrize(
    ("behaviour", "method", "changed"),
    [
        (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", "GET", ("status", 200)),
        (b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n", "HEAD", None),
    ],
)
def test_a_body_that_the_upstream_did_not_send_has_no_length(behaviour, method, changed, served):
    def changes(request):
        request.method = method
        response = yield request
        if changed:
            setattr(response, *changed)

    called = served(changes, behaviour=behaviour)
    assert length(called) == "0" and called.read() == b""


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_body_that_a_hook_sets(status, served):
    def changes(request):
        (yield request).status = status

    called = served(changes)
    assert called.read() == b""
    assert length(called) == {204: None, 205: "0", 304: "5"}[status]


def test_a_response_is_read_and_stays(served):
    def reads(request):
        response = yield request
        assert (yield response.read()) == b"hello"
        assert (yield response.read()) == b"hello"

    called = served(reads, behaviour=chunked_answer(b"hello"))
    assert called.read() == b"hello" and length(called) == "5"


def test_a_response_over_the_limit_is_502_and_never_cut(served):
    def reads(request):
        response = yield request
        try:
            yield response.read(limit=4)
        except ProxyError as error:
            assert error.status == 502
        return response

    assert served(reads).status == 500

    def fails(request):
        yield (yield request).read(limit=4)

    assert served(fails).status == 502


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", 99), ("status", 600), ("status", "200"), ("status", 101), ("reason", "a\nb"),
     ("headers", {"X-A": "1\n"}), ("headers", {"": "1"}), ("headers", [("A", 1)]), ("body", 5)],
)  # fmt: skip
def test_a_response_that_cannot_be_sent_is_500_and_names_the_hook(name, value, served, caplog):
    def breaks(request):
        setattr((yield request), name, value)

    assert served(breaks).status == 500
    assert "breaks" in caplog.text


def test_a_response_is_used_once(served, caplog):
    kept = []

    def keeps(request):
        kept.append((yield request))
        return kept[0]

    assert served(keeps).read() == b"hello"
    assert served(keeps).status == 500
    assert "keeps" in caplog.text and "another request" in caplog.text


@pytest.mark.parametrize("at", ["block", "end", "type"])
def test_a_map_that_fails_breaks_the_answer_off(at, served, caplog):
    def fails(request):
        def change(block):
            if at == "block":
                raise ValueError("here")
            return 5 if at == "type" else block

        def end():
            raise ValueError("here")

        (yield request).body.map(change, end)

    called = served(fails, behaviour=answer(body=b"x" * 300_000))
    with pytest.raises(ProxyError):
        b"".join(called.result)
    called.result.close()
    assert "fails" in caplog.text
    assert served(fails).status == 500  # it is there as a whole


def test_a_client_that_leaves_closes_what_hooks_have(served, upstream):
    closed = []

    class Blocks:
        def __iter__(self):
            return iter([b"a"] * 5)

        def close(self):
            closed.append(1)

    def sets(request):
        (yield request).body = Blocks()

    called = served(sets)
    assert next(called.result) in (b"", b"a")
    called.result.close()
    assert closed == [1]
    assert served(sets, REQUEST_METHOD="HEAD").read() == b""
    assert closed == [1, 1]


def test_a_body_map_keeps_memory_flat(served):
    size, block = 256 << 20, b"x" * (1 << 20)

    def maps(request):
        response = Response(200, body=(block for _ in range(size // len(block))))
        response.body.map(bytes.upper)
        return response
        yield

    called = served(maps)
    tracemalloc.start()
    total = sum(map(len, called.result))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    called.result.close()
    assert total == size and peak < 16 << 20


# -- own requests, answers, failures -------------------------------------------------------


def test_a_request_of_ones_own(upstream, served):
    def asks(request):
        own = Request("POST", upstream.url + "/check?a=b", {"X-A": "1", "Host": "evil"}, "data")
        answered = yield own
        assert answered.status == 200 and (yield answered.read()) == b"hello"
        return (yield request)

    assert served(asks).read() == b"hello"
    own = upstream.requests[0]
    assert own.line == "POST /check?a=b HTTP/1.1" and own.body == b"data"
    assert own.values("Host") == [upstream.netloc] and own.values("X-A") == ["1"]


@pytest.mark.parametrize("is_read", [False, True])
def test_the_answer_to_a_request_of_ones_own_may_be_the_answer(is_read, upstream, served):
    def asks(request):
        answered = yield Request("GET", upstream.url)
        if is_read:
            yield answered.read()
        return answered

    assert served(asks).read() == b"hello"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("url", ["http://[::1", "ftp://x/", "/x", "http://u:p@x/", "http://x/ä"])
def test_an_address_that_is_none(url, served, caplog):
    def asks(request):
        yield Request("GET", url)

    assert served(asks).status == 500
    assert "asks" in caplog.text


def test_a_request_of_ones_own_is_guarded(upstream, served):
    def asks(request):
        yield Request("GET", upstream.url)

    assert served(asks, options={"guard": True}).status == 403
    assert not upstream.accepted


def test_an_early_answer(upstream, served, caplog):
    def answers(request):
        return Response(401, {"WWW-Authenticate": "Basic"}, "no")
        yield

    with caplog.at_level(logging.INFO, "wsgiproxy.access"):
        called = served(answers, **body(b"hello"))
    assert called.status == 401 and called.read() == b"no" and length(called) == "2"
    assert dict(called.calls[0][1])["Content-Type"] == "text/plain; charset=utf-8"
    assert not upstream.accepted and " 401 " in caplog.text


def test_a_failure_becomes_an_answer(served):
    def catches(request):
        try:
            return (yield request)
        except UpstreamLost:
            return Response(503, body="later")

    assert served(catches, behaviour=[("read",), ("close",)]).status == 503


@pytest.mark.parametrize("error", [ValueError("secret"), OSError("secret"), StopIteration()])
@pytest.mark.parametrize("before", [False, True])
def test_a_hook_that_raises_is_500_and_named(before, error, served, caplog):
    def raises(request):
        if before:
            raise error
        yield request
        raise error

    called = served(raises)
    assert called.status == 500 and b"secret" not in called.read()
    assert "raises" in caplog.text


def test_an_error_of_ours_keeps_its_status(served):
    def forbids(request):
        raise Forbidden("no")
        yield

    assert served(forbids).status == 403


def test_one_that_swallows_its_end_is_named(served, caplog):
    def swallows(request):
        try:
            yield 5
        except GeneratorExit:
            yield request

    assert served(swallows).status == 500
    assert "swallows: at its end" in caplog.text and "swallows: yields 5" in caplog.text


def test_a_hook_that_waits_by_itself(served, upstream):
    def waits(request, forward):
        request.headers["X-A"] = "1"
        response = forward(request)
        response.headers["X-B"] = "2"
        return response

    def inner(request):
        assert request.headers["X-A"] == "1"
        yield request

    assert ("X-B", "2") in served(waits, inner).calls[0][1]

    def wrong(request, forward):
        forward(5)

    assert served(wrong).status == 500


def test_what_a_hook_leaves_behind_is_refused(served, caplog):
    kept: list[Callable[[], Any]] = []

    def leaves(request, forward):
        kept.append(lambda: forward(request))
        return Response(200)

    assert served(leaves).status == 200
    with pytest.raises(ProxyError, match="after its end"):
        kept[0]()


def test_a_timeout_of_webob_holds_for_own_requests(upstream, served):
    def asks(request):
        yield Request("GET", upstream.url)

    waits = [("read",), ("wait_ended",)]
    environ = {"webob.client.timeout": 0.1}
    assert served(asks, behaviour=waits, **environ).status == 504


# -- applications --------------------------------------------------------------------------


def marks(request):
    (yield request).headers["X-Hook"] = "1"


def test_the_decorator(upstream):
    upstream.behaviour = HELLO
    app = WSGIProxyApp(upstream.url)
    order = []

    @app.hook
    def second(request):
        order.append("second")
        yield request

    @app.hook(phase=CLIENT_EDGE)
    def first(request):
        order.append("first")
        yield request

    assert call(environ_for(upstream), app).status == 200
    assert order == ["first", "second"]
    with pytest.raises(ConfigurationError):
        app.hook(lambda request: None)
    with pytest.raises(ConfigurationError):
        app.hook(5)
    app.close()


def browser(upstream: RawUpstream, **options: Any) -> Any:
    return ForwardProxy(allow=["127.0.0.0/8"], ports=[upstream.port], **options)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda upstream, **more: HostProxy(upstream.url, **more), id="HostProxy"),
        pytest.param(lambda upstream, **more: ExactProxy(**more), id="ExactProxy"),
        pytest.param(browser, id="ForwardProxy"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_other_applications(make, late, upstream):
    upstream.behaviour = HELLO
    app = make(upstream) if late else make(upstream, hooks=[marks])
    if late:
        assert app.hook(marks) is marks
    environ = environ_for(upstream, REMOTE_ADDR="127.0.0.1", REQUEST_URI=upstream.url + "/")
    if isinstance(app, ForwardProxy):
        environ["HTTP_HOST"] = upstream.netloc
    called = call(environ, app)
    assert called.status == 200, called.read()
    assert ("X-Hook", "1") in called.calls[0][1]
    app.close()


def test_host_proxy_asks_others_by_a_transport_of_ours(upstream):
    upstream.behaviour = HELLO

    def asks(request):
        return (yield Request("GET", upstream.url + "/own"))

    app = HostProxy("http://127.0.0.1:1", hooks=[asks])
    assert call(environ_for(upstream), app).read() == b"hello"
    app.close()


def test_the_guard_of_host_proxy_holds_for_own_requests(upstream):
    def asks(request):
        return (yield Request("GET", upstream.url))

    app = HostProxy(upstream.url, guard=True, hooks=[asks])
    assert call(environ_for(upstream), app).status == 403
    assert not upstream.accepted
    app.close()


def test_hooks_of_requests_stay_its_own(upstream):
    upstream.behaviour = HELLO
    seen = []
    hooks = {"response": [lambda response, *_, **__: seen.append(response.status_code)]}
    app = HostProxy(upstream.url, client="requests", hooks=hooks)
    assert call(environ_for(upstream), app).read() == b"hello"
    assert seen == [200]
    app.close()


def test_a_spawner_asks_others_by_a_transport_of_its_own(upstream):
    upstream.behaviour = HELLO
    import sys

    def asks(request):
        assert (yield Request("GET", upstream.url + "/own")).status == 200
        return (yield request)

    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    with SpawningApplication(command, cwd="docs", hooks=[asks], ready="/index.rst") as app:
        assert call(environ_for(upstream, "/index.rst"), app).status == 200
        app.hook(marks)
        called = call(environ_for(upstream, "/index.rst"), app)
        assert ("X-Hook", "1") in called.calls[0][1]
        b"".join(called.result)
    assert len(upstream.requests) == 2


# -- WebSocket -------------------------------------------------------------------------------


def test_a_handshake_passes_through_hooks():
    def changes(request):
        request.headers["X-A"] = "1"
        response = yield request
        assert response.status == 101
        response.headers["X-B"] = "2"

    with (
        peer() as backend,
        proxied(backend.url, hooks=[changes]) as (_, port),
        RawClient(port) as client,
    ):
        client.send(request_bytes("GET /chat", HANDSHAKE))
        with backend.asked(SWITCHED) as (asked, sock):
            assert asked.values("X-A") == ["1"] and asked.values("Upgrade") == ["websocket"]
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ") and b"X-B: 2\r\n" in head
            sock.sendall(b"ping")
            assert client.read_until(b"ping") == b"ping"


def maps(request):
    (yield request).body.map(bytes.upper)


def reads(request):
    yield (yield request).read()


def sets(request):
    (yield request).body = b"x"


def turns(request):
    (yield request).status = 200


def refuses(request):
    yield request
    return Response(403)


@pytest.mark.parametrize(
    ("hook", "status"), [(maps, 500), (reads, 500), (sets, 500), (turns, 500), (refuses, 403)]
)
def test_a_101_is_passed_on_or_closed(hook, status, caplog):
    with (
        peer() as backend,
        proxied(backend.url, hooks=[hook]) as (_, port),
        RawClient(port) as client,
    ):
        client.send(request_bytes("GET /chat", HANDSHAKE))
        with backend.asked(SWITCHED) as (_, sock):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)
            assert sock.recv(1) == b""
    assert status != 500 or f"hook {hook.__name__}" in caplog.text


def posts(request):
    request.method = "POST"
    yield request


def fills(request):
    request.body = b"x"
    yield request


@pytest.mark.parametrize("hook", [posts, fills])
def test_a_handshake_keeps_its_form(hook, caplog):
    with (
        peer() as backend,
        proxied(backend.url, hooks=[hook]) as (_, port),
        RawClient(port) as client,
    ):
        client.send(request_bytes("GET /chat", HANDSHAKE))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 500 ")
        assert not backend.was_asked()
    assert f"hook {hook.__name__}" in caplog.text
