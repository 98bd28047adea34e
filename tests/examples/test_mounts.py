"""What holds of every example that mounts an application below a prefix."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.examples.mounted import ASGI_MOUNTS, MOUNTS, Mounted, mounted
from tests.support.upstream import answer

#: What the frameworks for ASGI answer beside the mount.
PAGES = {
    "fastapi_app.py": "This is FastAPI.",
    "starlette_app.py": "This is Starlette.",
    "quart_app.py": "This is Quart.",
    "django_asgi.py": "This is Django.",
    "litestar_app.py": "This is Litestar.",
    "beside_wsgi.py": "This is Flask.",
}


@pytest.fixture(scope="module", params=[*MOUNTS, *ASGI_MOUNTS], ids=str)
def example(request: pytest.FixtureRequest) -> Iterator[Mounted]:
    with mounted(request.param) as running:
        yield running


def test_the_page_of_the_upstream_arrives(example: Mounted) -> None:
    page = answer(200, [("Content-Type", "text/html"), ("ETag", '"x"')], b"<p>hello")
    got = example.play([("send", page)], "/page")
    assert (got.status, got.body) == (200, b"<p>hello")
    assert got.headers.get_all("Content-Type") == ["text/html"]
    assert got.headers["ETag"] == '"x"'


def test_other_paths_are_those_of_the_framework(example: Mounted) -> None:
    before = len(example.upstream.requests)
    beside = example.ask(example.mount.prefix + "-of-others/x")
    assert beside.status == 404
    assert len(example.upstream.requests) == before


def test_each_example_for_asgi_has_a_page() -> None:
    assert set(PAGES) == {mount.name for mount in ASGI_MOUNTS}


def test_the_framework_for_asgi_answers_beside_the_mount_and_keeps_the_login(
    example: Mounted,
) -> None:
    mount = example.mount
    if mount not in ASGI_MOUNTS:
        pytest.skip("the frameworks for WSGI have tests of their own")
    assert example.ask("/").body.decode() == PAGES[mount.name]
    if not mount.headers and mount.login is None:
        return
    example.get("/in").told  # noqa: B018 (it asserts the status)
    assert example.get("/").received("Authorization") == []
    assert example.get("/").received("Cookie") == []
    before = len(example.upstream.requests)
    for wrong in ({}, {"Authorization": "Basic Ym9iOndyb25n", "Cookie": "session=forged"}):
        stranger = dataclasses.replace(example, headers=wrong)
        for path, method in [("/", "GET"), ("/x", "POST"), ("/a%2F..%2Fb", "DELETE")]:
            assert stranger.get(path, method=method).status == 401
    assert len(example.upstream.requests) == before


def test_the_upstream_is_asked_for_the_path_below_the_prefix(example: Mounted) -> None:
    assert example.get("/a/b?q=1&q=2").told["line"] == "GET /a/b?q=1&q=2 HTTP/1.1"


def test_the_prefix_is_announced(example: Mounted) -> None:
    got = example.get("/a/b", {"X-Forwarded-Prefix": "/forged", "X-Forwarded-For": "192.0.2.9"})
    assert got.received("X-Forwarded-Prefix") == [example.mount.prefix]
    assert got.received("X-Forwarded-Script-Name") == [example.mount.prefix]
    assert got.received("X-Forwarded-For") == ["127.0.0.1"]
    assert got.received("X-Forwarded-Host") == [f"127.0.0.1:{example.port}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_comes_back_below_the_prefix(example: Mounted, status: int) -> None:
    prefix, own = example.mount.prefix, f"http://127.0.0.1:{example.port}"
    location = f"{example.upstream.url}/login?next=/"
    absolute = example.play([("send", answer(status, [("Location", location)]))])
    assert (absolute.status, absolute.headers["Location"]) == (
        status,
        f"{own}{prefix}/login?next=/",
    )
    path = example.play([("send", answer(status, [("Location", "/login")]))])
    # Some frameworks make the whole address of it.
    assert (path.status, urljoin(own, path.headers["Location"])) == (status, f"{own}{prefix}/login")


def test_two_cookies_stay_two(example: Mounted) -> None:
    cookies = ["a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2; HttpOnly"]
    script = [("send", answer(200, [("Set-Cookie", each) for each in cookies], b"x"))]
    assert example.play(script).headers.get_all("Set-Cookie") == cookies


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_arrives(example: Mounted, method: str) -> None:
    got = example.get("/x", method=method, body=b"a=1&b=%2F").told
    assert (got["line"].split()[0], got["body_length"]) == (method, 9)


def test_a_status_of_the_upstream_is_the_status(example: Mounted) -> None:
    got = example.play([("send", answer(418, [], b"no"))])
    assert (got.status, got.body) == (418, b"no")


def test_head_has_no_body(example: Mounted) -> None:
    head = answer(200, [("Content-Length", "5"), ("X-Is", "head")])
    got = example.play([("send", head)], method="HEAD")
    assert (got.status, got.body, got.headers["X-Is"]) == (200, b"", "head")


def test_an_upload_streams(example: Mounted) -> None:
    # A proxy reads blocks of 64 KiB: wsgi.input does not tell what is there already.
    first, second = b"first" * 50_000, b"second" * 50_000
    if not example.mount.streams_upload:
        pytest.skip("its framework or its server reads an upload whole")
    with example.connection() as connection:
        connection.putrequest("POST", f"{example.mount.prefix}/upload")
        connection.putheader("Content-Length", str(len(first + second)))
        for name, value in example.headers.items():
            connection.putheader(name, value)
        connection.endheaders(first)
        assert example.upstream.wait_until(lambda: first[:100_000] in example.upstream.received, 20)
        connection.send(second)
        assert b'"body_length": %d' % len(first + second) in connection.getresponse().read()


def test_a_large_upload_is_not_changed(example: Mounted) -> None:
    body = bytes(range(256)) * 4096
    assert example.get("/upload", method="POST", body=body).told["body_length"] == len(body)


class _Turns:
    """Lets an upstream go on, one block at a time."""

    def __init__(self) -> None:
        self.turns = [threading.Event() for _ in range(3)]

    def script(self) -> list[tuple[Any, ...]]:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        steps: list[tuple[Any, ...]] = [("send", head)]
        for number, turn in enumerate(self.turns):
            steps += [("wait", turn), ("send", b"data: %d\n\n" % number)]
        return [*steps, ("close",)]


def test_an_event_stream_arrives_event_by_event(example: Mounted) -> None:
    turns = _Turns()
    if not example.mount.greets:
        turns.turns[0].set()
    with example.stream(turns.script()) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for number, turn in enumerate(turns.turns):
            turn.set()
            assert response.readline() == b"data: %d\n" % number
            assert response.readline() == b"\n"
        assert response.read() == b""


def test_what_belongs_to_the_connection_does_not_reach_the_framework(example: Mounted) -> None:
    """wsgiref answers 500 to an application that sends such a header (PEP 3333)."""
    hop_by_hop = [("Connection", "X-Mine"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5")]
    hop_by_hop += [("Proxy-Authenticate", "Basic"), ("Trailer", "X-T"), ("Upgrade", "h2c")]
    got = example.play([("send", answer(200, hop_by_hop, b"x"))])
    assert (got.status, got.body) == (200, b"x")
    assert [name for name in got.headers if name in dict(hop_by_hop) and name != "Connection"] == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a%2Fb", id="encoded-slash"),
        pytest.param("/a//b", id="two-slashes"),
        pytest.param("/a%20b%25;c=d", id="blank-percent-semicolon"),
        pytest.param("/caf%C3%A9", id="accent"),
        pytest.param("/%E6%97%A5", id="beyond-latin-1"),
        pytest.param("/%FF", id="no-utf-8"),
    ],
)
def test_a_path_survives(example: Mounted, path: str, request: pytest.FixtureRequest) -> None:
    if path in example.mount.loses:
        reason = example.mount.loses[path]
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    assert example.get(path).told["line"] == f"GET {path} HTTP/1.1"


def test_an_upstream_that_breaks_off_does_not_look_complete(example: Mounted) -> None:
    if not example.mount.frames:
        pytest.skip("HTTP/1.0 without a length has no other end than that of the connection")
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    script = [("send", cut), ("close",)]
    with pytest.raises((OSError, HTTPException)), example.stream(script) as response:
        response.read()


def test_a_client_that_leaves_ends_the_request_to_the_upstream(example: Mounted) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    with example.stream([("send", head), ("send_until_ended", b"data: x\n" * 1000)]) as response:
        assert response.readline() == b"data: x\n"
    upstream = example.upstream
    left = upstream.accepted[upstream.requests[-1].connection]
    assert upstream.wait_until(lambda: left.ended_by_peer, 20)
