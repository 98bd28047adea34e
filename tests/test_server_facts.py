"""What docs/http.rst says of servers, besides what every case of test_parity shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.fronts import Fronts
from tests.support.messages import chunked_answer
from tests.support.upstream import RawUpstream

DUMP = "tests.support.apps:environ_dump"
REVERSE = "tests.support.apps:reverse"


def environ(fronts: Fronts, server: str, line: str) -> dict[str, Any]:
    """What *server* makes of a request with one more header line."""
    request = request_bytes("GET /").replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode())
    response = raw_exchange(fronts.get(server, DUMP).port, request)
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    return found


def test_paste_makes_a_cut_answer_look_complete(fronts: Fronts, upstream: RawUpstream) -> None:
    upstream.behaviour = [("read",), ("send", chunked_answer(b"hello", last=False)), ("close",)]
    server = fronts.get("paste", REVERSE, UPSTREAM=upstream.url)
    response = raw_exchange(server.port, request_bytes("GET /"))
    assert (response.body, response.complete) == (b"hello", True)


def test_waitress_sends_a_last_chunk_behind_the_answer_to_a_head(
    fronts: Fronts, upstream: RawUpstream
) -> None:
    upstream.behaviour = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = fronts.get("waitress", REVERSE, UPSTREAM=upstream.url)
    with RawClient(server.port) as client:
        client.send(request_bytes("HEAD /"))
        client.read_until(b"\r\n\r\n")
        assert client.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_cheroot_takes_a_name_with_a_blank(fronts: Fronts) -> None:
    found = environ(fronts, "cheroot", "X-Forwarded-For : 6.6.6.6")
    assert [key for key in found if "FORWARDED" in key] == ["HTTP_X_FORWARDED_FOR"]


@pytest.mark.parametrize(
    "line", ["X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "X-Forwarded-Protocol: ssl"]
)
def test_gunicorn_believes_a_local_client_about_the_scheme(fronts: Fronts, line: str) -> None:
    assert environ(fronts, "gunicorn", line)["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("server", ["wsgiref", "paste", "werkzeug"])
@pytest.mark.parametrize("line", ["nocolon", "X-A : y"])
@pytest.mark.parametrize(
    ("required", "answer"), [(False, (200, "127.0.0.1")), (True, (403, None))], ids=["", "required"]
)
def test_a_malformed_line_makes_what_the_proxy_says_vanish(
    fronts: Fronts, server: str, line: str, required: bool, answer: tuple[int, str | None]
) -> None:
    options = {"trust_ips": "127.0.0.1", "require_forwarded": required}
    front = fronts.get(server, "tests.support.backend:restored", OPTIONS=json.dumps(options))

    def asked(*lines: str) -> tuple[int, str | None]:
        head = "\r\n".join(["GET / HTTP/1.1", "Host: a.example", *lines, "Connection: close"])
        response = raw_exchange(front.port, f"{head}\r\n\r\n".encode())
        if response.status != 200:
            return response.status, None
        return 200, json.loads(response.body)["REMOTE_ADDR"]

    said = "X-Forwarded-For: 192.0.2.1"
    assert asked(said) == (200, "192.0.2.1")
    assert asked(line, said) == answer
    # What stood before the line is left, so the proxy must not add a line to the client's own.
    assert asked("X-Forwarded-For: 6.6.6.6", line, said) == (200, "6.6.6.6")
