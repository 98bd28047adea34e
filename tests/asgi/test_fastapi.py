"""The router for FastAPI: one's own login in front of it, all methods, and what is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.middleware.base import BaseHTTPMiddleware

from tests.asgi.driven import ask
from tests.support.echo import echo as echo_behaviour
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import api_router
from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.methods import REGISTERED


@pytest.fixture
def proxy(upstream: RawUpstream) -> ASGIProxyApp:
    upstream.behaviour = echo_behaviour
    return ASGIProxyApp(upstream.url)


def login(request: Request) -> None:
    if "x-login" not in request.headers:
        raise HTTPException(401)


@pytest.fixture
def site(proxy: ASGIProxyApp) -> Iterator[FastAPI]:
    app = FastAPI()
    app.include_router(api_router(proxy, "/tool", dependencies=[Depends(login)]))
    app.include_router(api_router(proxy, "/{tenant}/tool"))
    yield app


IN = [("X-Login", "bob")]


@pytest.mark.parametrize("method", sorted(REGISTERED))
def test_each_registered_method_passes(site: FastAPI, proxy: ASGIProxyApp, method: str) -> None:
    got = ask(site, method, "/tool/a%2Fb", IN, close=proxy.close)
    assert got.status == 200
    if method != "HEAD":
        assert got.told["line"] == f"{method} /a%2Fb HTTP/1.1"


def test_another_method_is_not_asked_of_the_upstream(site: FastAPI, upstream: RawUpstream) -> None:
    assert ask(site, "FROB", "/tool/a", IN).status == 405
    assert upstream.requests == []


@pytest.mark.parametrize("target", ["/tool", "/tool/", "/tool/a", "/tool/..%2Fb", "/tool//a"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND"])
def test_nothing_passes_before_the_login(
    site: FastAPI, upstream: RawUpstream, method: str, target: str
) -> None:
    assert ask(site, method, target, body=b"x").status == 401
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("target", "sent", "prefix"),
    [
        pytest.param("/tool", "/", "/tool", id="without-a-slash"),
        pytest.param("/tool/", "/", "/tool", id="with-a-slash"),
        pytest.param("/tool/a?b", "/a?b", "/tool", id="below"),
        pytest.param("/acme/tool/a", "/a", "/acme/tool", id="with-a-parameter"),
        pytest.param("/acme/tool", "/", "/acme/tool", id="with-a-parameter-alone"),
    ],
)
def test_the_prefix_is_the_mount(
    site: FastAPI, proxy: ASGIProxyApp, target: str, sent: str, prefix: str
) -> None:
    got = ask(site, "GET", target, IN, close=proxy.close)
    assert got.told["line"] == f"GET {sent} HTTP/1.1"
    assert got.received("X-Forwarded-Prefix") == [prefix]


def test_paths_beside_the_prefix_are_not_its_own(site: FastAPI, upstream: RawUpstream) -> None:
    assert ask(site, "GET", "/tools/a", IN).status == 404
    assert upstream.requests == []


def test_a_dependency_may_read_the_body(proxy: ASGIProxyApp) -> None:
    read = []

    async def signed(request: Request) -> None:
        read.append(await request.body())

    app = FastAPI()
    app.include_router(api_router(proxy, "/tool", dependencies=[Depends(signed)]))
    got = ask(app, "POST", "/tool/a", body=b"a=1", close=proxy.close)
    assert (read, got.told["body_length"]) == ([b"a=1"], 3)


def test_the_routes_are_not_in_the_schema(site: FastAPI) -> None:
    assert site.openapi()["paths"] == {}


def test_truncated_answer_of_a_mount_gets_no_end_from_two_middlewares(
    upstream: RawUpstream,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    upstream.behaviour = [("read",), ("send", head), ("close",)]
    proxy = ASGIProxyApp(upstream.url)

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = FastAPI()
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.mount("/tool", proxy)
    ends: list[Any] = []

    def server(message: Any) -> bool:
        """Refuses what it does not know, as servers do."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ends.append(message)
        elif not message["type"].startswith(("http.response.start", "http.response.body")):
            raise ProxyError(message["type"])
        return False

    with pytest.raises(ProxyError):
        ask(app, "GET", "/tool/", close=proxy.close, leaves=server)
    assert ends == []
