"""``--server uvicorn``: what the server itself is told, and what it cannot do without us."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.cli.serving import served
from tests.cli.terminal import on_a_terminal
from tests.spawn.children import child, until
from tests.support.client import RawClient, raw_exchange
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli import main
from wsgiproxy.cli.asgi_edge import asgi_counted, dated
from wsgiproxy.cli.servers import default_server
from wsgiproxy.cli.uvicorn_server import server_of
from wsgiproxy.errors import ConfigurationError

pytestmark = pytest.mark.in_turns(2, "number")

pytest.importorskip("uvicorn")

LISTEN = ("--listen", "127.0.0.1:0")
# Each request then takes the present behaviour.
CLOSE = ("Connection", "close")
STREAM = [
    ("read",),
    ("send", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"),
    ("wait_ended",),
]


@contextlib.contextmanager
def serving(upstream: RawUpstream, *options: str) -> Iterator[tuple[Command, int]]:
    with running("serve", upstream.url, *LISTEN, *options) as command:
        port = urlsplit(command.url()).port
        assert port
        yield command, port


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[RawUpstream, int]]:
    """One process for questions that change nothing."""
    with RawUpstream() as upstream, serving(upstream, "--max-body", "4") as (command, port):
        yield upstream, port
        assert command.end() == 0
        assert "Traceback" not in command.stderr


def test_it_is_the_default(echo):
    assert default_server() == "uvicorn"
    with running("serve", echo.url, *LISTEN) as command:
        assert "(uvicorn). Ctrl-C ends it." in command.line()


def test_waitress_is_the_default_without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert default_server() == "waitress"


def test_a_missing_uvicorn_is_named_with_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", ":1", "--server", "uvicorn"]) == 2
    assert "try: pip install 'wsgiproxy[asgi]>=1'" in capsys.readouterr().err


# What passes


@pytest.mark.parametrize(
    ("fields", "dates", "servers"),
    [
        pytest.param([], 1, [], id="neither"),
        pytest.param([("Date", "Mon, 01 Jan 2024 00:00:00 GMT")], 1, [], id="date"),
        pytest.param([("Server", "theirs/1")], 1, ["theirs/1"], id="server"),
    ],
)
def test_date_and_server_are_those_of_the_upstream(shared, fields, dates, servers):
    upstream, port = shared
    upstream.behaviour = answer(headers=[*fields, CLOSE], body=b"x")
    found = raw_exchange(port, request_bytes("GET /"))
    assert len(found.values("Date")) == dates
    assert found.values("Server") == servers
    for name, value in fields:
        assert found.values(name) == [value]


def test_errors_have_a_date(shared):
    _, port = shared
    refused = request_bytes("GET /", host="evil.example")
    for request, status in ((b"GARBAGE\r\n\r\n", 400), (refused, 421)):
        found = raw_exchange(port, request)
        assert (found.status, len(found.values("Date"))) == (status, 1)


@pytest.mark.parametrize(
    "field", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], ids=lambda each: each[0]
)
def test_a_body_over_max_body_gets_413(shared, field):
    upstream, port = shared
    upstream.behaviour = answer(headers=[CLOSE], body=b"x")
    body = b"5\r\n12345\r\n0\r\n\r\n" if field[1] == "chunked" else b"12345"
    assert raw_exchange(port, request_bytes("PUT /", [field], body)).status == 413


@pytest.mark.parametrize(
    ("line", "status", "asked"),
    [
        pytest.param("GET http://localhost/a%2Fb?c HTTP/1.1", 200, b"GET /a%2Fb?c ", id="absolute"),
        pytest.param("GET http://localhost HTTP/1.1", 200, b"GET / ", id="without-a-path"),
        pytest.param("GET http://localhost?c HTTP/1.1", 200, b"GET /?c ", id="query-alone"),
        pytest.param("GET http://a@localhost/ HTTP/1.1", 400, b"", id="userinfo"),
        pytest.param("OPTIONS * HTTP/1.1", 400, b"", id="asterisk"),
        pytest.param("OPTIONS http://localhost HTTP/1.1", 400, b"", id="absolute-asterisk"),
        pytest.param("CONNECT localhost:80 HTTP/1.1", 405, b"", id="authority"),
        pytest.param("GET //a/../b HTTP/1.1", 200, b"GET //a/../b ", id="byte-for-byte"),
    ],
)
def test_targets_of_every_form(shared, line, status, asked):
    upstream, port = shared
    upstream.behaviour = answer(headers=[CLOSE], body=b"x")
    before = len(upstream.requests)
    request = f"{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    assert raw_exchange(port, request).status == status
    assert [each.head[: len(asked)] for each in upstream.requests[before:]] == [asked] * bool(asked)


def test_a_head_without_end_gets_431(shared):
    _, port = shared
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        with contextlib.suppress(OSError):  # it hangs up in the middle
            for _ in range(80):
                client.send(b"y" * 8192)
        assert client.response().status == 431


def test_many_small_requests_in_one_packet_are_no_large_head(shared):
    upstream, port = shared
    upstream.behaviour = answer(headers=[CLOSE], body=b"x")
    with RawClient(port) as client:
        client.send(request_bytes("GET /", [("X", "y" * 7000)]) * 50)
        assert [client.response().status for _ in range(50)] == [200] * 50


def test_more_exchanges_than_threads(shared):
    """Thirty streams, of which none has to end before the next."""
    upstream, port = shared
    upstream.behaviour = STREAM
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            client = stack.enter_context(RawClient(port))
            client.send(request_bytes("GET /"))
            client.read_until(b"data: 1")


def test_a_websocket_is_refused_in_our_words(upstream):
    handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with serving(upstream, "--upgrade", "") as (command, port):
        with RawClient(port) as client:
            client.send(request_bytes("GET /", handshake))
            assert client.response().status == 501
        assert command.end() == 0
        assert "GET '/' 501 " in command.stderr and "WebSocketNotCarried" in command.stderr
        assert "upgrade request" not in command.stderr and "pip install" not in command.stderr


# A request that asks for another protocol, and stays what it is


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FRAMED = {
    "length": ([("Content-Length", str(len(HIDDEN)))], HIDDEN),
    "chunks": (
        [("Transfer-Encoding", "chunked")],
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
    ),
}


@pytest.fixture(scope="module")
def roomy() -> Iterator[tuple[RawUpstream, int]]:
    """As ``shared``, for bodies of any size."""
    with RawUpstream() as upstream, serving(upstream) as (_, port):
        yield upstream, port


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "foo"])
@pytest.mark.parametrize("framing", FRAMED)
@pytest.mark.parametrize("is_later", [False, True], ids=["at-once", "later"])
def test_a_body_behind_an_upgrade_is_no_request(roomy, protocol, framing, is_later):
    """llhttp takes the request for one without a body."""
    upstream, port = roomy
    upstream.behaviour = answer(body=b"x")
    before = len(upstream.requests)
    fields, body = FRAMED[framing]
    fields = [*fields, ("Connection", "Upgrade"), ("Upgrade", protocol)]
    with RawClient(port) as client:
        head = request_bytes("POST /first", fields)
        if is_later:
            client.send(head)
            # The head shall be read by itself, of which nothing can be seen: it waits for the body.
            upstream.wait_until(lambda: len(upstream.requests) > before, 0.1)
            client.send(body)
        else:
            client.send(head + body)
        assert client.response("POST").status == 200
        client.send(request_bytes("GET /second"))
        assert client.response().status == 200
    first, second = upstream.requests[before:]
    assert (first.target, first.body, second.target) == ("/first", HIDDEN, "/second")


def test_a_request_behind_an_upgrade_is_answered(shared):
    upstream, port = shared
    upstream.behaviour = answer(body=b"x")
    before = len(upstream.requests)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "h2c")]
    with RawClient(port) as client:
        client.send(request_bytes("GET /first", upgrade) + request_bytes("GET /second"))
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert [each.target for each in upstream.requests[before:]] == ["/first", "/second"]


# The end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_an_idle_stream_ends_after_the_grace(number, upstream):
    upstream.behaviour = STREAM
    with serving(upstream) as (command, port), RawClient(port) as client:
        client.send(request_bytes("GET /"))
        client.read_until(b"data: 1")
        assert command.end(number) == 0
        assert client.closed_by_server()
        lines = command.stderr.splitlines()
    assert "ending: 1 request is in progress" in lines[0]
    assert "GET '/' 200 9 bytes" in lines[1] and "ClientGone" in lines[1]
    assert len(lines) == 2


def test_a_second_ctrl_c_loses_no_line(upstream):
    with serving(upstream) as (command, port), RawClient(port) as client:
        upstream.behaviour = answer(headers=[CLOSE], body=b"x")
        assert raw_exchange(port, request_bytes("GET /first")).status == 200
        upstream.behaviour = STREAM
        client.send(request_bytes("GET /stream"))
        client.read_until(b"data: 1")
        command.send_signal(signal.SIGINT)
        until(lambda: "ending: 1 request" in command.stderr, "a line about the end")
        statuses: list[int] = []
        ended = threading.Thread(target=lambda: statuses.append(command.wait()), daemon=True)
        ended.start()

        def again() -> bool:  # half a second after the first, it is a second one
            command.send_signal(signal.SIGINT)
            ended.join(0.1)
            return not ended.is_alive()

        until(again, "the end", limit=4)
        assert statuses == [130]
        assert "GET '/first' 200" in command.stderr


def test_a_kept_connection_holds_nothing(upstream):
    upstream.behaviour = answer(headers=[CLOSE], body=b"x")
    with serving(upstream) as (command, port), RawClient(port) as client:
        client.send(request_bytes("GET /"))
        assert client.response().status == 200
        assert command.end() == 0
        assert "ending" not in command.stderr


def test_on_a_terminal_each_line_is_written_at_once_and_in_colour(upstream):
    upstream.behaviour = answer(headers=[CLOSE], body=b"x")
    with on_a_terminal("serve", upstream.url, *LISTEN, env={"NO_COLOR": ""}) as terminal:
        assert raw_exchange(terminal.port, request_bytes("GET /")).status == 200
        terminal.wait_for("\x1b[32m200\x1b[0m 1 bytes")


# A COMMAND


def test_a_command_is_served_by_it_as_well():
    with served(child(port="{port}")) as site:
        assert "(started by the first request; uvicorn)" in site.first_line
        assert site.get().status == 200


# The edge


async def _nothing(*arguments: object) -> None:
    return None


def test_a_failed_exchange_is_counted_out():
    import asyncio

    async def broken(scope, receive, send):
        raise ConfigurationError("x")

    application = asgi_counted(lambda: broken)
    for kind in ("http", "lifespan"):
        with pytest.raises(ConfigurationError):
            asyncio.run(application({"type": kind}, _nothing, _nothing))
    count = dict(zip(application.__code__.co_freevars, application.__closure__, strict=True))
    assert count["number"].cell_contents == 0


@pytest.mark.parametrize("name", [b"date", b"Date"])
def test_a_date_is_added_once(name):
    import asyncio

    sent = []

    async def send(message):
        sent.append(message)

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(name, b"x")]})
        await send({"type": "http.response.start", "status": 200})

    asyncio.run(dated(application)({"type": "http"}, _nothing, send))
    assert sent[0]["headers"] == [(name, b"x")]
    assert [field for field, _ in sent[1]["headers"]] == [b"date"]


# -- what llhttp and uvicorn leave open -------------------------------------------------------


def test_trailers_become_no_fields(shared: tuple[RawUpstream, int]) -> None:
    """llhttp tells of them by the same call, and in one packet before the application is asked."""
    upstream, port = shared
    upstream.behaviour = answer(body=b"x")
    before = len(upstream.requests)
    trailers = b"X-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\nHost: evil.example\r\nX-User: root\r\n"
    head = request_bytes("POST /x", [("Transfer-Encoding", "chunked"), CLOSE])
    response = raw_exchange(port, head + b"1\r\na\r\n0\r\n" + trailers + b"\r\n")
    assert response.status == 200
    (arrived,) = upstream.requests[before:]
    assert arrived.body == b"a"
    assert arrived.values("X-Forwarded-For") == ["127.0.0.1"]
    assert arrived.values("Cookie") + arrived.values("X-User") == []


@pytest.mark.parametrize(
    ("begun", "ends"),
    [
        pytest.param(b"", True, id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", True, id="half-a-head"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", True, id="body"),
        pytest.param(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", False, id="it-waits-for-us"),
    ],
)
def test_a_client_that_owes_something_may_not_be_silent_for_ever(
    begun: bytes, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgiproxy.cli.uvicorn_protocol._SILENCE", 0.4)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass

    started = threading.Event()
    server = server_of(application, started.set, lambda: None, "auto")
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert started.wait(10)
        with socket.create_connection(listener.getsockname(), 10) as client:
            client.sendall(begun)
            client.settimeout(10 if ends else 1.2)
            with contextlib.nullcontext() if ends else pytest.raises(TimeoutError):
                assert client.recv(1) == b""
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
