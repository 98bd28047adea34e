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
