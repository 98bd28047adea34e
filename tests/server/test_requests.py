"""What an application is told of a request, under real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.serving import Recorder, handler, hello, serving, until
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.judges import checked
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk
from wsgiproxy.server import Handler


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(params=[True, False], ids=["pool", "threads"])
def server(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[Any]:
    with serving(recorder, use_threadpool=request.param) as running:
        yield running


def test_environ(server: Any, recorder: Recorder) -> None:
    with RawClient(server.server_port) as client:
        client.send(request_bytes("GET /a%2Fb/../c?x=%20", [("X-A", "1"), ("X_B", "2")]))
        assert client.response().status == 200
    found = recorder.environ
    assert {name: found[name] for name in found if name.isupper()} == {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%2Fb/../c?x=%20",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b/../c",
        "QUERY_STRING": "x=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.server_port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": found["REMOTE_PORT"],
        "HTTP_HOST": "front.example",
        "HTTP_X_A": "1",
    }
    assert found["REMOTE_PORT"].isdigit()
    assert found["wsgi.url_scheme"] == "http"
    assert (found["wsgi.multithread"], found["wsgi.input_terminated"]) == (True, True)
    assert not [name for name in found if name.startswith("paste.httpserver.proxy")]
    pool = getattr(server, "thread_pool", None)
    assert found.get("paste.httpserver.thread_pool") is pool


def test_absolute_form_keeps_its_authority(server: Any, recorder: Recorder) -> None:
    """Paste's own handler loses it."""
    raw = request_bytes("GET http://o.example:81/a/../b%2F?c", host="h")
    assert raw_exchange(server.server_port, raw).status == 200
    found = recorder.environ
    assert found["REQUEST_URI"] == "http://o.example:81/a/../b%2F?c"
    assert (found["PATH_INFO"], found["HTTP_HOST"]) == ("/a/../b/", "o.example:81")


def test_options_of_the_server(server: Any, recorder: Recorder) -> None:
    assert raw_exchange(server.server_port, request_bytes("OPTIONS *")).status == 200
    assert recorder.environ["PATH_INFO"] == "*"


def test_connect_comes_with_the_bytes_behind_its_head(server: Any, recorder: Recorder) -> None:
    raw = request_bytes("CONNECT o.example:443") + b"\x16\x03early"
    with RawClient(server.server_port) as client:
        client.send(raw)
        assert client.closed_by_server()
    found = recorder.environ
    assert (found["REQUEST_URI"], found["PATH_INFO"]) == ("o.example:443", "")
    assert found["wsgiproxy.unread"] == b"\x16\x03early"
    until(lambda: found["wsgiproxy.socket"].fileno() == -1, "end of the socket")


def test_only_a_connect_has_unread_bytes(server: Any, recorder: Recorder) -> None:
    assert raw_exchange(server.server_port, request_bytes("GET /") + b"x").complete
    assert "wsgiproxy.unread" not in recorder.environ


