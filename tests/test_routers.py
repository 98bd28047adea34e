"""The routers of both worlds: places, what stands there, and what their constructors refuse."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.asgi.driven import Client, scope_of
from tests.support.echo import echo as echo_behaviour
from tests.support.in_process import front_environ, run
from tests.support.upstream import RawUpstream
from wsgiproxy import ConfigurationError, Router, Target, WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp, ASGIRouter
from wsgiproxy.hooks import Response

UNUSED = "http://127.0.0.1:1"


def wsgi_named(name: str) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    return app


def asgi_named(name: str) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope["root_path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        text = f"{name} {scope['root_path']} {path}"
        await send({"type": "http.response.body", "body": text.encode()})

    return app


class WSGI:
    named = staticmethod(wsgi_named)
    router: Any = Router
    proxy: Any = WSGIProxyApp

    @staticmethod
    def ask(router: Any, path: str, host: str = "h", **fields: str) -> tuple[int, bytes]:
        more = {f"HTTP_{name.upper()}": value for name, value in fields.items()}
        answer = run(router, front_environ(PATH_INFO=path, HTTP_HOST=host, **more))
        router.close()
        return answer.head.status, answer.whole


class ASGI:
    named = staticmethod(asgi_named)
    router: Any = ASGIRouter
    proxy: Any = ASGIProxyApp

    @staticmethod
    def ask(router: Any, path: str, host: str = "h", **fields: str) -> tuple[int, bytes]:
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        scope = {**scope_of("GET", path), "headers": [(b"host", host.encode()), *headers]}
        client = Client(scope)

        async def exchange() -> None:
            await client.run(router)
            await router.aclose()
            await asyncio.sleep(0)  # connections close in the next turn of the loop

        asyncio.run(exchange())
        return client.status, client.body


@pytest.fixture(params=[WSGI, ASGI])
def world(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def echo() -> Iterator[RawUpstream]:
    with RawUpstream(echo_behaviour) as upstream:
        yield upstream


@pytest.mark.parametrize(
    ("host", "path", "answer"),
    [
        pytest.param("h", "/x", b"rest  /x", id="rest"),
        pytest.param("h", "/a/b/c", b"ab /a/b /c", id="longest-prefix"),
        pytest.param("h", "/a", b"a /a ", id="prefix-alone"),
        pytest.param("app.localhost:8080", "/a/x", b"app  /a/x", id="host"),
        pytest.param("x.example", "/a/x", b"below /a /x", id="name-below"),
    ],
)
def test_place_gets_its_requests(world: Any, host: str, path: str, answer: bytes) -> None:
    places = {"/": "rest", "/a": "a", "/a/b": "ab", "app.localhost": "app", ".example/a": "below"}
    router = world.router({place: world.named(name) for place, name in places.items()})
    assert world.ask(router, path, host) == (200, answer)


def test_all_else_gets_404(world: Any) -> None:
    router = world.router({"/a": world.named("a"), "app.localhost": world.named("app")})
    status, body = world.ask(router, "/b")
    assert status == 404
    assert b"app" not in body


def test_link_past_a_prefix_is_explained(world: Any) -> None:
    router = world.router({"/a": world.named("a"), "app.localhost/c": world.named("c")})
    assert b"its link leads past it" in world.ask(router, "/style.css", Referer="http://h/a/")[1]
    assert b"its link" not in world.ask(router, "/style.css", Referer="http://h/c/")[1]


def test_upstream_gets_prefix_and_options_of_its_target(world: Any, echo: RawUpstream) -> None:
    def mark(request: Any) -> Any:
        request.headers["X-Mark"] = "1"
        yield request

    router = world.router(
        {
            "/a": Target(echo.url, preserve_host=True, hooks=[mark]),
            "app.localhost/b": echo.url,
            "/c": Target(echo.url, forwarded=False),
        },
        forwarded=True,
    )
    answers = {}
    for place, host in (("/a/x", "h"), ("/b/x", "app.localhost"), ("/c/x", "h")):
        status, body = world.ask(router, place, host)
        assert status == 200
        told = json.loads(body)
        assert told["line"] == "GET /x HTTP/1.1"
        answers[place[1]] = {name.lower(): value for name, value in told["headers"]}
    assert answers["a"]["host"] == "h" and answers["a"]["x-mark"] == "1"
    assert answers["b"]["x-forwarded-prefix"] == "/b" and "x-mark" not in answers["b"]
    assert ["forwarded" in answers[name] for name in "abc"] == [True, True, False]


def test_command_is_started_by_its_request_and_has_hooks(world: Any) -> None:
    seen = []

    def outer(request: Any) -> Any:
        seen.append("outer")
        yield request

    def inner(request: Any) -> Any:
        seen.append("inner")
        request.path = request.path.replace("/alias.py", "/conf.py")
        yield request

    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    options = {"cwd": "docs", "strip_script_name": True}
    router = world.router(
        {"/docs": Target(command, hooks=[inner], **options), "/a": UNUSED}, hooks=[outer]
    )
    status, body = world.ask(router, "/docs/alias.py")
    assert status == 200 and b"sphinx" in body
    assert seen == ["outer", "inner"]


def test_login_for_all_routes_is_one_for_those_with_hooks(world: Any, echo: RawUpstream) -> None:
    def deny(request: Any) -> Any:
        return Response(401, body=b"no")
        yield request

    def mark(request: Any) -> Any:
        yield request

    routes = {
        "/a": Target(echo.url, hooks=[mark]),
        "/b": Target(echo.url, hooks=[]),
        "/c": echo.url,
    }
    router = world.router(routes, hooks=[deny])
    assert [world.ask(router, path)[0] for path in ("/a/x", "/b/x", "/c/x")] == [401] * 3
    assert not echo.requests


def test_login_of_an_iterator_is_one_for_every_route(world: Any) -> None:
    """One that has been read once is empty, and a route without its login is open."""

    def deny(request: Any) -> Any:
        return Response(401, body=b"no")
        yield request

    router = world.router({"/a": UNUSED, "/b": UNUSED}, hooks=iter([deny]))
    assert [world.ask(router, path)[0] for path in ("/a/x", "/b/x")] == [401] * 2
    target = Target(UNUSED, hooks=iter([deny]))
    router = world.router({"/a": target, "/b": target})
    assert [world.ask(router, path)[0] for path in ("/a/x", "/b/x")] == [401] * 2
    router = world.router({"/a": UNUSED}, allowed_hosts=iter(["other.example"]))
    assert world.ask(router, "/a/x")[0] == 400


def test_common_hooks_are_for_commands_too(world: Any) -> None:
    def deny(request: Any) -> Any:
        return Response(403, body=b"no")
        yield request

    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    assert world.ask(world.router({"/a": command}, hooks=[deny]), "/a/x") == (403, b"no")


def test_bare_prefix_of_a_folder_is_redirected(world: Any) -> None:
    router = world.router({"/a": UNUSED, "/b": f"{UNUSED}/base"})
    assert world.ask(router, "/a")[0] == 302
    assert world.ask(router, "/b")[0] == 502


@pytest.mark.parametrize(
    ("routes", "options", "message"),
    [
        pytest.param({}, {}, "no route: expected a place", id="none"),
        pytest.param([UNUSED], {}, "expected a mapping of places", id="no-mapping"),
        pytest.param(
            {"/a": UNUSED, "/a/": UNUSED},
            {},
            "'/a/': a second route for the place of '/a'",
            id="twice",
        ),
        pytest.param({"/a": "localhost"}, {}, "route '/a': href='localhost'", id="no-href"),
        pytest.param({"/a": 5}, {}, "route '/a': application=5: expected", id="no-application"),
        pytest.param({"/a": []}, {}, "route '/a': start_script=", id="no-words"),
        pytest.param({"/a": UNUSED}, {"frwarded": 1}, "did you mean forwarded", id="option"),
        pytest.param(
            {"/a": Target(UNUSED, cwd="/")},
            {},
            "route '/a': cwd='/': no such setting",
            id="of-commands",
        ),
        pytest.param(
            {"/a": Target(["x"], hooks=[5])}, {}, "route '/a': hooks: 5 is a int", id="hooks"
        ),
    ],
)
def test_bad_route_is_refused_by_its_name(
    world: Any, routes: Any, options: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        world.router(routes, **options)
    assert message in str(caught.value)


def test_application_of_the_other_world_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="route '/a': .*expected a WSGI application"):
        Router({"/a": asgi_named("a")})
    with pytest.raises(ConfigurationError, match="route '/a': .*expected an ASGI application"):
        ASGIRouter({"/a": wsgi_named("a")})


def test_hook_in_place_of_an_application_is_refused(world: Any) -> None:
    def hook(request: Any) -> Any:
        yield request

    with pytest.raises(ConfigurationError, match=r"route '/a': .*a hook is for hooks=\[...\]"):
        world.router({"/a": hook})


def test_generator_that_is_a_wsgi_application_is_served() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"

    assert WSGI.ask(Router({"/a": application}), "/a") == (200, b"hello")


def test_options_beside_an_application_are_refused(world: Any) -> None:
    with pytest.raises(ConfigurationError, match="via='x': expected no options beside an appl"):
        world.router({"/a": Target(world.named("a"), via="x")})


def test_context_manager_closes() -> None:
    with Router({"/a": UNUSED}) as router:
        assert repr(router) == "Router('/a')"

    async def main() -> str:
        async with ASGIRouter({"/a": UNUSED}) as router:
            return repr(router)

    assert asyncio.run(main()) == "ASGIRouter('/a')"


def test_lifespan_ends_what_was_made() -> None:
    closed = []

    class Closing:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError

        async def aclose(self) -> None:
            closed.append(self)

    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    router = ASGIRouter({"/a": UNUSED, "/b": Closing()})
    asyncio.run(router({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(closed) == 1


def test_websocket_goes_to_its_place_and_is_refused_elsewhere() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], scope["root_path"]))

    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    router = ASGIRouter({"/a": app})
    for path in ("/a/x", "/b"):
        scope = {**scope_of("GET", path), "type": "websocket", "subprotocols": []}
        del scope["method"]
        asyncio.run(router(scope, receive, send))
    assert seen == [("websocket", "/a")]
    assert sent == ["websocket.close"]
