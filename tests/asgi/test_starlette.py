"""The proxy inside an endpoint of Starlette and FastAPI, also where the endpoint is hostile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from tests.asgi.driven import Client, ask
from tests.support.echo import echo as echo_behaviour
from tests.support.upstream import RawUpstream, answer, chunks
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import ProxyResponse, proxied
from wsgiproxy.errors import ClientGone, ProxyError, UpstreamLost

Endpoint = Callable[[Request], Awaitable[Response]]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def proxy(upstream: RawUpstream) -> ASGIProxyApp:
    upstream.behaviour = echo_behaviour
    return ASGIProxyApp(upstream.url)


@pytest.fixture
def exchanges(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The records of the exchanges so far."""
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    return lambda: [each.exchange for each in caplog.records if hasattr(each, "exchange")]


def site(endpoint: Endpoint, path: str = "/tool/{path:path}", **options: Any) -> Starlette:
    return Starlette(routes=[Route(path, endpoint, methods=METHODS)], **options)


def plain(proxy: ASGIProxyApp, name: str = "path") -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await proxied(request, proxy, request.path_params[name])

    return endpoint


# Where it is mounted


@pytest.mark.parametrize(
    ("target", "sent", "prefix"),
    [
        pytest.param("/tool/a/b?q=1&q=2&bla", "/a/b?q=1&q=2&bla", "/tool", id="plain"),
        pytest.param("/tool/a%2Fb", "/a%2Fb", "/tool", id="encoded-slash"),
        pytest.param("/tool/%2541%25", "/%2541%25", "/tool", id="encoded-twice"),
        pytest.param("/tool//a", "//a", "/tool", id="two-slashes"),
        pytest.param("/tool/", "/", "/tool", id="empty"),
        pytest.param("/tool/caf%C3%A9", "/caf%C3%A9", "/tool", id="accent"),
        pytest.param("/tool/a%3Fb%23c", "/a%3Fb%23c", "/tool", id="question-mark"),
        pytest.param("/tool/tool/x", "/tool/x", "/tool", id="the-prefix-again"),
    ],
)
def test_the_path_goes_on_byte_for_byte(
    proxy: ASGIProxyApp, target: str, sent: str, prefix: str
) -> None:
    got = ask(site(plain(proxy)), "GET", target, close=proxy.close)
    assert got.told["line"] == f"GET {sent} HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == [prefix]


def test_a_route_below_a_mount_announces_both(proxy: ASGIProxyApp) -> None:
    app = Starlette(routes=[Mount("/outer", site(plain(proxy)))])
    got = ask(app, "GET", "/outer/tool/a%2Fb", close=proxy.close)
    assert got.told["line"] == "GET /a%2Fb HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == ["/outer/tool"]


def test_a_server_with_a_root_path_is_announced(proxy: ASGIProxyApp) -> None:
    app = site(plain(proxy))
    got = ask(app, "GET", "/app/tool/a%2Fb", close=proxy.close, root_path="/app")
    assert got.told["line"] == "GET /a%2Fb HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == ["/app/tool"]


@pytest.mark.parametrize("root", ["/app", "/to"])
def test_a_server_that_gives_the_path_without_its_root(proxy: ASGIProxyApp, root: str) -> None:
    """``/to`` is not what ``/tool/x`` begins with: it ends within a segment."""
    got = ask(site(plain(proxy)), "GET", "/tool/a%2Fb", close=proxy.close, root_path=root)
    assert got.told["line"] == "GET /a%2Fb HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == [f"{root}/tool"]


def test_parameters_before_the_path_belong_to_the_mount(proxy: ASGIProxyApp) -> None:
    app = site(plain(proxy), "/{tenant}/tool/{path:path}")
    got = ask(app, "GET", "/a%20b/tool/x", close=proxy.close)
    assert got.told["line"] == "GET /x HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == ["/a%20b/tool"]