def test_a_second_request_on_the_connection_is_not_served(server: Any, recorder: Recorder) -> None:
    first = request_bytes("POST /first", body=b"abc")
    with RawClient(server.server_port) as client:
        client.send(first + request_bytes("GET /second"))
        response = client.response("POST")
        assert (response.body, response.values("Connection")) == (b"abc", ["close"])
        assert client.closed_by_server()
    assert recorder.environ["PATH_INFO"] == "/first"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no-Host"),
        pytest.param(request_bytes("GET /", [("A", "b\r\n c")]), 400, id="obs-fold"),
        pytest.param(request_bytes("GET /#x"), 400, id="fragment"),
        pytest.param(request_bytes("CONNECT h"), 400, id="CONNECT-without-port"),
        pytest.param(
            request_bytes("POST /", [("Transfer-Encoding", "gzip")]), 501, id="unknown-coding"
        ),
        pytest.param(request_bytes("GET /", [("A", "x" * 9000)]), 431, id="long-field"),
        pytest.param(request_bytes("GET /" + "x" * 9000), 414, id="long-target"),
        pytest.param(b"GET /" + b"x" * 9000, 414, id="long-target-without-end"),
        pytest.param(
            request_bytes("POST /", [("Transfer-Encoding", "chunked")]) + b"x\r\n", 400, id="chunks"
        ),
        pytest.param(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 400, id="TLS"),
    ],
)
def test_a_bad_request_gets_a_plain_sentence(
    server: Any, recorder: Recorder, raw: bytes, status: int
) -> None:
    response = raw_exchange(server.server_port, raw)
    assert (response.status, response.complete) == (status, True)
    assert response.values("Content-Type") == ["text/plain; charset=utf-8"]
    assert response.values("Connection") == ["close"]
    assert response.body.startswith((b"The ", b"This "))
    assert recorder.environs == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HEAD / HTTP/1.1\r\n\r\n", id="no-Host"),
        pytest.param(request_bytes("HEAD /", [("A", "b\r\n c")]), id="obs-fold"),
        pytest.param(request_bytes("HEAD /#x"), id="fragment"),
        pytest.param(request_bytes("HEAD /", [("A", "x" * 9000)]), id="long-field"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\0b\r\n\r\n", id="NUL"),
        pytest.param(b"\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n", id="an-empty-line-before"),
    ],
)
def test_a_bad_head_request_gets_no_body(server: Any, raw: bytes) -> None:
    with RawClient(server.server_port) as client:
        client.send(raw)
        response = client.response("HEAD")
        assert response.status in (400, 431)
        assert int(response.values("Content-Length")[0]) > 0
        assert client.received.endswith(b"\r\n\r\n")
        assert client.closed_by_server()


def test_an_answer_reaches_a_client_that_goes_on_sending(server: Any) -> None:
    """An RST for its bytes would take the answer away."""
    raw = request_bytes("POST /", [("Content-Length", "x")]) + b"x" * 3_000_000
    response = raw_exchange(server.server_port, raw)
    assert (response.status, response.complete, response.error) == (400, True, "")


# Bodies


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(request_bytes("POST /", body=b"abcdef"), id="counted"),
        pytest.param(
            request_bytes("POST /", [("Transfer-Encoding", "chunked")])
            + b"".join(map(chunk, [b"ab", b"cdef"]))
            + LAST_CHUNK,
            id="chunks",
        ),
    ],
)
def test_a_body_in_any_pieces(server: Any, raw: bytes) -> None:
    assert raw_exchange(server.server_port, raw).body == b"abcdef"
    with RawClient(server.server_port) as client:
        for byte in raw:
            client.send(bytes([byte]))
        assert client.response("POST").body == b"abcdef"


def test_a_large_body_arrives_whole(server: Any) -> None:
    body = bytes(range(256)) * 8192
    assert raw_exchange(server.server_port, request_bytes("POST /", body=body)).body == body


def test_the_input_is_a_file() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"]
        parts = [body.readline(), body.readline(2), *body.readlines(), body.read(), body.read(5)]
        start_response("200 OK", [])
        return [repr(parts).encode()]

    with serving(app) as server:
        found = raw_exchange(server.server_port, request_bytes("POST /", body=b"a\nbcd\ne\nf"))
    assert found.body == repr([b"a\n", b"bc", b"d\n", b"e\n", b"f", b"", b""]).encode()


def test_reading_without_a_body_does_not_wait(server: Any) -> None:
    """1.10: applications do it, and would hang on Paste's own handler."""
    with RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        assert client.response().complete


def test_100_continue_is_sent_when_the_body_is_read(server: Any) -> None:
    with RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Expect", "100-continue"), ("Content-Length", "3")]))
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.response("POST").body == b"abc"


def test_no_100_when_the_body_has_come_already(server: Any) -> None:
    raw = request_bytes("POST /", [("Expect", "100-continue")], b"abc")
    response = raw_exchange(server.server_port, raw)
    assert (response.interim, response.body) == ([], b"abc")


def test_no_100_when_the_answer_comes_without_reading() -> None:
    with serving(hello) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Expect", "100-continue"), ("Content-Length", "3")]))
        response = client.response("POST")
        assert (response.interim, response.status) == ([], 200)


