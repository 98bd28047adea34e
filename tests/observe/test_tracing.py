"""The fields of W3C Trace Context pass as the client has written them."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from tests.asgi import sockets
from tests.hooks.edges import held
from tests.support.asgi_calls import Caller
from tests.support.in_process import front_environ, run
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

EDGES = ("wsgi", "asgi")
FIELDS = [
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("baggage", "userId=alice,serverNode=DF%2028"),
]
HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def plain(request):
    yield request


def found(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    names = {name for name, _ in FIELDS}
    return [(name.lower(), value) for name, value in headers if name.lower() in names]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("hooks", "options"),
    [
        pytest.param((), {}, id="alone"),
        pytest.param((plain,), {}, id="a-hook"),
        pytest.param((plain, plain), {"request_id": True}, id="hooks-and-an-id"),
        pytest.param((), {"trusted_proxies": "203.0.113.9 192.0.2.1"}, id="of-a-trusted-proxy"),
    ],
)
def test_they_pass(edge, hooks, options, echo: RawUpstream):
    _, _, body = held(edge, echo.url, hooks, headers=FIELDS, **options)
    headers = [(name, value) for name, value in json.loads(body)["headers"]]
    assert sorted(found(headers)) == sorted(FIELDS)


@pytest.mark.parametrize("edge", EDGES)
def test_they_are_kept_from_the_upstream_on_request(edge, echo: RawUpstream):
    names = " ".join(name for name, _ in FIELDS)
    _, _, body = held(edge, echo.url, (), headers=FIELDS, suppress_headers=names)
    assert found([(name, value) for name, value in json.loads(body)["headers"]]) == []


def test_they_pass_with_the_handshake_of_a_websocket_under_wsgi(upstream: RawUpstream):
    upstream.behaviour = answer(403)
    ours, theirs = socket.socketpair()
    app = WSGIProxyApp(upstream.url, request_id=True)
    fields = {"HTTP_" + k.upper().replace("-", "_"): v for k, v in [*FIELDS, *HANDSHAKE]}
    with ours, theirs:
        assert run(app, front_environ(**fields, **{"wsgiproxy.socket": ours})).head.status == 403
    app.close()
    (request,) = upstream.wait_for_requests(1)
    assert sorted(found(request.headers)) == sorted(FIELDS)
    assert [len(value) for value in request.values("X-Request-Id")] == [32]


def test_they_pass_with_the_handshake_of_a_websocket_under_asgi(upstream: RawUpstream):
    pytest.importorskip("websockets")
    upstream.behaviour = answer(403)
    scope = sockets.scope_of(*((name.encode(), value.encode()) for name, value in FIELDS))

    async def exchange() -> None:
        app = ASGIProxyApp(upstream.url, request_id=True)
        assert await Caller([{"type": "websocket.connect"}])(app, scope) is None
        app.close()
        await asyncio.sleep(0)

    asyncio.run(exchange())
    (request,) = upstream.wait_for_requests(1)
    assert sorted(found(request.headers)) == sorted(FIELDS)
    assert [len(value) for value in request.values("X-Request-Id")] == [32]
