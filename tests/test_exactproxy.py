"""The WSGI edge: bodies, closing, error pages, records, and WebOb as a client."""

from __future__ import annotations

import gc
import io
import json
import logging
import socket
import subprocess
import sys
import textwrap
import threading
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from webob import Request

from tests.support.upstream import RawUpstream, answer, chunked_answer, chunks
from wsgiproxy.errors import ProxyError, UpstreamLost
from wsgiproxy.exactproxy import Gateway, proxy_exact_request
from wsgiproxy.sansio.policy.exact import ExactPolicy
from wsgiproxy.sansio.secrets import masked


def environ_for(upstream: RawUpstream, path: str = "/", **more: object) -> dict[str, object]:
    environ: dict[str, object] = {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(upstream.port),
        "HTTP_HOST": "upstream.example",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
    }
    setup_testing_defaults(environ)
    environ.update(more)
    return environ


class Called:
    """What a server sees of an application."""

    def __init__(self, app, environ) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.result = app(environ, lambda *arguments: self.calls.append(arguments))

    @property
    def status(self) -> int:
        return int(str(self.calls[0][0])[:3])

    @property
    def headers(self):
        return self.calls[0][1]

    def read(self) -> bytes:
        try:
            return b"".join(self.result)
        finally:
            if hasattr(self.result, "close"):
                self.result.close()


def call(environ, app=proxy_exact_request) -> Called:
    return Called(app, environ)


# -- the shape of an answer ------------------------------------------------------------


def test_a_small_complete_answer_is_a_list_of_one(upstream):
    upstream.behaviour = answer(299, [("X-A", "1"), ("X-A", "2")], b"hello", reason="Odd")
    called = call(environ_for(upstream))
    assert called.result == [b"hello"]
    assert called.calls == [("299 Odd", [("X-A", "1"), ("X-A", "2"), ("Content-Length", "5")])]


def test_a_long_answer_is_an_iterable_without_length(upstream):
    upstream.behaviour = answer(body=b"x" * 500_000)
    called = call(environ_for(upstream))
    assert not hasattr(called.result, "__len__")
    blocks = list(called.result)
    called.result.close()
    assert b"".join(blocks) == b"x" * 500_000
    assert max(map(len, blocks)) <= 65536


@pytest.mark.parametrize(
    ("method", "raw", "length"),
    [
        pytest.param("HEAD", answer(headers=[("Content-Length", "1234")]), "1234", id="head"),
        pytest.param("GET", answer(304, [("Content-Length", "12")]), "12", id="304"),
        pytest.param("GET", answer(204), None, id="204"),
        pytest.param("GET", answer(204, [("Content-Length", "0")]), None, id="204-length"),
        pytest.param("GET", answer(205, [("Content-Length", "0")]), "0", id="205"),
        pytest.param("GET", answer(200), "0", id="empty-200"),
    ],
)
def test_answers_without_a_body(upstream, method, raw, length):
    upstream.behaviour = raw
    called = call(environ_for(upstream, REQUEST_METHOD=method))
    assert called.result == []
    assert dict(called.headers).get("Content-Length") == length


def test_the_first_event_does_not_wait_for_the_second(upstream):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
        ("wait", go),
        ("send", b"data: 1\n\n"),
        ("close",),
    ]
    called = call(environ_for(upstream))
    # An empty block lets servers send the head at once.
    assert next(called.result) == b""
    go.set()
    assert called.read() == b"data: 1\n\n"


def test_failure_in_mid_body_raises(upstream):
    upstream.behaviour = [
        ("read",),
        ("send", answer(headers=[("Content-Length", "9")]) + b"abc"),
        ("close",),
    ]
    called = call(environ_for(upstream))
    with pytest.raises(UpstreamLost):
        called.read()
    assert len(called.calls) == 1


def test_closing_before_iterating_ends_the_upstream(upstream):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]))]
    called = call(environ_for(upstream))
    called.result.close()
    called.result.close()
    assert upstream.wait_closed()


def test_an_error_in_start_response_ends_the_upstream(upstream):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]))]

    def start_response(status, headers):
        raise RuntimeError("the server is stopping")

    with pytest.raises(RuntimeError):
        proxy_exact_request(environ_for(upstream), start_response)
    assert upstream.wait_closed()


