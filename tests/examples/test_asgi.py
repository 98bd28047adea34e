"""What holds of one example for ASGI alone: its own pages, its login, what it changes."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.examples.mounted import GRANIAN, HYPERCORN, Mount, Mounted, mounted
from tests.examples.running import needs, running
from tests.support.connection import Script
from tests.support.echo import by_case
from tests.support.upstream import RawUpstream, answer, chunks

pytestmark = pytest.mark.in_turns(2)


def test_an_endpoint_adds_its_header() -> None:
    with mounted(Mount("fastapi_app.py", "/files", ("fastapi", "uvicorn"))) as example:
        got = example.get("/a")
        assert got.headers.get_all("X-Served-By") == ["fastapi"]
        # Nothing of the server itself beside what the upstream says.
        assert got.headers.get_all("Server") is None


def example_of(name: str, **env: str) -> Iterator[Mounted]:
    needs("fastapi", "uvicorn")
    scripts: dict[str, Script] = {}
    with (
        RawUpstream(by_case(scripts)) as upstream,
        running(name, upstream.netloc, env) as (port, _),
    ):
        yield Mounted(Mount(name, "", ()), port, upstream, scripts)
        assert upstream.errors == []


@pytest.fixture(scope="module")
def changed() -> Iterator[Mounted]:
    yield from example_of("change_stream.py", TOKEN="secret")


def test_the_token_is_ours_alone(changed: Mounted) -> None:
    got = changed.get("/json", {"Authorization": "Bearer theirs", "Accept-Encoding": "gzip"})
    assert got.received("Authorization") == ["Bearer secret"]
    assert got.received("Accept-Encoding") == []


def test_text_is_changed_as_it_streams(changed: Mounted) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    got = changed.play([("send", head + chunks(b"one ", b"two"))])
    assert got.body == b"ONE TWO"
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("ETag", '"x"')]
    whole = changed.play([("send", answer(headers=fields, body=b"whole"))])
    assert (whole.body, whole.headers["ETag"]) == (b"WHOLE", None)


def test_what_is_no_text_and_two_cookies_stay(changed: Mounted) -> None:
    fields = [("Content-Type", "image/png"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    got = changed.play([("send", answer(headers=fields, body=b"one"))])
    assert (got.body, got.headers.get_all("Set-Cookie")) == (b"one", ["a=1", "b=2"])
    assert got.headers["Content-Length"] == "3"


def test_an_upstream_that_fails_has_a_page_that_is_not_changed() -> None:
    needs("fastapi", "uvicorn")
    with running("change_stream.py", "127.0.0.1:1", {"TOKEN": "x"}) as (port, _):
        got = Mounted(Mount("", "", ()), port, None, {}).get("/")  # type: ignore[arg-type]
        assert (got.status, got.body[:15]) == (502, b"502 Bad Gateway")


@pytest.fixture(scope="module")
def timed() -> Iterator[Mounted]:
    yield from example_of("process_time.py")


def test_each_form_of_middleware_adds_its_headers(timed: Mounted) -> None:
    got = timed.get("/page")
    assert float(got.headers["X-Process-Time"]) >= 0
    for name in ("x-class", "x-plain", "x-decorator"):
        start, end = got.headers[f"{name}-start"], got.headers[f"{name}-end"]
        assert datetime.fromisoformat(start) <= datetime.fromisoformat(end)
        assert got.received(f"{name}-start") == [start]


def test_headers_of_one_name_pass_all_forms(timed: Mounted) -> None:
    with timed.connection() as connection:
        connection.putrequest("GET", "/page")
        for value in ("1", "2"):
            connection.putheader("X-Twice", value)
        connection.endheaders()
        told = connection.getresponse().read().decode()
    assert '["X-Twice", "1"]' in told.replace("x-twice", "X-Twice")
    assert '["X-Twice", "2"]' in told.replace("x-twice", "X-Twice")
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    got = timed.play([("send", answer(headers=cookies, body=b"x"))])
    assert got.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_a_route_reads_what_a_middleware_has_added(timed: Mounted) -> None:
    got = timed.get("/times")
    start = datetime.fromisoformat(got.headers["x-class-start"])
    assert (datetime.fromisoformat(got.headers["X-Router-Start"]) - start).total_seconds() == 3600
    assert got.body == b'"test middleware"'


@pytest.mark.parametrize("server", [pytest.param("", id="uvicorn"), HYPERCORN, GRANIAN])
def test_truncated_answer_breaks_the_connection_behind_each_middleware(server: str) -> None:
    """``BaseHTTPMiddleware`` alone would send the end of a complete answer."""
    needs("fastapi", server.partition(" ")[0] or "uvicorn")
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    scripts: dict[str, Script] = {}
    with (
        RawUpstream(by_case(scripts)) as upstream,
        running("process_time.py", upstream.netloc, server=server) as (port, _),
    ):
        example = Mounted(Mount("", "", ()), port, upstream, scripts)
        with (
            pytest.raises((OSError, http.client.HTTPException)),
            example.stream([("send", cut), ("close",)]) as response,
        ):
            response.read()


def test_messages_of_websockets_are_counted_and_lose_their_secrets() -> None:
    needs("uvicorn", "websockets")
    from websockets.sync.client import connect
    from websockets.sync.server import ServerConnection, serve

    heard: list[str | bytes] = []

    def upstream(connection: ServerConnection) -> None:
        for message in ('{"kind": "internal"}', '{"a": 1, "token": "x"}'):
            connection.send(message)
        heard.extend(connection.recv() for _ in range(101))
        connection.send(b"over")

    with serve(upstream, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            netloc = f"127.0.0.1:{server.socket.getsockname()[1]}"
            with (
                running("websocket_hooks.py", netloc, {}) as (port, _),
                connect(f"ws://127.0.0.1:{port}/", proxy=None) as client,
            ):
                assert client.recv(5) == '{"a": 1}'
                for number in range(100):
                    client.send(str(number))
                assert client.recv(5) == b"over"
        finally:
            server.shutdown()
            thread.join()
    assert heard[99:] == ["99", '{"note": "a hundred messages"}']
