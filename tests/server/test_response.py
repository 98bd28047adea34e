"""What goes back to the client, as h11 reads it."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import pytest

from tests.server.serving import handler, hello, serving, until
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.judges import JudgedResponse

OLD = b"GET / HTTP/1.0\r\n\r\n"


def asked(app: Any, raw: bytes = b"") -> JudgedResponse:
    with serving(app) as server:
        return raw_exchange(server.server_port, raw or request_bytes("GET /"))


def answering(status: str, headers: list[tuple[str, str]], *blocks: bytes) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, headers)
        return iter(blocks)

    return app


def test_the_headers_are_the_applications_and_the_servers_three() -> None:
    response = asked(answering("200 Fine", [("B", "c"), ("A", "1"), ("A", "2")], b"x"))
    assert response.raw.startswith(b"HTTP/1.1 200 Fine\r\nB: c\r\nA: 1\r\nA: 2\r\nDate: ")
    assert [name for name, _ in response.headers] == [
        *("B", "A", "A", "Date", "Transfer-Encoding", "Connection")
    ]
    assert response.values("Connection") == ["close"]


def test_server_and_date_of_the_application_stay_alone() -> None:
    response = asked(answering("200 OK", [("Server", "mine"), ("Date", "today")], b"x"))
    assert (response.values("Server"), response.values("Date")) == (["mine"], ["today"])


@pytest.mark.parametrize(
    ("raw", "chunked"),
    [
        pytest.param(request_bytes("GET /"), True, id="chunked"),
        pytest.param(OLD, False, id="to-the-end"),
    ],
)
def test_a_body_without_length(raw: bytes, chunked: bool) -> None:
    response = asked(answering("200 OK", [], b"ab", b"", b"c"), raw)
    assert (response.body, response.complete) == (b"abc", True)
    assert bool(response.values("Transfer-Encoding")) is chunked


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param("HEAD /", "200 OK", id="HEAD"),
        pytest.param("GET /", "204 No Content", id="204"),
        pytest.param("GET /", "205 Reset Content", id="205"),
        pytest.param("GET /", "304 Not Modified", id="304"),
    ],
)
def test_no_content_where_none_may_be(line: str, status: str) -> None:
    response = asked(answering(status, [], b"never", b"seen"), request_bytes(line))
    assert (response.status, response.body, response.complete) == (int(status[:3]), b"", True)
    assert response.raw.endswith(b"\r\n\r\n")
    assert response.values("Transfer-Encoding") == []


def test_an_endless_body_ends_with_a_head_request() -> None:
    class Endless:
        closed = False

        def __iter__(self) -> Any:
            while True:
                yield b"x"

        def close(self) -> None:
            self.closed = True

    body = Endless()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    assert asked(app, request_bytes("HEAD /")).complete
    until(lambda: body.closed, "close()")


def test_each_block_goes_out_as_it_comes() -> None:
    """An event that waits for the next one is no event."""
    go_on = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"data: 1\n\n"
        go_on.wait(20)
        yield b"data: 2\n\n"

    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        assert client.read_until(b"data: 1\n\n\r\n").endswith(b"9\r\ndata: 1\n\n\r\n")
        go_on.set()
        assert client.read_until(b"0\r\n\r\n") == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"


def test_an_empty_block_sends_the_head() -> None:
    go_on = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b""
        go_on.wait(20)
        yield b"x"

    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        assert client.read_until(b"\r\n\r\n").endswith(b"Connection: close\r\n\r\n")
        assert client.silent_for(0.05)
        go_on.set()
        assert client.read_until(b"0\r\n\r\n") == b"1\r\nx\r\n0\r\n\r\n"


def test_write_sends_at_once() -> None:
    go_on = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"ab")
        go_on.wait(20)
        return [b"c"]

    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        client.read_until(b"2\r\nab\r\n")
        go_on.set()
        assert client.read_until(b"0\r\n\r\n") == b"1\r\nc\r\n0\r\n\r\n"


# Bodies that break off


def breaking(headers: list[tuple[str, str]], caught: list[bool] | None = None) -> Any:
    class Body:
        def __iter__(self) -> Any:
            yield b"half"
            raise RuntimeError("in the middle")

        def close(self) -> None:
            if caught is not None:
                caught.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers)
        return Body()

    return app


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        pytest.param(request_bytes("GET /"), [], id="chunked"),
        pytest.param(request_bytes("GET /"), [("Content-Length", "8")], id="counted"),
        pytest.param(OLD, [], id="to-the-end"),
    ],
)
def test_a_body_that_breaks_off_ends_with_a_reset(
    raw: bytes, headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 2: it never looks complete."""
    closed: list[bool] = []
    with serving(breaking(headers, closed)) as server, RawClient(server.server_port) as client:
        client.send(raw)
        with pytest.raises(ConnectionResetError):
            while True:
                client.read_until(b"never")
        assert not client.received.endswith(b"0\r\n\r\n")
        until(lambda: closed, "close()")
        until(lambda: caplog.records, "log")
    assert "in the middle" in caplog.text