# wsgiref.validate wants a Content-Type, which HTTP does not; so these answers have one.
TYPED = [("Content-Type", "text/plain")]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer(200, TYPED, b"hello"), id="small"),
        pytest.param(answer(200, TYPED, b"x" * 300_000), id="long"),
        pytest.param(chunked_answer(b"one", b"two", headers=TYPED), id="chunked"),
        pytest.param(answer(200, [*TYPED, ("X-Tab", "a\tb")]), id="tab"),
        pytest.param(answer(200, [*TYPED, ("Connection", "x-a"), ("X-A", "1")]), id="hop-by-hop"),
        pytest.param(answer(204), id="no-content"),
        pytest.param(b"rubbish\r\n\r\n", id="bad-gateway"),
    ],
)
def test_the_answer_is_legal_wsgi(upstream, raw):
    upstream.behaviour = raw
    called = Called(validator(proxy_exact_request), environ_for(upstream, QUERY_STRING=""))
    called.read()
    assert called.calls


# -- request bodies --------------------------------------------------------------------


def post(upstream: RawUpstream, data: bytes, **more: object) -> dict[str, object]:
    settings = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(data), **more}
    return environ_for(upstream, **settings)


def test_exactly_the_announced_length_is_read(upstream):
    upstream.behaviour = answer()
    source = io.BytesIO(b"bodyGET /next")
    environ = post(upstream, b"", CONTENT_LENGTH="4")
    environ["wsgi.input"] = source
    call(environ)
    assert (upstream.requests[0].body, source.tell()) == (b"body", 4)


@pytest.mark.parametrize("data", [b"", b"bod"])
def test_a_body_that_ends_early_is_never_completed(upstream, data):
    called = call(post(upstream, data, CONTENT_LENGTH="4"))
    assert called.status == 400
    assert not any(request.complete for request in upstream.requests)


def test_a_long_body_that_ends_early_closes_the_upstream(upstream):
    called = call(post(upstream, b"x" * 100_000, CONTENT_LENGTH="200000"))
    assert called.status == 400
    assert upstream.wait_closed()
    assert not any(request.complete for request in upstream.requests)


def test_a_body_to_the_end_of_input_goes_in_chunks(upstream):
    upstream.behaviour = answer()
    call(
        post(
            upstream,
            b"x" * 100_000,
            HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input_terminated": True},
        )
    )
    assert upstream.requests[0].body == b"x" * 100_000
    assert upstream.requests[0].values("Transfer-Encoding") == ["chunked"]


class Untouchable:
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("wsgi.input was read")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="nothing-said"),
        pytest.param({"CONTENT_LENGTH": ""}, id="empty-length"),
        pytest.param({"CONTENT_LENGTH": "0"}, id="length-0"),
        pytest.param({"wsgi.input_terminated": True}, id="terminated-http-1"),
    ],
)
def test_input_without_a_length_is_not_read(upstream, more):
    upstream.behaviour = answer(body=b"x")
    environ = environ_for(upstream, **{"wsgi.input": Untouchable(), **more})
    assert call(environ).result == [b"x"]


def test_http_2_bodies_have_no_framing_field(upstream):
    upstream.behaviour = answer()
    http2 = {"SERVER_PROTOCOL": "HTTP/2", "wsgi.input_terminated": True}
    call(post(upstream, b"body", **http2))
    call(post(upstream, b"", **http2, REQUEST_METHOD="GET"))
    with_body, without = upstream.requests
    assert with_body.body == b"body"
    assert without.values("Transfer-Encoding") == without.values("Content-Length") == []


def test_an_error_of_the_input_is_the_clients(upstream):
    class Broken:
        def read(self, size):
            raise OSError("client reset")

    called = call(post(upstream, b"", CONTENT_LENGTH="4", **{"wsgi.input": Broken()}))
    assert called.status == 400
    assert upstream.requests == []