def test_without_a_path_all_of_it_goes_upstream(proxy: ASGIProxyApp) -> None:
    async def endpoint(request: Request) -> Response:
        return await proxied(request, proxy)

    got = ask(site(endpoint), "GET", "/tool/a%2Fb", close=proxy.close)
    assert got.told["line"] == "GET /tool/a%2Fb HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == []


@pytest.mark.parametrize(
    ("route", "target", "path"),
    [
        pytest.param("/{path}/edit", "/a/edit", "a", id="not-at-the-end"),
        pytest.param("/tool/{path:path}", "/tool/ab", "b", id="within-a-segment"),
        pytest.param("/tool/{path:path}", "/tool/a%2Fb", "a%2Fb", id="not-decoded"),
        pytest.param("/tool/{path:path}", "/tool/a", "/elsewhere/and/very/long", id="longer"),
    ],
)
def test_another_path_than_the_end_is_a_mistake(
    proxy: ASGIProxyApp, upstream: RawUpstream, route: str, target: str, path: str
) -> None:
    async def endpoint(request: Request) -> Response:
        return await proxied(request, proxy, path)

    with pytest.raises(ValueError, match="expected the end of the request's path"):
        ask(site(endpoint, route), "GET", target)
    assert upstream.requests == []


# What the endpoint has done before


def test_a_body_that_was_read_before_is_sent(proxy: ASGIProxyApp) -> None:
    seen = []

    async def endpoint(request: Request) -> Response:
        seen.append(await request.body())
        return await proxied(request, proxy, request.path_params["path"])

    got = ask(site(endpoint), "POST", "/tool/x", body=b"a=1", close=proxy.close)
    assert seen == [b"a=1"]
    assert got.told["body_length"] == 3
    assert got.received("Content-Length") == ["3"]


def test_an_empty_body_that_was_read_before_harms_nothing(proxy: ASGIProxyApp) -> None:
    async def endpoint(request: Request) -> Response:
        assert await request.body() == b""
        return await proxied(request, proxy, request.path_params["path"])

    assert ask(site(endpoint), "GET", "/tool/x", close=proxy.close).told["body_length"] == 0


def test_a_stream_that_was_read_before_is_a_mistake_with_advice(proxy: ASGIProxyApp) -> None:
    async def endpoint(request: Request) -> Response:
        async for _ in request.stream():
            pass
        return await proxied(request, proxy, request.path_params["path"])

    with pytest.raises(RuntimeError, match=r"await request\.body\(\)"):
        ask(site(endpoint), "POST", "/tool/x", body=b"a=1")


def test_a_request_may_be_changed_by_its_scope(proxy: ASGIProxyApp) -> None:
    async def endpoint(request: Request) -> Response:
        headers = [*request.scope["headers"], (b"x-token", b"1"), (b"x-token", b"2")]
        changed = Request({**request.scope, "headers": headers}, request.receive)
        return await proxied(changed, proxy, request.path_params["path"])

    got = ask(site(endpoint), "PUT", "/tool/x", body=b"body", close=proxy.close)
    assert got.received("X-Token") == ["1", "2"]
    assert got.told["body_length"] == 4


# What the endpoint does with the response


def test_headers_and_cookies_of_a_response_may_be_changed(
    proxy: ASGIProxyApp, upstream: RawUpstream
) -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("X-Old", "1")]
    upstream.behaviour = answer(headers=cookies, body=b"page")

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        del response.headers["x-old"]
        response.headers["X-New"] = "2"
        response.set_cookie("c", "3")
        return response

    got = ask(site(endpoint), "GET", "/tool/", close=proxy.close)
    assert (got.body, got.values("X-Old"), got.values("X-New")) == (b"page", [], ["2"])
    first, second, third = got.values("Set-Cookie")
    assert (first, second, third[:4]) == ("a=1", "b=2; Path=/", "c=3;")