@pytest.mark.parametrize("blocks", [[b"ab"], []], ids=["short", "empty"])
def test_fewer_bytes_than_announced_end_with_a_reset(
    blocks: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    response = asked(answering("200 OK", [("Content-Length", "3")], *blocks))
    assert not response.complete
    assert "reset" in response.error
    assert "lacks" in caplog.text


def test_more_bytes_than_announced_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    response = asked(answering("200 OK", [("Content-Length", "3")], b"ab", b"cd", b"e"))
    assert (response.body, response.complete) == (b"abc", True)
    assert "longer than its Content-Length" in caplog.text


# Applications that fail


def failing(environ: Any, start_response: Any) -> Any:
    raise FileNotFoundError("/secret/path")


def after_start(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Secret", "1")])
    raise RuntimeError("/secret/path")


def before_the_first_block(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Secret", "1")])
    yield from ()
    raise RuntimeError("/secret/path")


def with_a_bad_header(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("A", "b\r\nX-Secret: /secret/path")])
    return [b"x"]


def without_start(environ: Any, start_response: Any) -> Any:
    return [b"/secret/path"]


def without_start_and_body(environ: Any, start_response: Any) -> Any:
    return []


def started_twice(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Secret", "1")])
    start_response("200 OK", [("X-Secret", "2")])
    return []


def with_text(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Secret", "1")])
    return ["/secret/path"]


@pytest.mark.parametrize(
    "app",
    [
        failing,
        after_start,
        before_the_first_block,
        with_a_bad_header,
        without_start,
        without_start_and_body,
        started_twice,
        with_text,
    ],
    ids=lambda app: app.__name__,
)
def test_a_failure_is_a_500_without_details(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    response = asked(app)
    assert (response.status, response.complete) == (500, True)
    assert b"ecret" not in response.raw
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    assert caplog.records[-1].name == "wsgiproxy.error"


def test_an_error_page_of_the_application_replaces_its_answer() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("A", "b")])
        try:
            raise RuntimeError("now")
        except RuntimeError:
            start_response("503 Later", [("C", "d")], sys.exc_info())
        return [b"page"]

    response = asked(app)
    assert (response.status, response.body) == (503, b"page")
    assert (response.values("A"), response.values("C")) == ([], ["d"])


def test_an_error_page_behind_the_head_breaks_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"begun")
        try:
            raise RuntimeError("too late")
        except RuntimeError:
            start_response("503 Later", [], sys.exc_info())
        return [b"page"]

    response = asked(app)
    assert not response.complete
    assert "too late" in caplog.text
    assert b"page" not in response.raw


# Clients that leave


@pytest.mark.parametrize("headers", [[], [("Content-Length", "1000000000")]])
def test_a_client_that_leaves_ends_the_answer_silently(
    headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    closed = threading.Event()
    drops: list[BaseException] = []

    class Endless:
        def __iter__(self) -> Any:
            for _ in range(10_000):
                yield b"x" * 65536

        def close(self) -> None:
            closed.set()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers)
        return Endless()

    def dropped(self: object, exce: BaseException, environ: object = None) -> None:
        drops.append(exce)

    with serving(app, handler(wsgi_connection_drop=dropped)) as server:
        with RawClient(server.server_port) as client:
            client.send(request_bytes("GET /"))
            client.read_until(b"\r\n\r\n")
            client.reset()
        assert closed.wait(20)
        until(lambda: drops, "call of the hook")
    assert isinstance(drops[0], ConnectionError)
    assert caplog.records == []


def test_a_file_that_is_missing_is_no_client_that_left(caplog: pytest.LogCaptureFixture) -> None:
    """Paste takes every OSError for one, and answers nothing."""
    assert asked(failing).status == 500
    assert "FileNotFoundError" in caplog.text


def test_a_large_answer_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    app = answering("200 OK", [], body, body)
    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        client.read_until(b"\r\n\r\n")
        rest = client.read_until(b"\r\n0\r\n\r\n")
    assert rest.count(body) == 2


def test_an_answer_before_the_end_of_an_upload_is_read() -> None:
    """The rest is taken for a while, so that no RST hides the answer."""
    raw = request_bytes("POST /", body=b"x" * 5_000_000)
    with serving(hello) as server:
        response = raw_exchange(server.server_port, raw)
    assert (response.body, response.complete, response.error) == (b"hello", True, "")