def test_a_body_over_the_limit(upstream):
    gateway = Gateway(ExactPolicy(), max_body=3)
    assert call(post(upstream, b"body", CONTENT_LENGTH="4"), gateway).status == 413
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert call(post(upstream, b"body", **chunked), gateway).status == 413
    assert upstream.connections == 0


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_exactly_the_limit(upstream, chunked):
    upstream.behaviour = answer()
    framing = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    environ = post(upstream, b"abc", **(framing if chunked else {"CONTENT_LENGTH": "3"}))
    assert call(environ, Gateway(ExactPolicy(), max_body=3)).status == 200
    assert upstream.requests[0].body == b"abc"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, id="204"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, id="no-bytes"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, id="304"),
    ],
)
def test_an_empty_answer_has_its_record(upstream, caplog, raw, status):
    caplog.set_level("INFO", "wsgiproxy.access")
    upstream.behaviour = raw
    called = call(environ_for(upstream))
    assert (called.status, called.read()) == (status, b"")
    (record,) = [each.exchange for each in caplog.records if hasattr(each, "exchange")]
    assert (record["status"], record["sent"], record["received"]) == (status, 0, 0)
    assert (record["error"], record["upstream"]) == (None, upstream.netloc)


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"", 502, id="nothing"),
        pytest.param(b"secret rubbish\r\n\r\n", 502, id="rubbish"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: secret\x00\r\n\r\n", 502, id="nul"),
        pytest.param(b"HTTP/1.1 200 OK\r\nsecret\r\n\r\n", 502, id="no-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n", 502, id="D12"),
    ],
)
def test_a_bad_answer_gives_502_and_nothing_of_it(upstream, raw, status):
    upstream.behaviour = [("read",), ("send", raw), ("close",)]
    called = call(environ_for(upstream))
    page = called.read()
    assert called.status == status
    assert b"secret" not in page and b"127.0.0.1" not in page and b"Traceback" not in page


def test_no_inside_in_the_page():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        request = Request.blank(f"http://localhost:{port}/")
        response = request.get_response(proxy_exact_request)
    assert response.status_code == 502
    assert str(port) not in response.text and "localhost" not in response.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "text/html"),
        ("text/plain", "text/plain"),
    ],
)
def test_the_page_follows_accept(upstream, accept, content_type):
    upstream.behaviour = b"rubbish\r\n\r\n"
    called = call(environ_for(upstream, HTTP_ACCEPT=accept))
    page = called.read()
    assert dict(called.headers)["Content-Type"].startswith(content_type)
    if "json" in accept:
        assert json.loads(page)["code"] == "502 Bad Gateway"
    assert b"502 Bad Gateway" in page


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"PATH_INFO": 7}, id="path-is-a-number"),
        pytest.param({"REQUEST_METHOD": None}, id="no-method"),
        pytest.param({"QUERY_STRING": b"bytes"}, id="query-is-bytes"),
    ],
)
def test_an_environ_that_breaks_pep_3333_sends_nothing(upstream, more):
    called = call(environ_for(upstream, **more))
    assert called.status in (400, 500)
    assert upstream.connections == 0


def test_405_names_the_methods_that_are_allowed(upstream):
    called = call(environ_for(upstream, REQUEST_METHOD="TRACE"))
    assert called.status == 405
    assert "GET" in dict(called.headers)["Allow"]
    assert upstream.connections == 0


def test_max_forwards_ends_here(upstream):
    options = {"REQUEST_METHOD": "OPTIONS", "HTTP_MAX_FORWARDS": "0"}
    assert call(environ_for(upstream, **options)).status == 204
    assert upstream.connections == 0
    upstream.behaviour = answer()
    call(environ_for(upstream, **{**options, "HTTP_MAX_FORWARDS": "7"}))
    assert upstream.requests[0].values("Max-Forwards") == ["6"]


def test_our_own_connection_comes_back(upstream):
    statuses: list[int] = []

    def behave(connection) -> None:
        connection.read()
        address, port = connection._sock.getpeername()
        again = environ_for(upstream, REMOTE_ADDR=address, REMOTE_PORT=str(port))
        statuses.append(call(again).status)
        connection.send(answer())

    upstream.behaviour = behave
    assert call(environ_for(upstream, REMOTE_ADDR="127.0.0.1", REMOTE_PORT="1")).status == 200
    assert statuses == [508]


