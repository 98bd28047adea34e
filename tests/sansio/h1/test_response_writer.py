"""HTTP/1.1 as a server writes it: a response whose end is seen, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judges import h11_response
from tests.support.rounds import together
from wsgiproxy.sansio.h1 import ArrivingHead, ResponseWriter
from wsgiproxy.sansio.message import Headers

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def writer(
    status: str = "200 OK",
    headers: Headers | None = None,
    method: str = "GET",
    version: str = "1.1",
) -> ResponseWriter:
    return ResponseWriter(ArrivingHead(method, "/", version, []), status, headers or [], DATE)


def lines_of(found: ResponseWriter) -> list[str]:
    return found.head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


@pytest.mark.parametrize(
    ("status", "headers", "method", "version", "lines"),
    [
        pytest.param(
            "200 OK",
            [("Content-Length", "2"), ("A", "\xe9"), ("a", "")],
            "GET",
            "1.1",
            ["HTTP/1.1 200 OK", "Content-Length: 2", "A: \xe9", "a: ", f"Date: {DATE}"],
            id="as-given-with-a-Date",
        ),
        pytest.param(
            "200 OK",
            [("date", "x"), ("Server", "y")],
            "GET",
            "1.1",
            ["HTTP/1.1 200 OK", "date: x", "Server: y", "Transfer-Encoding: chunked"],
            id="chunked-and-no-second-Date",
        ),
        pytest.param(
            "200 OK", [], "GET", "1.0", ["HTTP/1.1 200 OK", f"Date: {DATE}"], id="to-the-end"
        ),
        pytest.param("200 OK", [], "HEAD", "1.1", ["HTTP/1.1 200 OK", f"Date: {DATE}"], id="HEAD"),
        pytest.param(
            "200 OK",
            [("Content-Length", "9")],
            "HEAD",
            "1.1",
            ["HTTP/1.1 200 OK", "Content-Length: 9", f"Date: {DATE}"],
            id="HEAD-with-the-length-of-GET",
        ),
        pytest.param(
            "304 Not Modified",
            [("Content-Length", "9")],
            "GET",
            "1.1",
            ["HTTP/1.1 304 Not Modified", "Content-Length: 9", f"Date: {DATE}"],
            id="304",
        ),
        pytest.param(
            "204 No Content",
            [("Content-Length", "0")],
            "GET",
            "1.1",
            ["HTTP/1.1 204 No Content", f"Date: {DATE}"],
            id="204-has-no-length",
        ),
        pytest.param(
            "205 Reset Content",
            [],
            "POST",
            "1.1",
            ["HTTP/1.1 205 Reset Content", f"Date: {DATE}", "Content-Length: 0"],
            id="205-says-0",
        ),
        pytest.param(
            "200 ",
            [("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Date", "x")],
            "GET",
            "1.0",
            ["HTTP/1.1 200 ", "Date: x"],
            id="the-connection-is-the-servers",
        ),
        pytest.param(
            "407 Proxy Authentication Required",
            [("Proxy-Authenticate", "Basic"), ("Content-Length", "0"), ("Date", "x")],
            "CONNECT",
            "1.1",
            [
                "HTTP/1.1 407 Proxy Authentication Required",
                "Proxy-Authenticate: Basic",
                "Content-Length: 0",
                "Date: x",
            ],
            id="fields-of-one-hop-that-are-the-proxys",
        ),
    ],
)
def test_head(status: str, headers: Headers, method: str, version: str, lines: list[str]) -> None:
    assert lines_of(writer(status, headers, method, version)) == [*lines, "Connection: close"]


def test_a_tunnel_has_no_framing() -> None:
    """RFC 9110, 9.3.6."""
    found = writer("200 Connection established", [("Content-Length", "0")], "CONNECT")
    assert lines_of(found) == ["HTTP/1.1 200 Connection established", f"Date: {DATE}"]
    assert (found.block(b"ab"), found.end()) == (b"ab", b"")


@together
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param("200 OK\r\nA: b", [], id="CRLF-in-the-status"),
        pytest.param("20 OK", [], id="two-digits"),
        pytest.param("2000 OK", [], id="four-digits"),
        pytest.param("200OK", [], id="no-blank"),
        pytest.param("101 Switching Protocols", [], id="interim"),
        pytest.param(200, [], id="status-no-text"),
        pytest.param("200 \u20ac", [], id="reason-not-latin-1"),
        pytest.param("200 OK", [("A", "b\r\nC: d")], id="CRLF-in-a-value"),
        pytest.param("200 OK", [("A", "b\nC: d")], id="LF-in-a-value"),
        pytest.param("200 OK", [("A", "b\rC: d")], id="CR-in-a-value"),
        pytest.param("200 OK", [("A", "\x00")], id="NUL-in-a-value"),
        pytest.param("200 OK", [("A", "\u20ac")], id="value-not-latin-1"),
        pytest.param("200 OK", [("A", 1)], id="value-no-text"),
        pytest.param("200 OK", [("A\r\nB", "c")], id="CRLF-in-a-name"),
        pytest.param("200 OK", [("A ", "c")], id="name-no-token"),
        pytest.param("200 OK", [("", "c")], id="empty-name"),
        pytest.param("200 OK", [(b"A", "c")], id="name-no-text"),
        pytest.param("200 OK", [("Transfer-Encoding", "chunked")], id="framing-is-the-servers"),
        pytest.param("200 OK", [("Content-Length", "x")], id="length-no-number"),
        pytest.param("200 OK", [("Content-Length", "1"), ("content-length", "1")], id="two"),
    ],
)
def test_what_must_not_be_sent_is_the_applications_mistake(status: str, headers: Headers) -> None:
    with pytest.raises(ValueError, match="expected|PEP 3333"):
        writer(status, headers)


def test_blocks_go_out_as_chunks_and_an_empty_one_does_not_end_them() -> None:
    found = writer()
    blocks = [found.block(b"ab"), found.block(b""), found.block(b"c"), found.end()]
    assert blocks == [b"2\r\nab\r\n", b"", b"1\r\nc\r\n", b"0\r\n\r\n"]


def test_more_than_the_length_is_cut_and_counted() -> None:
    found = writer(headers=[("Content-Length", "3")])
    assert [found.block(b"ab"), found.block(b"cd"), found.block(b"e")] == [b"ab", b"c", b""]
    assert (found.end(), found.surplus) == (b"", 2)


def test_less_than_the_length_is_no_end() -> None:
    found = writer(headers=[("Content-Length", "3")])
    found.block(b"ab")
    with pytest.raises(ValueError, match="lacks 1 bytes"):
        found.end()


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
def test_no_content_goes_out_where_none_may(status: str) -> None:
    found = writer(status)
    assert (found.block(b"ab"), found.end(), found.surplus) == (b"", b"", 2)


_HEADERS = [("Set-Cookie", "a=b"), ("Set-Cookie", "c"), ("X-A", "\xe9\tb"), ("Connection", "x-a")]
_STATUSES = [
    "200 OK",
    "200 ",
    "204 No Content",
    "205 R",
    "206 P",
    "301 M",
    "304 N",
    "404 N",
    "599 ",
]


@given(
    st.sampled_from(_STATUSES),
    st.lists(st.sampled_from(_HEADERS), max_size=4),
    st.lists(st.binary(max_size=9), max_size=4),
    st.sampled_from(["GET", "HEAD", "POST", "CONNECT"]),
    st.sampled_from(["1.0", "1.1"]),
    st.none() | st.integers(-2, 2),
)
def test_reads_what_the_application_gave(
    status: str,
    headers: Headers,
    blocks: list[bytes],
    method: str,
    version: str,
    wrong: int | None,
) -> None:
    """Whatever an application answers, h11 reads that, or sees that it is cut."""
    body = b"".join(blocks)
    length = len(body) + (wrong or 0)
    if wrong is not None and length >= 0:
        headers = [*headers, ("Content-Length", str(length))]
    found = writer(status, headers, method, version)
    raw = found.head + b"".join(map(found.block, blocks))
    try:
        raw += found.end()
        whole = True
    except ValueError:
        whole = False
    response = h11_response(raw, method)
    assert response.status == int(status[:3])
    if method == "CONNECT" and response.status < 300:
        return  # the rest is the tunnel's
    assert response.complete is whole
    assert response.values("Connection") == ["close"]
    theirs = [(name, value) for name, value in headers if name in ("Set-Cookie", "X-A")]
    assert [field for field in response.headers if field[0] in ("Set-Cookie", "X-A")] == theirs
    if whole:
        bare = method == "HEAD" or response.status in (204, 205, 304)
        cut = wrong is not None and length >= 0
        assert response.body == (b"" if bare else body[:length] if cut else body)


def test_the_judge_knows_a_cut_response() -> None:
    assert not h11_response(writer().head + b"2\r\nab\r\n").complete
