"""The mount: requests below the prefix, and the page for other paths."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from webtest import TestApp

from wsgiproxy.cli.mount import ASGIMount, Mount


def inner(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("SCRIPT_NAME", "PATH_INFO", "REQUEST_URI")
    return [repr([environ[key] for key in keys]).encode()]


def test_the_environ_below_the_prefix():
    environ = {"SCRIPT_NAME": "", "PATH_INFO": "/app/x", "REQUEST_URI": "/app/%78"}
    before = dict(environ)
    body = Mount(inner, "/app")(environ, lambda *arguments: None)
    assert list(body) == [b"['/app', '/x', '/app/%78']"]
    assert environ == before


def test_the_root_redirects_to_the_prefix():
    app = TestApp(Mount(inner, "/app"), lint=True)
    answer = app.get("/")
    assert (answer.status_int, answer.location) == (302, "/app/")
    assert app.post("/", status=404).status_int == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_folder_is_redirected_to_its_slash(method):
    app = TestApp(Mount(inner, "/app", is_folder=True), lint=True)
    answer = app.request("/app?a=%2F&b", method=method)
    assert (answer.status_int, answer.location) == (302, "/app/?a=%2F&b")


@pytest.mark.parametrize(
    ("is_folder", "method", "path"),
    [
        pytest.param(False, "GET", "/app", id="no-folder"),
        pytest.param(True, "POST", "/app", id="a-body-is-not-sent-twice"),
        pytest.param(True, "OPTIONS", "/app", id="no-page"),
        pytest.param(True, "GET", "/app/", id="with-its-slash"),
        pytest.param(True, "GET", "/app/x", id="below"),
    ],
)
def test_other_requests_reach_the_application(is_folder, method, path):
    app = TestApp(Mount(inner, "/app", is_folder=is_folder))
    answer = app.request(path, method=method, environ={"REQUEST_URI": path})
    assert answer.status_int == 200


def test_other_paths_get_a_page_with_a_link_to_the_prefix():
    answer = TestApp(Mount(inner, "/a&b"), lint=True).get("/x", status=404)
    assert 'href="/a&amp;b/"' in answer.text
    assert answer.content_type == "text/html"


# ASGI


async def asgi_inner(scope, receive, send):
    body = repr([scope.get(key) for key in ("root_path", "path", "raw_path")]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def asked(mount, path="/", method="GET", query=b"", **scope):
    """Status, Location and body."""
    messages: list[dict[str, Any]] = []

    async def send(message):
        messages.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query, "headers": [], **scope,
    }  # fmt: skip
    before = dict(scope)
    asyncio.run(mount(scope, None, send))
    assert scope == before
    headers = dict(messages[0]["headers"])
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], headers.get(b"location"), body


def test_the_scope_below_the_prefix():
    mount = ASGIMount(asgi_inner, "/app")
    assert asked(mount, "/app/x") == (200, None, b"['/app', '/app/x', b'/app/x']")
    found = asked(mount, "/out/app/x", root_path="/out")
    assert found == (200, None, b"['/out/app', '/out/app/x', b'/out/app/x']")


def environ_of(path: str, method: str, query: bytes) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query.decode()}


def wsgi_asked(mount: Callable[..., Any], path: str, method: str, query: bytes):
    found: list[Any] = []
    body = b"".join(
        mount(
            {"SCRIPT_NAME": "", "REQUEST_URI": path, **environ_of(path, method, query)},
            lambda status, headers: found.extend([status, dict(headers)]),
        )
    )
    location = found[1].get("Location")
    return int(found[0][:3]), location.encode() if location else None, body


@pytest.mark.parametrize("is_folder", [True, False], ids=["folder", "no-folder"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/", "/app", "/app/", "/app/x", "/application", "/x", "//app"])
def test_both_interfaces_answer_alike(path, method, is_folder):
    query = b"a=%2F&b"
    one = wsgi_asked(Mount(inner, "/app", is_folder=is_folder), path, method, query)
    two = asked(ASGIMount(asgi_inner, "/app", is_folder=is_folder), path, method, query)
    assert one[:2] == two[:2]
    if one[0] != 200:
        assert one == two


@pytest.mark.parametrize(
    ("extensions", "types"),
    [
        ({}, ["websocket.close"]),
        ({"websocket.http.response": {}}, ["websocket.http.response.start"]),
    ],
    ids=["close", "denial"],
)
def test_a_websocket_outside_the_prefix_is_refused(extensions, types):
    sent, received = [], []

    async def send(message):
        sent.append(message)

    async def receive():
        received.append("websocket.connect")
        return {"type": received[-1]}

    scope = {"type": "websocket", "path": "/x", "headers": [], "extensions": extensions}
    asyncio.run(ASGIMount(asgi_inner, "/app")(scope, receive, send))
    assert [message["type"] for message in sent][:1] == types
    assert sent[0].get("status", 404) == 404
    assert received == ["websocket.connect"]


def test_a_websocket_below_the_prefix_reaches_the_application():
    found = []

    async def inner(scope, receive, send):
        found.append((scope["type"], scope["root_path"], scope["path"]))

    for path in ("/app", "/app/x"):
        mount = ASGIMount(inner, "/app", is_folder=True)
        asyncio.run(mount({"type": "websocket", "path": path, "headers": []}, None, None))
    assert found == [("websocket", "/app", "/app"), ("websocket", "/app", "/app/x")]


def test_a_mount_that_no_target_may_have_gets_400():
    mount = ASGIMount(asgi_inner, "/app", is_folder=True)
    assert asked(mount, "/app", root_path="/\ud800")[0] == 400