def test_a_server_without_ports_leaves_via(upstream):
    upstream.behaviour = answer()
    call(environ_for(upstream, REMOTE_ADDR="192.0.2.1"))
    (trace,) = upstream.requests[0].values("Via")
    again = environ_for(upstream, REMOTE_ADDR="192.0.2.1", HTTP_VIA=trace)
    assert call(again).status == 508


# -- what is not touched ---------------------------------------------------------------


def test_the_environ_is_not_changed(upstream):
    upstream.behaviour = answer()
    environ = environ_for(upstream, HTTP_CONNECTION="x-a", HTTP_X_A="1")
    before = dict(environ)
    call(environ)
    assert environ == before


def test_exact_means_exact(upstream):
    upstream.behaviour = answer()
    call(
        environ_for(
            upstream,
            "/b c",
            SCRIPT_NAME="/a",
            HTTP_X_FORWARDED_FOR="1.2.3.4",
            HTTP_PROXY="http://evil/",
            HTTP_CONNECTION="close, x-b",
            HTTP_X_B="2",
            HTTP_ACCEPT_ENCODING="gzip",
        )
    )
    request = upstream.requests[0]
    assert request.line == "GET /a/b%20c HTTP/1.1"
    assert sorted(request.headers) == [
        ("Accept-Encoding", "gzip"),
        ("Host", "upstream.example"),
        ("X-Forwarded-For", "1.2.3.4"),
    ]


def test_a_coded_body_is_not_touched(upstream):
    upstream.behaviour = answer(headers=[("Content-Encoding", "gzip")], body=b"not gzip at all")
    called = call(environ_for(upstream))
    assert called.read() == b"not gzip at all"
    assert dict(called.headers)["Content-Encoding"] == "gzip"
    assert upstream.requests[0].values("Accept-Encoding") == []


# -- WebOb -----------------------------------------------------------------------------


def test_webob_client(upstream):
    upstream.behaviour = answer(201, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], b"made")
    request = Request.blank(f"http://{upstream.netloc}/things?x=%2F", POST=b"body")
    response = request.get_response(proxy_exact_request)
    assert (response.status, response.body) == ("201 Created", b"made")
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    received = upstream.requests[0]
    assert (received.line, received.body) == ("POST /things?x=%2F HTTP/1.1", b"body")
    assert received.values("Host") == [upstream.netloc]


def test_webob_client_timeout(upstream):
    upstream.behaviour = [("read",)]
    request = Request.blank(f"http://{upstream.netloc}/")
    request.environ["webob.client.timeout"] = 0.2
    assert request.get_response(proxy_exact_request).status_code == 504
    assert upstream.wait_closed()


@pytest.mark.parametrize("limit", [0, -1, "5", float("nan"), float("inf")])
def test_webob_client_timeout_must_be_seconds(upstream, limit):
    environ = environ_for(upstream, **{"webob.client.timeout": limit})
    assert call(environ).status == 400


# -- clients that leave -------------------------------------------------------


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_client_that_leaves_ends_a_silent_upstream(upstream, key):
    upstream.behaviour = [("read",)]
    server_side, client_side = socket.socketpair()
    leaving = threading.Thread(target=lambda: upstream.wait_for_requests(1) and client_side.close())
    leaving.start()
    with server_side:
        called = call(environ_for(upstream, **{key: server_side}))
    leaving.join(5)
    assert called.status == 499
    assert upstream.wait_closed(1)


def test_waitress_tells_by_a_function(upstream):
    upstream.behaviour = [("read",)]
    gone = lambda: bool(upstream.requests)  # noqa: E731 (a function is what waitress gives)
    called = call(environ_for(upstream, **{"waitress.client_disconnected": gone}))
    assert called.status == 499
    assert upstream.wait_closed(1)


def test_a_client_with_more_to_say_has_not_left(upstream):
    upstream.behaviour = answer(body=b"x")
    server_side, client_side = socket.socketpair()
    client_side.sendall(b"GET /pipelined HTTP/1.1\r\n")
    with server_side, client_side:
        assert call(environ_for(upstream, **{"gunicorn.socket": server_side})).result == [b"x"]


def test_early_hints_go_where_the_server_takes_them(upstream):
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-B: 1\r\n\r\n"
    upstream.behaviour = hint + answer(body=b"x")
    hints: list[object] = []
    call(environ_for(upstream, **{"wsgi.early_hints": hints.append}))
    assert hints == [[("Link", "</a.css>; rel=preload")]]


