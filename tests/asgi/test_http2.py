"""HTTP/2 on the side of the client, by Hypercorn: a request without a word about its body."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.fronts import Front, Fronts
from tests.support.http2 import HTTP2Response, http2_exchange
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream

Ask = Callable[..., HTTP2Response]


@pytest.fixture
def ask(fronts: Fronts, upstream: RawUpstream) -> Ask:
    upstream.behaviour = answer(body=b"hello")
    server: Front = fronts.get(
        "hypercorn", "tests.support.asgi_apps:reverse", UPSTREAM=upstream.url
    )
    return lambda *request, **more: http2_exchange(server.port, *request, **more)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_request_without_body_has_none(method: str, ask: Ask, upstream: RawUpstream) -> None:
    """Whether there is one is told by the first block alone."""
    if method == "HEAD":
        upstream.behaviour = answer(headers=[("Content-Length", "5")])
    response = ask(method, "/x?y")
    assert (response.status, response.complete) == (200, True)
    (arrived,) = upstream.requests
    assert (arrived.line, arrived.raw_body) == (f"{method} /x?y HTTP/1.1", b"")
    assert arrived.values("Transfer-Encoding") + arrived.values("Content-Length") == []
    assert arrived.values("Host") == [upstream.netloc]
    assert arrived.values("X-Forwarded-Host") == ["front.example"]


def test_a_post_without_body_says_so(ask: Ask, upstream: RawUpstream) -> None:
    assert ask("POST", "/x").body == b"hello"
    assert upstream.requests[0].values("Content-Length") == ["0"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_body_of_unknown_length_is_chunked(method: str, ask: Ask, upstream: RawUpstream) -> None:
    assert ask(method, "/x", blocks=[b"hel", b"lo"]).body == b"hello"
    (arrived,) = upstream.requests
    assert arrived.values("Transfer-Encoding") == ["chunked"]
    assert (arrived.body, arrived.complete) == (b"hello", True)


def test_a_body_of_known_length_keeps_it(ask: Ask, upstream: RawUpstream) -> None:
    assert ask("POST", "/x", [("content-length", "5")], [b"hel", b"lo"]).status == 200
    assert upstream.requests[0].values("Content-Length") == ["5"]
    assert upstream.requests[0].raw_body == b"hello"


def test_crumbs_of_cookies_are_one_field(ask: Ask, upstream: RawUpstream) -> None:
    """RFC 9113, 8.2.3: before they go into HTTP/1.1."""
    assert ask("GET", "/x", [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2")]).status == 200
    assert upstream.requests[0].values("Cookie") == ["a=1; b=2"]


def test_fields_of_one_hop_do_not_come_back(ask: Ask, upstream: RawUpstream) -> None:
    """They would be errors here (RFC 9113, 8.2.2)."""
    fields = [("Connection", "close, X-Named"), ("X-Named", "1"), ("Keep-Alive", "5")]
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    upstream.behaviour = chunked_answer(b"hel", b"lo", headers=[*fields, *cookies])
    response = ask("GET", "/x")
    assert (response.body, response.complete) == (b"hello", True)
    assert response.values("set-cookie") == ["a=1", "b=2"]
    names = {name for name, _ in response.headers}
    assert not names & {"connection", "keep-alive", "transfer-encoding", "x-named"}


def test_early_hints_pass(ask: Ask, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(103, [("Link", "</a>"), ("X-A", "1")]) + answer(body=b"hello")
    response = ask("GET", "/x")
    ((_, *fields),) = response.interim
    assert [value for name, value in fields if name == "link"] == ["</a>"]
    assert "x-a" not in dict(fields), "Link alone means something here (RFC 8297)"
    assert (response.status, response.body) == (200, b"hello")


def test_a_cut_answer_is_not_whole(ask: Ask, upstream: RawUpstream) -> None:
    cut = chunked_answer(b"hello", last=False)
    upstream.behaviour = [("read",), ("send", cut), ("close",)]
    assert not ask("GET", "/x").complete


TRAILED = (
    b"HTTP/1.1 200 OK\r\nTrailer: X-Checksum, Set-Cookie, X-Late\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nX-Checksum: abc\r\nSet-Cookie: a=b\r\nX-Unannounced: 1\r\nTE: x\r\n\r\n"
)


@pytest.mark.parametrize("pieces", [[TRAILED], [TRAILED[:95], TRAILED[95:120], TRAILED[120:]]])
def test_trailers_that_were_announced_pass(
    pieces: list[bytes], ask: Ask, upstream: RawUpstream
) -> None:
    """Not those that must not stand there (RFC 9110, 6.5.1), nor any that nothing was said of."""
    upstream.behaviour = [("read",), *(("send", piece) for piece in pieces)]
    response = ask("GET", "/x", [("te", "trailers")])
    assert (response.status, response.body, response.complete) == (200, b"hello", True)
    assert response.trailers == [("x-checksum", "abc")]
    assert response.values("set-cookie") + response.values("x-checksum") == []


def test_trailers_are_for_clients_that_take_them(ask: Ask, upstream: RawUpstream) -> None:
    upstream.behaviour = [("read",), ("send", TRAILED)]
    response = ask("GET", "/x")
    assert (response.body, response.complete, response.trailers) == (b"hello", True, [])


def test_an_answer_that_breaks_off_has_no_trailers(ask: Ask, upstream: RawUpstream) -> None:
    upstream.behaviour = [("read",), ("send", TRAILED[:100]), ("close",)]
    response = ask("GET", "/x", [("te", "trailers")])
    assert (response.complete, response.trailers) == (False, [])
