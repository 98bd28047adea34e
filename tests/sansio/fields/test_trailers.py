"""Which fields behind a body go to the client (RFC 9110, 6.5)."""

from __future__ import annotations

import pytest

from wsgiproxy.errors import BadResponse
from wsgiproxy.sansio.fields.trailers import announced_trailers, trailers_for_client
from wsgiproxy.sansio.h1 import Limits, ResponseReader

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "transfer-encoding", "Set-Cookie", "Location", "Host", "Cache-Control"],
)
def test_fields_that_must_not_be_announced(name: str) -> None:
    assert announced_trailers([("trailer", f"{name}, X-A")]) == {"x-a"}


def test_no_trailer_announces_nothing() -> None:
    assert announced_trailers([("X-A", "1")]) == frozenset()


@pytest.mark.parametrize("name", ["Connection", "TE", "X-Accel-Redirect", "Alt-Svc", "X-Other"])
def test_what_is_not_for_clients_stays_here(name: str) -> None:
    announced = frozenset(["x-a", *([name.lower()] if name != "X-Other" else [])])
    assert trailers_for_client([("X-A", "1"), (name, "2")], announced) == [("X-A", "1")]


def test_the_reader_has_them_when_the_body_is_whole() -> None:
    reader = ResponseReader("GET", Limits())
    assert reader.feed(HEAD + b"1\r\na\r\n0\r\nX-A:  1 \r\nX-A: 2\r\n") == b"a"
    assert reader.trailers == [] and not reader.complete
    reader.feed(b"\r\n")
    assert reader.trailers == [("X-A", "1"), ("X-A", "2")]


@pytest.mark.parametrize(
    "line", [b"Content-Length: 1", b"Transfer-Encoding: x", b"no field", b" X: folded", b"X\x00: 1"]
)
def test_a_trailer_that_is_none_is_an_error(line: bytes) -> None:
    reader = ResponseReader("GET", Limits())
    with pytest.raises(BadResponse):
        reader.feed(HEAD + b"0\r\n" + line + b"\r\n\r\n")