# -- records ------------------------------------------------------------------


def test_one_record_per_exchange_with_credentials_masked(upstream, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    upstream.behaviour = answer(body=b"hello")
    call(environ_for(upstream, "/a", QUERY_STRING="page=1&token=s3cret", REMOTE_ADDR="192.0.2.1"))
    (record,) = (record for record in caplog.records if record.name == "wsgiproxy.access")
    fields = record.exchange
    assert (fields["status"], fields["received"], fields["method"]) == (200, 5, "GET")
    assert fields["path"] == "/a?page=1&token=***"
    assert "s3cret" not in record.getMessage() and "192.0.2.1" in record.getMessage()


def test_a_streamed_exchange_is_recorded_when_it_closes(upstream, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    upstream.behaviour = [
        ("read",),
        ("send", answer(headers=[("Content-Length", "9")]) + b"abc"),
        ("close",),
    ]
    called = call(environ_for(upstream))

    def records():
        return [record for record in caplog.records if record.name == "wsgiproxy.access"]

    with pytest.raises(UpstreamLost):
        list(called.result)
    assert records() == []
    called.result.close()
    called.result.close()
    (record,) = records()
    assert (record.exchange["error"], record.exchange["side"]) == ("UpstreamLost", "upstream")


def test_an_answer_that_nobody_took_is_recorded_as_such(upstream, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]) + b"abc")]
    called = call(environ_for(upstream))
    next(called.result)
    called.result.close()
    (record,) = (record for record in caplog.records if record.name == "wsgiproxy.access")
    assert (record.exchange["error"], record.exchange["side"]) == ("ClientGone", "client")


@pytest.mark.parametrize(
    ("method", "level"),
    [pytest.param("TRACE", "INFO", id="clients-fault"), pytest.param("GET", "WARNING", id="I7")],
)
def test_the_blame_decides_the_level(upstream, caplog, method, level):
    caplog.set_level(logging.INFO, "wsgiproxy.error")
    upstream.behaviour = b"rubbish\r\n\r\n"
    call(environ_for(upstream, REQUEST_METHOD=method))
    (record,) = (record for record in caplog.records if record.name == "wsgiproxy.error")
    assert record.levelname == level


def test_every_error_has_a_status_with_a_page():
    from wsgiproxy.wsgi.errorpage import error_page

    def kinds(kind):
        yield kind
        for below in kind.__subclasses__():
            yield from kinds(below)

    for kind in kinds(ProxyError):
        called = Called(error_page(kind("inside")), environ_for_nothing())
        assert called.status == kind.status
        assert b"inside" not in called.read()


def environ_for_nothing() -> dict[str, object]:
    environ: dict[str, object] = {"wsgi.errors": sys.stderr}
    setup_testing_defaults(environ)
    return environ


def test_chunks_pass_as_they_are_cut(upstream):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", answer(headers=[("Transfer-Encoding", "chunked")]) + chunks(b"one", last=False)),
        ("wait", go),
        ("send", chunks(b"two")),
    ]
    called = call(environ_for(upstream))
    assert next(called.result) == b"one"
    go.set()
    assert called.read() == b"two"


# -- what a review has found -----------------------------------------------------------


def test_a_stranger_with_the_port_of_a_kept_connection_is_served(upstream):
    peers: list[tuple[str, int]] = []

    def behave(connection) -> None:
        peers.append(connection._sock.getpeername())
        connection.follow(answer(body=b"x"))

    upstream.behaviour = behave
    call(environ_for(upstream))
    address, port = peers[0]
    assert call(environ_for(upstream, REMOTE_ADDR=address, REMOTE_PORT=str(port))).status == 200


@pytest.mark.parametrize("name", ["a b", "a\r\nb", "", "a/b", "a@b"])
def test_a_server_name_that_is_no_host(upstream, name):
    assert call(environ_for(upstream, SERVER_NAME=name)).status == 400


def test_failing_exchanges_leave_nothing_to_the_garbage_collector(upstream):
    environ = environ_for(upstream, REQUEST_METHOD="TRACE")
    call(environ)
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            call(environ)
        # Threads of other tests may leave something meanwhile.
        assert gc.collect() < 200
    finally:
        gc.enable()