async def upper(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for block in blocks:
        yield block.upper() + b"!"


STREAM = [("read",), ("send", EVENTS), ("send", chunks(b"one", b"two"))]
WHOLE = [("read",), ("send", answer(body=b"one"))]


@pytest.mark.parametrize(
    ("script", "wanted"),
    [pytest.param(STREAM, b"ONETWO", id="stream"), pytest.param(WHOLE, b"ONE", id="whole")],
)
@pytest.mark.parametrize("anew", [False, True], ids=["in-place", "another-response"])
def test_a_body_may_be_changed_as_it_streams(
    upstream: RawUpstream, exchanges: Any, script: Any, wanted: bytes, anew: bool
) -> None:
    """Also the way of a well-known recipe, which drops the response and keeps its body."""
    upstream.behaviour = script
    proxy = ASGIProxyApp(upstream.url)

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        assert isinstance(response, ProxyResponse)
        if "content-length" in response.headers:
            del response.headers["content-length"]
        blocks = upper(response.body_iterator)  # type: ignore[arg-type]
        if anew:
            return StreamingResponse(blocks, response.status_code)
        response.body_iterator = blocks
        return response

    got = ask(site(endpoint), "GET", "/tool/", close=proxy.close)
    assert got.body.replace(b"!", b"") == wanted
    assert got.is_whole
    assert [(each["status"], each["error"]) for each in exchanges()] == [(200, None)]


def test_a_changed_body_may_be_text(proxy: ASGIProxyApp) -> None:
    async def lines() -> AsyncIterator[str]:
        yield "caf\xe9"

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        del response.headers["content-length"]
        response.body_iterator = lines()  # type: ignore[attr-defined]
        return response

    got = ask(site(endpoint), "GET", "/tool/", close=proxy.close)
    assert got.body.decode() == "caf\xe9"


def test_a_background_task_runs_after_the_answer(proxy: ASGIProxyApp) -> None:
    done: list[int] = []
    client: list[Client] = []

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        response.background = BackgroundTask(lambda: done.append(1))
        return response

    client.append(ask(site(endpoint), "GET", "/tool/", close=proxy.close))
    assert done == [1]
    assert client[0].is_whole


def test_a_dropped_response_gives_the_connection_up(upstream: RawUpstream, exchanges: Any) -> None:
    upstream.behaviour = [("read",), ("send", EVENTS), ("wait_ended",)]
    proxy = ASGIProxyApp(upstream.url)

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        assert response.status_code == 200
        return PlainTextResponse("something else")

    got = ask(site(endpoint), "GET", "/tool/", close=proxy.close)
    assert got.body == b"something else"
    assert upstream.wait_closed(10)
    assert [each["error"] for each in exchanges()] == ["ClientGone"]


def test_a_response_may_be_collected_by_another_thread(
    upstream: RawUpstream, exchanges: Any
) -> None:
    """The garbage collector runs where it likes."""
    upstream.behaviour = [("read",), ("send", EVENTS), ("wait_ended",)]
    proxy = ASGIProxyApp(upstream.url)
    threads = []

    class Noting:
        def __del__(self) -> None:
            threads.append(threading.current_thread())

    async def endpoint(request: Request) -> Response:
        response: Any = await proxied(request, proxy, request.path_params["path"])
        response.itself, response.noting = response, Noting()
        del response
        await asyncio.to_thread(gc.collect)
        return PlainTextResponse("else")

    gc.disable()
    try:
        ask(site(endpoint), "GET", "/tool/", close=proxy.close)
    finally:
        gc.enable()
    assert threads[0] is not threading.main_thread()
    assert upstream.wait_closed(10)
    assert len(exchanges()) == 1


# What goes wrong


def test_an_upstream_that_is_away_is_an_error_page(exchanges: Any) -> None:
    proxy = ASGIProxyApp("http://127.0.0.1:1")
    got = ask(site(plain(proxy)), "GET", "/tool/", [("Accept", "application/json")])
    assert got.status == 502
    assert got.values("Content-Type") == ["application/json"]
    assert b"127.0.0.1" not in got.body
    assert [each["status"] for each in exchanges()] == [502]


def test_a_status_of_the_upstream_is_no_error(proxy: ASGIProxyApp, upstream: RawUpstream) -> None:
    challenge = [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", 'Digest realm="a"')]
    upstream.behaviour = answer(401, challenge, b"log in")
    got = ask(site(plain(proxy)), "GET", "/tool/", close=proxy.close)
    assert (got.status, got.body) == (401, b"log in")
    assert got.values("WWW-Authenticate") == ["Basic", 'Digest realm="a"']


def test_head_has_the_length_and_no_body(proxy: ASGIProxyApp, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(headers=[("Content-Length", "5")])
    got = ask(site(plain(proxy)), "HEAD", "/tool/", close=proxy.close)
    assert (got.status, got.body, got.values("Content-Length")) == (200, b"", ["5"])


CUT = [("read",), ("send", EVENTS + b"3\r\none\r\n"), ("close",)]


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["X-Seen"] = "1"
    return response


async def log_body(request: Request, call_next: Any) -> Response:
    request.state.body = await request.body()
    return await pass_on(request, call_next)


AROUND = [
    pytest.param([], id="alone"),
    pytest.param([Middleware(BaseHTTPMiddleware, dispatch=pass_on)], id="middleware"),
]


@pytest.mark.parametrize("middleware", AROUND)
def test_an_answer_that_breaks_off_never_looks_complete(
    upstream: RawUpstream, middleware: Any, exchanges: Any
) -> None:
    upstream.behaviour = CUT
    proxy = ASGIProxyApp(upstream.url)
    app = site(plain(proxy), middleware=middleware)
    sent: list[bytes] = []

    def server(message: Any) -> bool:
        """Refuses what it does not know, as servers do."""
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            assert message["more_body"]
        elif message["type"] != "http.response.start":
            raise ProxyError(message["type"])
        return False

    with pytest.raises(ProxyError):
        ask(app, "GET", "/tool/", close=proxy.close, leaves=server)
    assert b"".join(sent) == b"one"
    assert [each["error"] for each in exchanges()] == [UpstreamLost.__name__]


@pytest.mark.parametrize("middleware", AROUND)
def test_a_client_that_leaves_ends_the_request_upstream(
    upstream: RawUpstream, middleware: Any, exchanges: Any
) -> None:
    upstream.behaviour = [("read",), ("send", EVENTS + b"3\r\none\r\n"), ("wait_ended",)]
    proxy = ASGIProxyApp(upstream.url)
    app = site(plain(proxy), middleware=middleware)
    ask(app, "GET", "/tool/", close=proxy.close, leaves=lambda each: each.get("body") == b"one")
    assert upstream.wait_closed(10)
    assert [each["error"] for each in exchanges()] == ["ClientGone"]


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_client_may_leave_another_response_with_the_body(
    upstream: RawUpstream, version: str, exchanges: Any
) -> None:
    upstream.behaviour = [("read",), ("send", EVENTS + b"3\r\none\r\n"), ("wait_ended",)]
    proxy = ASGIProxyApp(upstream.url)

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        return StreamingResponse(upper(response.body_iterator))  # type: ignore[attr-defined]

    with contextlib.suppress(ClientGone):  # of a server of 2.4 that does not raise OSError
        ask(
            *(site(endpoint), "GET", "/tool/"),
            close=proxy.close,
            leaves=lambda each: each.get("body") == b"ONE!",
            asgi={"version": "3.0", "spec_version": version},
        )
    assert upstream.wait_closed(10)
    assert [each["error"] for each in exchanges()] == ["ClientGone"]


def test_a_client_may_leave_while_the_upstream_thinks(
    upstream: RawUpstream, exchanges: Any
) -> None:
    upstream.behaviour = [("read",), ("wait_ended",)]
    proxy = ASGIProxyApp(upstream.url)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def leaving() -> Any:
            return {"type": "http.disconnect"}

        await site(plain(proxy))(scope, leaving, send)

    ask(app, "GET", "/tool/", close=proxy.close)
    assert upstream.wait_closed(10)
    assert [each["error"] for each in exchanges()] == ["ClientGone"]


def test_oserror_of_send_means_that_the_client_has_left(
    proxy: ASGIProxyApp, exchanges: Any
) -> None:
    """ASGI 2.4."""
    done: list[int] = []

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, proxy, request.path_params["path"])
        response.background = BackgroundTask(lambda: done.append(1))
        return response

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def broken(message: Any) -> None:
            raise OSError("gone")

        await site(endpoint)(scope, receive, broken)

    ask(app, "GET", "/tool/", close=proxy.close)
    assert [each["error"] for each in exchanges()] == ["ClientGone"]
    assert done == [1]


# Middleware of Starlette around it


@pytest.mark.parametrize("dispatch", [pass_on, log_body])
def test_a_middleware_sees_a_response_that_streams(proxy: ASGIProxyApp, dispatch: Any) -> None:
    app = site(plain(proxy), middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)])
    got = ask(app, "POST", "/tool/a%2Fb", body=b"a=1", close=proxy.close)
    assert (got.told["line"], got.told["body_length"]) == ("POST /a%2Fb HTTP/1.1", 3)
    assert got.values("X-Seen") == ["1"]


