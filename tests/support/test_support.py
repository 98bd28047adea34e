"""The harness itself: whoever judges others should be right."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.fronts import Front
from tests.support.judges import h11_requests, h11_response, h11_responses, llhttp_requests
from tests.support.messages import answer, chunked_answer, chunks
from tests.support.upstream import One, RawUpstream, Script

GET = request_bytes("GET /")
_OK = b"HTTP/1.1 200 OK\r\n"


def test_a_front_serves(front_server: Callable[..., Front]) -> None:
    server = front_server("tests.support.apps:environ_dump")
    response = raw_exchange(server.port, request_bytes("GET /a%2Fb?x", [("X-A", "1")]))
    assert (response.status, response.complete) == (200, True), server.log
    environ = json.loads(response.body)
    assert (environ["QUERY_STRING"], environ["HTTP_X_A"]) == ("x", "1")


def test_echo_tells_the_bytes(echo: RawUpstream) -> None:
    request = request_bytes("POST /x", [("x-Odd", "1")], b"") + chunks(b"hello")
    request = request.replace(b"x-Odd: 1", b"x-Odd: 1\r\nTransfer-Encoding: chunked")
    told = json.loads(raw_exchange(echo.port, request).body)
    assert told["line"] == "POST /x HTTP/1.1"
    assert told["headers"][1:] == [["x-Odd", "1"], ["Transfer-Encoding", "chunked"]]
    assert told["body_length"] == 5
    assert (echo.requests[0].body, echo.requests[0].raw_body) == (b"hello", chunks(b"hello"))
    assert echo.received == request


def test_echo_keeps_the_connection(echo: RawUpstream) -> None:
    with RawClient(echo.port) as client:
        client.send(GET + request_bytes("HEAD /b"))
        assert client.response().complete
        assert client.response("HEAD").complete
        assert not echo.wait_closed(0.05)
    assert echo.wait_closed()
    assert echo.connections == 1


CUTS = {
    "closed in the body": [("send", _OK + b"Content-Length: 5\r\n\r\nhe"), ("close",)],
    "reset in the body": [("send", _OK + b"Content-Length: 5\r\n\r\nhe"), ("reset",)],
    "no last chunk": [("send", chunked_answer(b"he", last=False)), ("close",)],
}


@pytest.mark.parametrize("script", CUTS.values(), ids=CUTS)
def test_a_cut_message_is_not_complete(
    script: list[tuple[object, ...]], upstream: RawUpstream
) -> None:
    upstream.behaviour = [("read",), *script]
    response = raw_exchange(upstream.port, GET)
    assert (response.complete, response.body) == (False, b"he")
    assert upstream.errors == []


def test_a_script_waits_for_the_test(upstream: RawUpstream) -> None:
    go_on, was_read = threading.Event(), threading.Event()
    script: Script = [
        ("read_head",),
        ("read_body", 3),
        ("signal", was_read),
        ("wait", go_on),
        ("send_slowly", answer(body=b"hello"), 0.001),
    ]
    upstream.behaviour = script
    with RawClient(upstream.port) as client:
        client.send(request_bytes("POST /", body=b"abc"))
        assert was_read.wait(5)
        assert client.silent_for(0.05)
        go_on.set()
        assert client.response().body == b"hello"


def test_each_connection_has_its_script(upstream: RawUpstream) -> None:
    second: Script = [("read",), ("send", answer(202)), ("shutdown_write",)]
    in_turn: list[One] = [answer(201), second]
    upstream.behaviour = in_turn
    assert [raw_exchange(upstream.port, GET).status for _ in range(3)] == [201, 202, 202]


@pytest.mark.parametrize("goodbye", ["close", "reset"])
def test_the_end_of_a_client_is_noticed_whatever_the_script_does(
    goodbye: str, upstream: RawUpstream
) -> None:
    silent: Script = [("read",), ("wait", threading.Event())]
    upstream.behaviour = silent
    client = RawClient(upstream.port)
    client.send(GET)
    upstream.wait_for_requests(1)
    assert not upstream.accepted[0].ended
    getattr(client, goodbye)()
    assert upstream.wait_closed(1)
    assert upstream.accepted[0].ended_by_peer


def test_what_is_malformed_is_an_error_of_the_upstream(upstream: RawUpstream) -> None:
    with RawClient(upstream.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n")
        assert client.closed_by_server()
    assert len(upstream.errors) == 1


def test_a_unix_socket(unix_upstream: RawUpstream) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(unix_upstream.path)
        client.sendall(GET)
        assert client.recv(1000).startswith(_OK)
    assert unix_upstream.wait_closed()


def test_tls(tls_upstream: RawUpstream, tls_files: tuple[ssl.SSLContext, Path]) -> None:
    context = ssl.create_default_context(cafile=str(tls_files[1]))
    with (
        socket.create_connection(("127.0.0.1", tls_upstream.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        for _ in range(2):
            client.sendall(request_bytes("POST /", body=b"x" * 40_000))
            assert client.recv(1000).startswith(_OK)
    assert tls_upstream.wait_closed()
    assert [len(request.body) for request in tls_upstream.requests] == [40_000, 40_000]


MALFORMED = {
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nA : 1\r\n\r\n",
    "an incomplete head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "an incomplete body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
    "leftovers": GET + b"x",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("judge", [h11_requests, llhttp_requests])
def test_the_judges_refuse(judge: Callable[[bytes], object], raw: bytes) -> None:
    with pytest.raises(Exception, match=r".+"):
        judge(raw)


def test_the_judges_agree() -> None:
    raw = GET + request_bytes("PUT /a%2Fb?c", [("X-A", "1")], b"hello")
    assert h11_requests(raw) == llhttp_requests(raw)
    assert [request.body for request in h11_requests(raw)] == [b"", b"hello"]


@pytest.mark.parametrize("raw", [b"", _OK, _OK + b"Content-Length: 2\r\n\r\nh", b"junk\r\n\r\n"])
def test_a_response_that_is_none(raw: bytes) -> None:
    response = h11_response(raw)
    assert not response.complete
    assert response.error


def test_responses_one_after_the_other() -> None:
    raw = (
        answer(204) + answer(103) + answer(200, body=b"a") + answer(304, [("Content-Length", "9")])
    )
    found = h11_responses(raw, ["GET"] * 9)
    assert [(each.status, each.interim) for each in found] == [(204, []), (200, [103]), (304, [])]
    assert all(each.complete for each in found)


_IGNORED = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"


def test_a_program_of_a_test_can_be_interrupted() -> None:
    assert subprocess.run([sys.executable, "-c", _IGNORED], check=False).returncode == 0


def test_a_run_with_interrupts_ignored_starts_programs_that_do_not_ignore_them() -> None:
    """As under ``nohup ... &``."""
    test = f"{__file__}::{test_a_program_of_a_test_can_be_interrupted.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