def test_no_100_behind_the_head_of_the_answer() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"x"
        yield environ["wsgi.input"].read()

    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Expect", "100-continue"), ("Content-Length", "3")]))
        client.read_until(b"x\r\n")
        client.send(b"abc")
        assert client.read_until(LAST_CHUNK) == b"3\r\nabc\r\n0\r\n\r\n"
        assert b"100 Continue" not in client.received


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(request_bytes("POST /", [("Content-Length", "9")]) + b"abc", id="counted"),
        pytest.param(
            request_bytes("POST /", [("Transfer-Encoding", "chunked")]) + chunk(b"abc"), id="chunks"
        ),
    ],
)
def test_a_body_that_is_cut_never_looks_complete(
    server: Any, recorder: Recorder, raw: bytes
) -> None:
    with RawClient(server.server_port) as client:
        client.send(raw)
        client.shutdown_write()
        response = client.response("POST")
    assert response.status == 400
    with pytest.raises(OSError, match="early"):
        recorder.environ["wsgi.input"].read()


def test_bad_chunks_behind_the_head_are_an_error_of_reading(
    server: Any, recorder: Recorder
) -> None:
    with RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Transfer-Encoding", "chunked")]))
        until(lambda: recorder.environs, "request")
        client.send(b"x")
        assert client.response("POST").status == 400


def test_a_client_that_is_reset_in_mid_body_is_an_error_of_reading() -> None:
    found: list[OSError] = []
    begun: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        begun.append(environ["wsgi.input"].read(1))
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            found.append(error)
            raise

    with serving(app) as server:
        with RawClient(server.server_port) as client:
            client.send(request_bytes("POST /", [("Content-Length", "9")]) + b"abc")
            until(lambda: begun, "request")
            client.reset()
        until(lambda: found, "error")
    assert isinstance(found[0], ConnectionResetError)


def test_an_application_may_answer_for_a_body_that_is_cut() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        try:
            environ["wsgi.input"].read()
        except OSError:
            start_response("422 Unprocessable", [])
        return [b"cut"]

    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Content-Length", "9")]))
        client.shutdown_write()
        response = client.response("POST")
    assert (response.status, response.body, response.complete) == (422, b"cut", True)


# The rules of PEP 3333, and the hooks of Paste


def test_wsgiref_finds_no_fault(recorder: Recorder) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(3)
        environ["wsgi.input"].readline()
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]

    with serving(checked(app)) as server:
        for raw in (request_bytes("GET /a?b"), request_bytes("POST /", body=b"abcd\nef")):
            assert raw_exchange(server.server_port, raw).body == b"fine"


def test_webtest_finds_no_fault() -> None:
    from webtest import lint

    with serving(lint.middleware(hello)) as server:
        for line in ("GET /a?b", "HEAD /", "POST /"):
            response = raw_exchange(server.server_port, request_bytes(line))
            assert response.status == 200


def test_hooks_of_pastes_handler_are_called(recorder: Recorder) -> None:
    class Hooked(Handler):
        def wsgi_setup(self, environ: Any = None) -> None:
            super().wsgi_setup(environ)
            self.wsgi_environ["seen"] = (self.command, self.path, self.request_version)

        def wsgi_execute(self, environ: Any = None) -> None:
            super().wsgi_execute({"HTTPS": "on", "more": 1})

    with serving(recorder, Hooked) as server:
        assert raw_exchange(server.server_port, request_bytes("GET /a")).status == 200
    assert recorder.environ["seen"] == ("GET", "/a", "HTTP/1.1")
    assert (recorder.environ["more"], recorder.environ["wsgi.url_scheme"]) == (1, "https")


def test_ipv6(recorder: Recorder) -> None:
    with serving(recorder, host="::1") as server:
        assert raw_exchange(server.server_port, request_bytes("GET /"), host="::1").status == 200
    assert recorder.environ["SERVER_NAME"] == recorder.environ["REMOTE_ADDR"] == "::1"


def test_the_head_of_a_request_has_the_limits_of_the_class(recorder: Recorder) -> None:
    from wsgiproxy.sansio.h1 import Limits

    with serving(recorder, handler(limits=Limits(fields=2))) as server:
        raw = request_bytes("GET /", [("A", "b"), ("C", "d")])
        assert raw_exchange(server.server_port, raw).status == 431
