"""Hooks under ASGI, in both event loops, on the bytes that reach a raw upstream."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from tests.asgi.sockets import Client, run, scope_of, serving
from tests.support.asgi_calls import LAST, Caller, http_scope, judged
from tests.support.loops import LOOPS, ended, until
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIForwardProxy, ASGIProxyApp, ASGISpawningApplication
from wsgiproxy.errors import ConfigurationError, ProxyError, UpstreamLost
from wsgiproxy.hooks import Request, Response

HELLO = answer(200, [("ETag", '"a"'), ("Content-MD5", "x")], b"hello")
POST = {"method": "POST"}


@pytest.fixture(params=LOOPS)
def served(request: pytest.FixtureRequest, upstream: RawUpstream) -> Any:
    """Call an application with hooks once; no task and no connection is left behind it."""

    def serve(
        *hooks: Any,
        behaviour: Any = HELLO,
        blocks: tuple[bytes, ...] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
        options: Any = None,
        caller: Any = None,
        **changes: Any,
    ) -> Caller:
        upstream.behaviour = behaviour
        if blocks:
            changes.setdefault("method", "POST")
            headers += ((b"content-length", str(sum(map(len, blocks))).encode()),)
        events = [{"type": "http.request", "body": each, "more_body": True} for each in blocks]
        caller = caller or Caller([*events, LAST])
        scope = http_scope(*headers, **changes)
        app = ASGIProxyApp(upstream.url, hooks=hooks, **(options or {}))

        async def main() -> BaseException | None:
            try:
                return await asyncio.wait_for(caller(app, scope), 10)
            finally:
                app.close()

        caller.error = ended(LOOPS[request.param](), main())
        caller.whole = judged(caller.sent, scope)
        assert upstream.wait_until(lambda: all(each.ended for each in upstream.accepted), 5)
        return caller

    return serve


def status(caller: Caller) -> int:
    return int(caller.sent[0]["status"])


def text(caller: Caller) -> bytes:
    return b"".join(each.get("body", b"") for each in caller.sent[1:])


def fields(caller: Caller) -> dict[bytes, bytes]:
    return dict(caller.sent[0]["headers"])


def marks(request):
    (yield request).headers["X-Hook"] = "1"


def test_what_hooks_change_passes_both_ways(upstream, served):
    def changes(request):
        assert request.environ is None and request.scope["method"] == "POST"
        with pytest.raises(TypeError):
            request.scope["method"] = "GET"
        request.path, request.headers["X-A"] = "/b", "1"
        request.body.map(lambda block: block.upper() if block != b"-" else b"", lambda: b"!")
        response = yield request
        response.status, response.headers["X-B"] = 201, "2"
        response.body.map(bytes.upper, lambda: b"!")

    caller = served(changes, blocks=(b"he", b"-", b"llo"), behaviour=chunked_answer(b"a", b"b"))
    sent = upstream.requests[-1]
    assert sent.line == "POST /b HTTP/1.1" and sent.values("X-A") == ["1"]
    assert sent.body == b"HELLO!" and sent.complete
    assert (status(caller), text(caller)) == (201, b"AB!") and caller.whole
    assert fields(caller)[b"x-b"] == b"2"


def test_a_body_is_read_sent_and_sent_again(upstream, served):
    def twice(request):
        assert (yield request.read()) == b"hello"
        yield request
        response = yield request
        assert (yield response.read()) == b"hello"

    caller = served(twice, blocks=(b"hel", b"lo"))
    assert [each.body for each in upstream.requests] == [b"hello", b"hello"]
    assert text(caller) == b"hello" and fields(caller)[b"etag"] == b'"a"'


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("blocks", [(), (b"hello",)])
def test_a_body_of_http_2_without_length(reads, blocks, upstream, served):
    def twice(request):
        if reads:
            yield request.read()
        yield request
        if not blocks or reads:
            yield request

    events = [{"type": "http.request", "body": each, "more_body": True} for each in blocks]
    caller = served(
        twice,
        caller=Caller([*events, LAST]),
        http_version="2",
        method="POST",
    )
    assert status(caller) == 200
    assert {each.body for each in upstream.requests} == {b"".join(blocks)}


def test_limits(upstream, served):
    def request_too_large(request):
        yield request.read(limit=4)

    def response_too_large(request):
        yield (yield request).read(limit=4)

    assert status(served(request_too_large, blocks=(b"hello",))) == 413
    assert not upstream.requests
    assert status(served(response_too_large)) == 502


def test_a_request_of_ones_own(upstream, served):
    def asks(request):
        answered = yield Request("POST", upstream.url + "/own", body=[b"da", b"ta"])
        assert (yield answered.read()) == b"hello"
        return (yield request)

    assert text(served(asks)) == b"hello"
    assert (upstream.requests[0].target, upstream.requests[0].body) == ("/own", b"data")

    def passes_on(request):
        return (yield Request("GET", upstream.url))

    assert text(served(passes_on)) == b"hello"
    assert status(served(passes_on, options={"guard": True})) == 403


@pytest.mark.parametrize("body", [b"no", "no", [b"n", b"o"], {b"no"}])
def test_an_early_answer(body, upstream, served):
    def answers(request):
        return Response(401, body=body)
        yield

    caller = served(answers, blocks=(b"hello",))
    assert (status(caller), text(caller)) == (401, b"no") and caller.whole
    assert not upstream.accepted


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head(method, served):
    def maps(request):
        response = yield request
        response.body.map(bytes.upper)

    behaviour = HELLO if method == "GET" else b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    caller = served(maps, method=method, behaviour=behaviour)
    assert text(caller) == (b"HELLO" if method == "GET" else b"")


def raises_before(request):
    raise ValueError("secret")
    yield


def raises_after(request):
    yield request
    raise ValueError("secret")


def yields_nonsense(request):
    yield 5


def yields_twice_too_much(request):
    yield request
    yield request


def returns_nonsense(request):
    yield request
    return 5


def swallows(request):
    try:
        yield 5
    except GeneratorExit:
        yield request


def sets_nonsense(request):
    (yield request).headers["X"] = "a\nb"


async def waits_and_fails(request, forward):
    await forward(request)
    raise ValueError("secret")


async def forwards_nonsense(request, forward):
    await forward(5)


async def returns_nothing(request, forward):
    await forward(request)


@pytest.mark.parametrize(
    "hook",
    [raises_before, raises_after, yields_nonsense, yields_twice_too_much, returns_nonsense,
     swallows, sets_nonsense, waits_and_fails, forwards_nonsense, returns_nothing],
)  # fmt: skip
def test_nonsense_is_500_and_named(hook, served, caplog):
    caller = served(marks, hook, blocks=(b"hello",))
    assert status(caller) == 500 and b"secret" not in text(caller)
    assert f"hook {hook.__name__}" in caplog.text


@pytest.mark.parametrize("form", ["portable", "async"])
def test_a_failure_becomes_an_answer(form, served):
    def portable(request):
        try:
            yield request
        except UpstreamLost:
            return Response(503)

    async def waits(request, forward):
        try:
            return await forward(request)
        except UpstreamLost:
            return Response(503)

    hook = portable if form == "portable" else waits
    assert status(served(hook, behaviour=[("read",), ("close",)])) == 503


def test_a_map_that_fails_breaks_the_answer_off(served, caplog):
    def fails(request):
        (yield request).body.map(lambda block: 1 / 0)

    caller = served(fails, behaviour=answer(body=b"x" * 300_000))
    assert not caller.whole and "fails: body.map(" in caplog.text


def test_a_request_body_that_fails_is_never_whole(upstream, served, caplog):
    def fails(request):
        request.body.map(lambda block: 1 / 0)
        yield request

    assert status(served(fails, blocks=(b"hello",), behaviour=[("read",)])) == 500
    assert (
        not any(each.complete for each in upstream.requests) and ".fails: body.map(" in caplog.text
    )


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["well", "swallows", "fails"])
def test_a_task_that_is_cancelled_ends_its_hooks(kind, loop, upstream, caplog):
    upstream.behaviour = [("read_head",), ("wait_ended",)]
    over = []

    def outer(request):
        try:
            yield request
        except Exception:
            over.append("caught")
        finally:
            over.append("outer")

    def inner(request):
        try:
            yield request
        except GeneratorExit:
            over.append("inner")
            if kind == "swallows":
                yield request
            if kind == "fails":
                raise ValueError("here") from None

    async def waits(request, forward):
        try:
            return await forward(request)
        finally:
            over.append("waits")

    app = ASGIProxyApp(upstream.url, hooks=[outer, waits, inner])

    async def main() -> None:
        task = asyncio.ensure_future(Caller()(app, http_scope()))
        assert await until(lambda: bool(upstream.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        app.close()

    ended(LOOPS[loop](), main())
    assert over == ["inner", "waits", "outer"]
    assert ("inner: at its end" in caplog.text) == (kind != "well")
    assert upstream.wait_until(lambda: upstream.accepted[0].ended, 5)


def test_what_a_hook_leaves_behind_is_refused(served):
    kept = []

    async def leaves(request, forward):
        kept.append(asyncio.ensure_future(forward(request)))
        return Response(200)

    async def waits_for_it(request, forward):
        return await forward(request)

    class Waits(Caller):
        async def __call__(self, app: Any, scope: Any) -> Any:
            await super().__call__(app, scope)
            with pytest.raises(ProxyError, match="after its end"):
                await kept[0]

    assert status(served(waits_for_it, leaves, caller=Waits())) == 200


def test_a_body_map_keeps_memory_flat(served):
    size, block = 256 << 20, b"x" * (1 << 20)
    total = 0

    def maps(request):
        response = Response(200, body=(block for _ in range(size // len(block))))
        response.body.map(bytes.upper)
        return response
        yield

    class Counts(Caller):
        async def send(self, message: Any) -> None:
            nonlocal total
            total += len(message.get("body", b""))
            self.sent.append({**message, **({"body": b""} if "body" in message else {})})

    tracemalloc.start()
    served(maps, caller=Counts())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == size and peak < 16 << 20


def test_wrong_forms_are_refused():
    def sync(request, forward): ...

    for make in (
        lambda hooks: ASGIProxyApp("http://127.0.0.1:1", hooks=hooks),
        lambda hooks: ASGIForwardProxy(hooks=hooks),
        lambda hooks: ASGISpawningApplication("true", hooks=hooks),
    ):
        with pytest.raises(ConfigurationError, match="sync is of the other world"):
            make([sync])


def test_the_forward_proxy(upstream):
    upstream.behaviour = HELLO
    app = ASGIForwardProxy(allow=["127.0.0.0/8"], ports=[upstream.port])
    app.hook(marks)
    url = f"/{upstream.url}/x"
    scope = http_scope(path=url, raw_path=url.encode(), client=("127.0.0.1", 5))
    caller = Caller()

    async def main() -> None:
        await caller(app, scope)
        app.close()

    ended(asyncio.new_event_loop(), main())
    assert status(caller) == 200 and fields(caller)[b"x-hook"] == b"1"


def test_the_spawner(upstream):
    import sys

    upstream.behaviour = HELLO

    def asks(request):
        assert (yield Request("GET", upstream.url)).status == 200
        return (yield request)

    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    caller = Caller()

    async def main() -> None:
        async with ASGISpawningApplication(command, cwd="docs", hooks=[asks]) as app:
            await app.start()
            app.hook(marks)
            await caller(app, http_scope(path="/index.rst", raw_path=b"/index.rst"))

    asyncio.run(main())
    assert status(caller) == 200 and fields(caller)[b"x-hook"] == b"1"


# WebSocket


def changes_handshake(request):
    request.headers["X-A"] = "1"
    response = yield request
    assert response.status == 101


def refuses_handshake(request):
    yield request
    return Response(403)


def turns_handshake(request):
    (yield request).status = 200


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("hook", [changes_handshake, refuses_handshake, turns_handshake])
def test_a_handshake_passes_through_hooks(hook, loop):
    async def main() -> None:
        async with serving(hooks=[hook]) as (app, upstream):
            client = Client(app, scope_of())
            found = await upstream.peer()
            assert found.values("x-a") == (["1"] if hook is changes_handshake else [])
            if hook is changes_handshake:
                await client.accepted()
                client.close()
            else:
                assert await found.lost() == b""
            await client.ended()

    run(loop, main())