def test_events_pass_a_middleware_one_by_one(upstream: RawUpstream) -> None:
    turns = [threading.Event(), threading.Event()]
    upstream.behaviour = [
        *[("read",), ("send", EVENTS), ("wait", turns[0]), ("send", b"3\r\none\r\n")],
        *[("wait", turns[1]), ("send", b"3\r\ntwo\r\n0\r\n\r\n")],
    ]
    proxy = ASGIProxyApp(upstream.url)
    app = site(plain(proxy), middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)])

    def after(message: Any) -> bool:
        if message["type"] == "http.response.start":
            turns[0].set()
        elif message.get("body") == b"one":
            turns[1].set()
        return False

    assert ask(app, "GET", "/tool/", close=proxy.close, leaves=after).body == b"onetwo"


# Test clients


@pytest.fixture
def client(proxy: ASGIProxyApp) -> Iterator[Any]:
    pytest.importorskip("httpx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette prefers a fork of httpx
        from starlette.testclient import TestClient

    app = site(plain(proxy))
    app.router.lifespan_context = _closing(proxy)
    with TestClient(app) as client:
        yield client


def _closing(proxy: ASGIProxyApp) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        proxy.close()

    return lifespan


def test_the_test_client_gets_an_answer(client: Any) -> None:
    for _ in range(2):
        got = client.post("/tool/a%2Fb", content=b"a=1")
        assert got.json()["line"] == "POST /a%2Fb HTTP/1.1"
    with client.stream("GET", "/tool/x") as got:
        assert b"GET /x" in b"".join(got.iter_raw())


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("mine")])
@pytest.mark.parametrize("first", [b"", b"some"])
def test_a_changed_body_that_fails_breaks_the_answer_off(
    upstream: RawUpstream, error: Exception, first: bytes
) -> None:
    """An OSError of what reads the body is not one of the client's connection."""
    upstream.behaviour = answer(body=b"hello")
    app = ASGIProxyApp(upstream.url)

    async def endpoint(request: Request) -> Response:
        response = await proxied(request, app)
        assert isinstance(response, ProxyResponse)

        async def changed() -> AsyncIterator[bytes]:
            if first:
                yield first
            raise error

        response.body_iterator = changed()
        return response

    with pytest.raises(type(error), match="mine"):
        ask(Starlette(routes=[Route("/", endpoint)]), "GET", "/", close=app.close)
