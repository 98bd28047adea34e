"""WebSockets of FastAPI and Starlette: mounts, routers with a login, and endpoints of one's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest

pytest.importorskip("fastapi")

from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, WebSocketRoute

from tests.asgi.sockets import TEXT, Client, frame, run, scope_of, serving
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import api_router, proxied_websocket


def login(connection: HTTPConnection) -> None:
    if "x-login" not in connection.headers:
        raise HTTPException(401, "who are you?")


def login_of_requests(request: Request) -> None:
    pass


def _fastapi_mount(proxy: ASGIProxyApp) -> Any:
    app = FastAPI()
    app.mount("/tool", proxy)
    return app


def _starlette_mount(proxy: ASGIProxyApp) -> Any:
    return Starlette(routes=[Mount("/tool", proxy)])


def _router(proxy: ASGIProxyApp) -> Any:
    app = FastAPI()
    app.include_router(api_router(proxy, "/tool", dependencies=[Depends(login)]))
    return app


def _endpoint(proxy: ASGIProxyApp) -> Any:
    app = FastAPI()

    @app.websocket("/tool/{path:path}")
    async def carry(websocket: WebSocket, path: str) -> None:
        await proxied_websocket(websocket, proxy, path)

    return app


def _after_receiving(proxy: ASGIProxyApp) -> Any:
    async def carry(websocket: Any) -> None:
        await websocket.receive()  # websocket.connect
        await proxied_websocket(websocket, proxy, websocket.path_params["path"])

    return Starlette(routes=[WebSocketRoute("/tool/{path:path}", carry)])


def at(target: str, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return scope_of(*headers, path=target, raw_path=target.encode(), **more)


@pytest.mark.parametrize(
    "made", [_fastapi_mount, _starlette_mount, _router, _endpoint, _after_receiving]
)
def test_websockets_below_a_mount(made: Callable[[ASGIProxyApp], Any]) -> None:
    async def main() -> None:
        async with serving() as (proxy, upstream):
            client = Client(made(proxy), at("/tool/chat/a", (b"x-login", b"ann")))
            peer = await upstream.peer()
            assert peer.head[0] == "GET /chat/a HTTP/1.1"
            assert peer.values("x-forwarded-prefix") == ["/tool"]
            await client.accepted()
            client.say("a")
            assert await peer.next(TEXT) == b"a"
            peer.send(frame(TEXT, b"b"))
            assert await client.heard() == "b"
            client.close(4000, "bye")
            assert await peer.closed() == (4000, "bye")
            await client.ended()

    run("asyncio", main())


@pytest.mark.parametrize("target", ["/tool", "/tool/", "/tool/chat"])
def test_a_login_in_front_guards_websockets(target: str) -> None:
    async def main() -> None:
        async with serving() as (proxy, upstream):
            client = Client(_router(proxy), at(target))
            await client.ended()
            assert client.status == 401
            assert not upstream.all

    run("asyncio", main())


def _of_the_router(proxy: ASGIProxyApp) -> Any:
    return api_router(proxy, "/tool", dependencies=[Depends(login_of_requests)])


def _below_another(proxy: ASGIProxyApp) -> Any:
    def needs_both(_: Annotated[None, Depends(login_of_requests)]) -> None: ...

    return api_router(proxy, "/tool", dependencies=[Depends(needs_both)])


@pytest.mark.parametrize("made", [_of_the_router, _below_another])
def test_a_login_that_cannot_judge_websockets_refuses_them(
    made: Callable[[ASGIProxyApp], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving() as (proxy, upstream):
            app = FastAPI()
            app.include_router(made(proxy))
            client = Client(app, at("/tool/chat"))
            await client.ended()
            assert client.status == 501
            assert not upstream.all

    with caplog.at_level(logging.INFO, "wsgiproxy"):
        run("asyncio", main())
    assert "takes a Request, and cannot judge a WebSocket" in caplog.text


def test_a_login_of_the_application_that_cannot_judge_websockets_lets_none_pass() -> None:
    async def main() -> None:
        async with serving() as (proxy, upstream):
            app = FastAPI(dependencies=[Depends(login_of_requests)])
            app.include_router(api_router(proxy, "/tool"))
            client = Client(app, at("/tool/chat"))
            with pytest.raises(TypeError, match="login_of_requests"):
                await client.ended()
            assert not upstream.all and not client.sent

    run("asyncio", main())


def test_a_websocket_that_was_accepted_is_refused_with_a_sentence() -> None:
    async def main() -> None:
        async with serving() as (proxy, _):

            async def carry(websocket: Any) -> None:
                await websocket.accept()
                await proxied_websocket(websocket, proxy)

            client = Client(Starlette(routes=[WebSocketRoute("/x", carry)]))
            with pytest.raises(RuntimeError, match="accepted or closed; expected neither"):
                await client.ended()

    run("asyncio", main())


def test_the_path_has_to_be_the_end_of_the_path() -> None:
    async def main() -> None:
        async with serving() as (proxy, _):

            async def carry(websocket: Any) -> None:
                await proxied_websocket(websocket, proxy, "other")

            client = Client(Starlette(routes=[WebSocketRoute("/x", carry)]))
            with pytest.raises(ValueError, match="path='other'"):
                await client.ended()
            with pytest.raises(TypeError, match="expected a wsgiproxy.asgi.ASGIProxyApp"):
                await proxied_websocket(None, "http://a")  # type: ignore[arg-type]

    run("asyncio", main())