def test_masking_is_linear():
    assert masked("token" * 100_000) == "token" * 100_000
    assert masked("a=1;Password=x&b") == "a=1;Password=***&b"


def test_a_record_is_written_when_start_response_fails(upstream, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    upstream.behaviour = answer(body=b"x")

    def start_response(status, headers):
        raise RuntimeError("the server is stopping")

    with pytest.raises(RuntimeError):
        proxy_exact_request(environ_for(upstream), start_response)
    assert [record.name for record in caplog.records] == ["wsgiproxy.access"]


def test_an_environ_without_a_method_gets_its_page(upstream):
    environ = environ_for(upstream, HTTP_HOST="a b")
    del environ["REQUEST_METHOD"]
    assert call(environ).status == 400


def test_the_log_line_has_no_control_characters(upstream, caplog):
    caplog.set_level(logging.INFO)
    call(environ_for(upstream, REQUEST_METHOD="GE\x1b[2JT", REMOTE_ADDR="1\n2"))
    for record in caplog.records:
        assert record.getMessage().isprintable()


def test_a_client_that_leaves_during_early_hints(upstream):
    def gone(headers):
        raise BrokenPipeError

    upstream.behaviour = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer()
    assert call(environ_for(upstream, **{"wsgi.early_hints": gone})).status == 499


def test_gevent_does_not_hide_a_client_that_has_left(upstream):
    """gevent's poll knows no POLLRDHUP; the real one is asked."""
    code = """
        from gevent import monkey
        monkey.patch_all()
        import socket
        from wsgiproxy.wsgi.client import client_watch
        ours, theirs = socket.socketpair()
        watch = client_watch({"gunicorn.socket": ours})
        before = watch()
        theirs.close()
        print(before, watch())
    """
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


def messages(caplog, name):
    return [record.getMessage() for record in caplog.records if record.name == name]


def test_what_went_wrong_is_told_with_path_client_and_upstream(upstream, caplog):
    caplog.set_level(logging.INFO)
    upstream.behaviour = b"rubbish\r\n\r\n"
    environ = environ_for(upstream, "/a", QUERY_STRING="b=1&token=s3cret", REMOTE_ADDR="192.0.2.1")
    called = call(environ)
    asked = "192.0.2.1 GET '/a?b=1&token=***'"
    authority = f"127.0.0.1:{upstream.port}"
    (told,) = messages(caplog, "wsgiproxy.error")
    assert told.startswith(f"{asked} -> {authority}: 502 BadResponse: ")
    (line,) = messages(caplog, "wsgiproxy.access")
    assert line.startswith(f"{asked} 502 {len(b''.join(called.result))} bytes ")
    assert f" s -> {authority} BadResponse: " in line


def test_a_refusal_before_the_upstream_has_its_line(upstream, caplog):
    caplog.set_level(logging.INFO)
    called = call(environ_for(upstream, "/a", REQUEST_METHOD="TRACE", REMOTE_ADDR="192.0.2.1"))
    (record,) = (record for record in caplog.records if record.name == "wsgiproxy.access")
    assert record.exchange["sent"] == len(b"".join(called.result)) > 0
    assert (record.exchange["received"], record.exchange["error"]) == (0, "MethodNotAllowed")
    assert "192.0.2.1 TRACE '/a' -> -: 405" in messages(caplog, "wsgiproxy.error")[0]


def test_an_answer_that_breaks_off_is_told_once(upstream, caplog):
    caplog.set_level(logging.INFO)
    head = answer(headers=[("Content-Length", "9")])
    upstream.behaviour = [("read",), ("send", head + b"abc"), ("close",)]
    called = call(environ_for(upstream, "/cut", REMOTE_ADDR="192.0.2.1"))
    with pytest.raises(UpstreamLost):
        list(called.result)
    called.result.close()
    (told,) = messages(caplog, "wsgiproxy.error")
    assert f"192.0.2.1 GET '/cut' -> 127.0.0.1:{upstream.port}: 502 UpstreamLost: " in told
    (line,) = messages(caplog, "wsgiproxy.access")
    assert "UpstreamLost: " in line
