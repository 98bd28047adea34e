"""HTTP/1.1 as a client speaks it: a head to bytes, and bytes in any pieces to a response."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import NamedTuple
from wsgiref import validate
from wsgiref.util import is_hop_by_hop

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judges import h11_requests, h11_response, llhttp_requests
from tests.support.rounds import together
from wsgiproxy.errors import BadRequest, BadResponse, HeadTooLarge, UpstreamLost
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.h1 import Limits, ResponseReader, request_head, response_reader
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk
from wsgiproxy.sansio.message import Headers, Request, ResponseHead
from wsgiproxy.sansio.pipeline import client_response
from wsgiproxy.sansio.policy.exact import ExactPolicy

HOST = ("Host", "h")


def head_of(request: Request, **limits: int) -> bytes:
    return request_head(request, Limits(**limits))


@pytest.mark.parametrize(
    ("request_", "head"),
    [
        pytest.param(
            Request("GET", "/", [HOST]), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", id="GET-no-body"
        ),
        pytest.param(
            Request("GET", "/", [HOST], 3),
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
            id="GET-with-body",
        ),
        pytest.param(
            Request("DELETE", "/", [HOST], 0),
            b"DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            id="length-0-as-given",
        ),
        *(
            pytest.param(
                Request(method, "/", [HOST]),
                f"{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode(),
                id=f"{method}-without-content",
            )
            for method in ("POST", "PUT", "PATCH")
        ),
        *(
            pytest.param(
                Request(method, "/", [HOST], None, True),
                f"{method} / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
                id=f"{method}-in-chunks",
            )
            for method in ("GET", "DELETE", "OPTIONS", "POST")
        ),
        pytest.param(
            Request("POST", "/", [HOST], 3, True),
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="never-both",
        ),
        pytest.param(
            Request("M-SEARCH", "*", [HOST, ("A", ""), ("A", "b\tc"), ("B", "\xe9")]),
            b"M-SEARCH * HTTP/1.1\r\nHost: h\r\nA: \r\nA: b\tc\r\nB: \xe9\r\n\r\n",
            id="as-given",
        ),
        pytest.param(
            Request("GET", "/%2f?[]|^\"'<>\\", [HOST]),
            b"GET /%2f?[]|^\"'<>\\ HTTP/1.1\r\nHost: h\r\n\r\n",
            id="target-byte-for-byte",
        ),
    ],
)
def test_request_head(request_: Request, head: bytes) -> None:
    assert head_of(request_) == head


CONTROLS = [chr(code) for code in [*range(0x20), 0x7F] if chr(code) != "\t"]


@together
@pytest.mark.parametrize(
    "request_",
    [
        *(
            pytest.param(Request("GET", "/", [HOST, ("A", f"b{c}c")]), id=f"value-{c!r}")
            for c in CONTROLS
        ),
        *(
            pytest.param(Request("GET", f"/a{c}b", [HOST]), id=f"target-{c!r}")
            for c in [*CONTROLS, "\t", " ", "\x80", "\xe9", "\u0100"]
        ),
        *(
            pytest.param(Request("GET", "/", [HOST, (f"A{c}B", "")]), id=f"name-{c!r}")
            for c in [*CONTROLS, "\t", " ", "\x80", "\u0100", "(", '"', "/", "@"]
        ),
        *(
            pytest.param(Request(method, "/", [HOST]), id=f"method-{method!r}")
            for method in ("", "G ET", "GET\r\n", "GET\x00", "G\tET", "\xe9", '"')
        ),
        pytest.param(Request("GET", "/", [HOST, ("A", "b\r\n c")]), id="obs-fold"),
        pytest.param(Request("GET", "/", [HOST, ("A", "b\r\nX: y")]), id="a-whole-field"),
        pytest.param(Request("GET", "/", [HOST, ("A", "b\r\n")]), id="line-break-at-the-end"),
        pytest.param(Request("GET", "/", [HOST, ("A", "\r\n\r\nGET / HTTP/1.1")]), id="head"),
        pytest.param(Request("GET", "/", [HOST, ("A", "\u0100")]), id="no-byte"),
        pytest.param(Request("GET", "/", [HOST, ("", "b")]), id="empty-name"),
        pytest.param(Request("GET", "/", [HOST, (" A", "b")]), id="name-that-would-fold"),
        pytest.param(Request("GET", "/", [HOST, ("A\r\nX", "b")]), id="field-in-a-name"),
        pytest.param(Request("GET", "", [HOST]), id="empty-target"),
        pytest.param(Request("GET", "/ HTTP/1.1\r\nX: y\r\n", [HOST]), id="head-in-target"),
        pytest.param(Request("GET", "/ HTTP/1.0", [HOST]), id="version-in-target"),
        pytest.param(Request("GET", "/", []), id="no-Host-at-all"),
    ],
)
def test_request_head_refuses(request_: Request) -> None:
    with pytest.raises(BadRequest):
        head_of(request_)


@pytest.mark.parametrize(
    ("request_", "limits"),
    [
        pytest.param(Request("GET", "/" + "a" * 100, [HOST]), {"line": 50}, id="target"),
        pytest.param(Request("GET", "/", [HOST, ("A", "b" * 100)]), {"line": 50}, id="line"),
        pytest.param(Request("GET", "/", [HOST] * 11), {"fields": 10}, id="fields"),
        pytest.param(
            Request("GET", "/", [HOST] * 11), {"fields": 10, "line": 20}, id="fields-long-head"
        ),
        pytest.param(
            Request("GET", "/", [HOST] * 10, 1), {"fields": 10}, id="framing-is-a-field-too"
        ),
        pytest.param(Request("GET", "/", [HOST] * 50), {"head": 200, "line": 20}, id="head"),
        pytest.param(Request("GET", "/" + "a" * 200, [HOST]), {"head": 100}, id="head-below-line"),
    ],
)
def test_request_head_has_limits(request_: Request, limits: dict[str, int]) -> None:
    with pytest.raises(HeadTooLarge):
        head_of(request_, **limits)


def test_a_long_head_within_the_limits_passes() -> None:
    """64 KiB, 200 fields, 8 KiB a line."""
    head = head_of(Request("GET", "/" + "a" * 8000, [HOST, *[("A", "b" * 1000)] * 50]))
    assert len(head) > 58_000
    assert Limits() == (65536, 200, 8192, 16)


fragments = st.text(max_size=6) | st.text("\r\n\t :a/\x00\xe9", max_size=6)


@given(fragments, fragments, st.lists(st.tuples(fragments, fragments), max_size=3))
def test_a_request_head_is_one_head_or_refused(method, target, fields) -> None:
    """Whatever is in a request, its head is one that h11 and llhttp find once, or a BadRequest."""
    with contextlib.suppress(BadRequest):
        head = head_of(Request("M" + method, "/" + target, [HOST, *fields]))
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == len(fields) + 3
        found = h11_requests(head)
        assert [(one.method, one.target) for one in found] == [("M" + method, "/" + target)]
        assert len(found[0].headers) == len(fields) + 1
        known = b"GET" + head[len(method) + 1 :]
        assert [one.target for one in llhttp_requests(known)] == ["/" + target]


def test_chunks() -> None:
    """No extensions, no trailers."""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert LAST_CHUNK == b"0\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
def test_chunks_decode_to_what_they_were_made_of(blocks: list[bytes]) -> None:
    """A chunked body is what its blocks are together, and nothing is left over."""
    raw = head_of(Request("POST", "/", [HOST], None, True))
    raw += b"".join(map(chunk, blocks)) + LAST_CHUNK
    for judge in (h11_requests, llhttp_requests):
        assert [one.body for one in judge(raw)] == [b"".join(blocks)]


# Responses


class Outcome(NamedTuple):
    """What a Reader has made of a response."""

    head: ResponseHead | None
    body: bytes
    complete: bool
    reusable: bool
    interims: list[ResponseHead]


def outcome(*pieces: bytes, method: str = "GET", end: bool = False, **limits: int) -> Outcome:
    """Feed *pieces* to a Reader, and the end of the connection if *end*."""
    reader = ResponseReader(method, Limits(**limits))
    body = b"".join([reader.feed(piece) for piece in pieces])
    if end:
        reader.end()
    return Outcome(reader.head, body, reader.complete, reader.reusable, reader.interims)


OK = b"HTTP/1.1 200 OK\r\n"
COUNTED = OK + b"Content-Length: 2\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TWO = b"2\r\nab\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", (200, "OK", []), id="plain"),
        pytest.param(b"HTTP/1.1 200 \r\n\r\n", (200, "", []), id="empty-reason"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", (200, "", []), id="no-reason-nor-space"),
        pytest.param(b"HTTP/1.1 418 I'm a\r\n\r\n", (418, "I'm a", []), id="own-reason"),
        pytest.param(b"HTTP/1.1 299 caf\xe9\r\n\r\n", (299, "caf\xe9", []), id="latin-1"),
        pytest.param(b"HTTP/1.1 599 O\tK\r\n\r\n", (599, "O K", []), id="tab-in-reason"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", (200, "OK", []), id="HTTP/1.0"),
        pytest.param(
            OK + b"A: 1\r\nB:2\r\na:  3 \r\nC:\r\nD: \r\n\r\n",
            (200, "OK", [("A", "1"), ("B", "2"), ("a", "3"), ("C", ""), ("D", "")]),
            id="order-case-and-empty-values",
        ),
        pytest.param(
            OK + b"Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2; c=:\r\n\r\n",
            (200, "OK", [("Set-Cookie", "a=1"), ("X", "y"), ("Set-Cookie", "b=2; c=:")]),
            id="set-cookie",
        ),
        pytest.param(
            OK + b"A:\tb \t c\t\r\nB: \xe9\xff\r\n\r\n",
            (200, "OK", [("A", "b   c"), ("B", "\xe9\xff")]),
            id="tabs-and-high-bytes",
        ),
    ],
)
def test_head(raw: bytes, head: tuple[int, str, Headers]) -> None:
    assert outcome(raw).head == head


@together
@pytest.mark.parametrize(
    "raw",
    [
        # threats.md 1.3, row by row, and http-behaviour.md appendix B1
        pytest.param(OK + b"X-A: a\rSet-Cookie: evil=1\r\n\r\n", id="bare-CR"),
        pytest.param(OK + b"A: b\r\n c\r\n\r\n", id="obs-fold"),
        pytest.param(OK + b"A: b\r\n\tc\r\nB: d\r\n\r\n", id="obs-fold-tab"),
        pytest.param(OK + b"A:\r\n b\r\n\r\n", id="obs-fold-of-an-empty-value"),
        pytest.param(OK + b" A: b\r\n\r\n", id="obs-fold-of-the-status-line"),
        pytest.param(OK + b"A: b\x00c\r\n\r\n", id="NUL-in-a-value"),
        pytest.param(OK + b"A: b\x7fc\r\n\r\n", id="DEL-in-a-value"),
        pytest.param(OK + b"A: b\x1fc\r\n\r\n", id="control-in-a-value"),
        pytest.param(b"HTTP/1.1 200 O\rK\r\n\r\n", id="CR-in-the-reason"),
        pytest.param(b"HTTP/1.1 200 O\x00K\r\n\r\n", id="NUL-in-the-reason"),
        pytest.param(b"HTTP/1.1 200 O\x7fK\r\n\r\n", id="DEL-in-the-reason"),
        *(
            pytest.param(OK + b"Content-Length: %b\r\n\r\n" % length, id=f"length-{length!r}")
            for length in (b"+2", b"-1", b"1_0", b"0x2", b"2 2", b"2.0", b"", b" ", b"a", b"2,4")
        ),
        pytest.param(OK + b"Content-Length: %d\r\n\r\n" % 10**30, id="length-endless"),
        pytest.param(OK + b"Content-Length: %d\r\n\r\n" % 10**18, id="a-length-of-19-digits"),
        pytest.param(OK + b"Content-Length: %019d\r\n\r\nx" % 1, id="a-length-with-18-zeros"),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\n", id="two-lengths"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", id="TE-and-CL"
        ),
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", id="CL-and-TE"
        ),
        *(
            pytest.param(OK + b"Transfer-Encoding: %b\r\n\r\n" % te, id=f"coding-{te!r}")
            for te in (
                b"gzip, chunked",
                b"gzip",
                b"identity",
                b"chunked, gzip",
                b"chunked, chunked",
                b"xchunked",
                b"\x0bchunked",
                b"chunked;a=b",
                b"",
            )
        ),
        pytest.param(
            OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="two-codings",
        ),
        pytest.param(OK + b"X A: 1\r\n\r\n", id="space-in-a-name"),
        pytest.param(OK + b"Content-Length : 0\r\n\r\n", id="space-before-the-colon"),
        pytest.param(OK + b"Transfer-Encoding\t: chunked\r\n\r\n", id="tab-before-the-colon"),
        pytest.param(OK + b"CONNECTION \t : close\r\n\r\n", id="blanks-behind-Connection"),
        pytest.param(OK + b"A : 1\r\nX Y : 2\r\n\r\n", id="a-blank-mended-and-another-not"),
        pytest.param(OK + b"A : 1\r\nno colon\r\n\r\n", id="a-blank-mended-and-no-colon"),
        pytest.param(OK + b" A : 1\r\n\r\n", id="obs-fold-with-a-blank"),
        pytest.param(OK + b"A: b\r\nno colon\r\nC: d\r\n\r\n", id="no-colon"),
        pytest.param(OK + b": b\r\n\r\n", id="no-name"),
        pytest.param(OK + b"caf\xe9: b\r\n\r\n", id="latin-1-in-a-name"),
        pytest.param(OK + b"A: b\nC: d\r\n\r\n", id="bare-LF"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\r\n\r\n", id="bare-LF-in-the-status-line"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\n\nbody\r\n\r\n", id="bare-LF-everywhere"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="TE-in-1.0"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="101"),
        pytest.param(
            b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="101-upgrade"
        ),
        *(
            pytest.param(line + b"\r\n\r\n", id=f"{line!r}")
            for line in (
                b"<html>",
                b"HTTP/0.9 200 OK",
                b"HTTP/1.2 200 OK",
                b"HTTP/2 200 OK",
                b"HTTP/11 200 OK",
                b"http/1.1 200 OK",
                b"ICY 200 OK",
                b"\r\nHTTP/1.1 200 OK",
                b" HTTP/1.1 200 OK",
                b"HTTP/1.1 099 low",
                b"HTTP/1.1 20 short",
                b"HTTP/1.1 2000 long",
                b"HTTP/1.1 200OK",
                b"HTTP/1.1 +20 OK",
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1\t200 OK",
                b"HTTP/1.1 two OK",
                b"HTTP/1.1 ",
            )
        ),
    ],
)
def test_bad_head(raw: bytes) -> None:
    """Whatever follows the head, and however it was cut."""
    for pieces in ([raw], [raw + b"ab\r\n\r\n"], [raw[i : i + 1] for i in range(len(raw))]):
        with pytest.raises(BadResponse):
            outcome(*pieces)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"X-Frame-Options : DENY", ("X-Frame-Options", "DENY")),
        (b"X-Frame-Options \t : DENY", ("X-Frame-Options", "DENY")),
        (b"A :", ("A", "")),
        (b"A : b : c", ("A", "b : c")),
    ],
)
def test_a_blank_before_the_colon_is_removed(line: bytes, field: tuple[str, str]) -> None:
    """RFC 9112, 5.1: by a proxy, from a response."""
    raw = OK + b"B: 1\r\n" + line + b"\r\nC : 2\r\nContent-Length: 2\r\n\r\nab"
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        reader = ResponseReader("GET", Limits())
        body = b"".join(map(reader.feed, pieces))
        assert (body, reader.complete, reader.reusable) == (b"ab", True, True)
        assert reader.head is not None
        assert reader.head.headers == [("B", "1"), field, ("C", "2"), ("Content-Length", "2")]


@pytest.mark.parametrize("status", [600, 799, 999])
def test_a_status_above_599_is_one(status: int) -> None:
    reader = ResponseReader("GET", Limits())
    reader.feed(b"HTTP/1.1 %d Request denied\r\nContent-Length: 0\r\n\r\n" % status)
    assert reader.head is not None
    assert reader.head[:2] == (status, "Request denied")
    assert reader.complete


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\r\nA: b\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 200 OK\rA",
        b"HTTP/1.1 200 OK\r\nA: b\r\r",
    ],
)
def test_a_line_that_ends_in_half_a_line_end_is_refused_at_once(raw: bytes) -> None:
    """Its end will never come, and a thread would wait for it."""
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        reader = ResponseReader("GET", Limits())
        with pytest.raises(BadResponse, match="LF"):
            for piece in pieces:
                reader.feed(piece)


@pytest.mark.parametrize("start", [b"<", b"\r", b"HTTP/2", b"HTTP/1x", b"SSH-2.0-x\r\n"])
def test_junk_is_refused_at_once(start: bytes) -> None:
    """Nobody waits for the rest of what cannot become an answer."""
    with pytest.raises(BadResponse):
        outcome(start)


@pytest.mark.parametrize(
    ("raw", "limits"),
    [
        pytest.param(OK + b"A: " + b"b" * 100, {"head": 50}, id="endless-line"),
        pytest.param(OK + b"A: b\r\n" * 100, {"head": 50}, id="endless-fields"),
        pytest.param(OK + b"A: b\r\n" * 100 + b"\r\n", {"head": 50}, id="whole-head"),
        pytest.param(OK + b"A: b\r\n" * 6 + b"\r\n", {"fields": 5}, id="fields-short-head"),
        pytest.param(
            OK + b"A: b\r\n" * 6 + b"\r\n", {"fields": 5, "line": 10}, id="fields-long-head"
        ),
        pytest.param(OK + b"A: " + b"b" * 60 + b"\r\n\r\n", {"line": 50}, id="line"),
        pytest.param(OK + b"\r\n", {"head": 10}, id="no-fields-at-all"),
    ],
)
def test_head_limits(raw: bytes, limits: dict[str, int]) -> None:
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        with pytest.raises(BadResponse):
            outcome(*pieces, **limits)


def test_heads_within_the_limits_pass() -> None:
    raw = OK + b"A: b\r\n" * 5 + b"\r\n"
    assert outcome(raw, fields=5, line=20, head=len(raw)).head is not None
    assert outcome(OK + b"\r\n", line=1).head is not None


@together
@pytest.mark.parametrize(
    ("raw", "method", "expected"),
    [
        pytest.param(COUNTED + b"ab", "GET", (b"ab", True, True), id="length"),
        pytest.param(COUNTED + b"a", "GET", (b"a", False, True), id="length-not-yet"),
        pytest.param(COUNTED + b"abc", "GET", (b"ab", True, False), id="length-surplus"),
        pytest.param(COUNTED + b"ab" + NEXT, "GET", (b"ab", True, False), id="next"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n", "GET", (b"", True, True), id="length-0"),
        pytest.param(
            OK + b"Content-Length: 0\r\n\r\nx", "GET", (b"", True, False), id="length-0-surplus"
        ),
        pytest.param(OK + b"\r\nab", "GET", (b"ab", False, True), id="until-the-end"),
        pytest.param(CHUNKED + TWO + LAST_CHUNK, "GET", (b"ab", True, True), id="chunked"),
        pytest.param(CHUNKED + TWO, "GET", (b"ab", False, True), id="chunked-not-yet"),
        pytest.param(CHUNKED + LAST_CHUNK, "GET", (b"", True, True), id="chunked-empty"),
        pytest.param(
            CHUNKED + TWO + LAST_CHUNK + b"x", "GET", (b"ab", True, False), id="chunked-surplus"
        ),
        pytest.param(
            CHUNKED + TWO + LAST_CHUNK + NEXT,
            "GET",
            (b"ab", True, False),
            id="chunked-next-response-is-not-our-body",
        ),
        *(
            pytest.param(
                CHUNKED + TWO + LAST_CHUNK + surplus,
                "GET",
                (b"ab", True, False),
                id=f"chunked-surplus-{surplus!r}",
            )
            for surplus in (b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\x00", b"0\r\n\r\n", b"H")
        ),
        pytest.param(
            CHUNKED + b"2;a=b\r\nab\r\n0;c\r\nX: y\r\nZ: w\r\n\r\n",
            "GET",
            (b"ab", True, True),
            id="extensions-and-trailers",
        ),
        pytest.param(
            CHUNKED + b"A\r\n0123456789\r\n00\r\n\r\n",
            "GET",
            (b"0123456789", True, True),
            id="chunk-size-in-upper-case-and-zeros",
        ),
        pytest.param(OK.replace(b"200", b"204") + b"\r\n", "GET", (b"", True, True), id="204"),
        pytest.param(
            OK.replace(b"200", b"304") + b"Content-Length: 9\r\n\r\n",
            "GET",
            (b"", True, True),
            id="304-with-length",
        ),
        pytest.param(
            OK.replace(b"200", b"304") + b"Transfer-Encoding: chunked\r\n\r\n",
            "GET",
            (b"", True, True),
            id="304-with-coding",
        ),
        pytest.param(COUNTED, "HEAD", (b"", True, True), id="HEAD-with-length"),
        pytest.param(CHUNKED, "HEAD", (b"", True, True), id="HEAD-with-coding"),
        pytest.param(COUNTED + b"ab", "HEAD", (b"", True, False), id="HEAD-with-a-body"),
        pytest.param(CHUNKED + TWO, "HEAD", (b"", True, False), id="HEAD-with-chunks"),
        pytest.param(
            OK.replace(b"200", b"204") + b"Content-Length: 2\r\n\r\nab",
            "GET",
            (b"", True, False),
            id="204-with-a-body",
        ),
        pytest.param(
            OK.replace(b"200", b"304") + b"Content-Length: 2\r\n\r\nab",
            "GET",
            (b"", True, False),
            id="304-with-a-body",
        ),
    ],
)
def test_body(raw: bytes, method: str, expected: tuple[bytes, bool, bool]) -> None:
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        found = outcome(*pieces, method=method)
        assert (found.body, found.complete, found.reusable) == expected


@pytest.mark.parametrize("cut", range(1, 9))
def test_surplus_after_chunks_however_it_is_cut(cut: int) -> None:
    """An empty line after the last chunk is somebody's mistake, in any two pieces."""
    tail = LAST_CHUNK + b"\r\n"
    found = outcome(CHUNKED + TWO, tail[:cut], tail[cut:] or b"\r\n")
    assert (found.body, found.complete, found.reusable) == (b"ab", True, False)


@together
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"0x2\r\nab\r\n0\r\n\r\n", id="prefix"),
        pytest.param(b"+2\r\nab\r\n0\r\n\r\n", id="sign"),
        pytest.param(b"0_2\r\nab\r\n0\r\n\r\n", id="underscore"),
        pytest.param(b"-1\r\n", id="negative"),
        pytest.param(b" 2\r\nab\r\n0\r\n\r\n", id="space-before-the-size"),
        pytest.param(b"2 2\r\nab\r\n0\r\n\r\n", id="space-inside-of-the-size"),
        pytest.param(b"2 x\r\nab\r\n0\r\n\r\n", id="no-extension-behind-a-space"),
        pytest.param(b"2\x0b\r\nab\r\n0\r\n\r\n", id="another-blank-behind-the-size"),
        pytest.param(b"2 \n", id="bare-LF-behind-a-space"),
        pytest.param(b"2\r\nab\r\n0\r\nTransfer-Encoding:x\r\n\r\n", id="coding-in-a-trailer"),
        pytest.param(b"\r\n2\r\nab\r\n0\r\n\r\n", id="no-size"),
        pytest.param(b"g\r\n", id="no-hex"),
        pytest.param(b"fffffffffffffffff\r\n", id="size-endless"),
        pytest.param(b"2\r\nabXX0\r\n\r\n", id="no-line-end-behind-a-chunk"),
        pytest.param(b"2\r\nab\n0\r\n\r\n", id="bare-LF-behind-a-chunk"),
        pytest.param(b"2\r\nabc\r\n0\r\n\r\n", id="chunk-longer-than-its-size"),
        pytest.param(b"2\nab\r\n0\r\n\r\n", id="bare-LF-behind-the-size"),
        pytest.param(b"2;\na\r\nab\r\n0\r\n\r\n", id="bare-LF-in-an-extension"),
        pytest.param(b"2;a=\x00\r\nab\r\n0\r\n\r\n", id="NUL-in-an-extension"),
        pytest.param(b"0\r\nbad trailer\r\n\r\n", id="trailer-without-colon"),
        pytest.param(b"0\r\nA: b\nC: d\r\n\r\n", id="bare-LF-in-a-trailer"),
        pytest.param(b"0\r\nContent-Length: 5\r\n\r\n", id="length-in-a-trailer"),
    ],
)
def test_bad_chunks(body: bytes) -> None:
    """Whatever came before."""
    for before in (b"", TWO):
        for pieces in ([before + body], [bytes([byte]) for byte in before + body]):
            with pytest.raises(BadResponse):
                outcome(CHUNKED, *pieces)


@pytest.mark.parametrize(
    ("size", "reusable"),
    [
        pytest.param(b"2 ;x", True, id="blank-before-an-extension"),
        pytest.param(b'2 \t ; x = "a;b"', True, id="blanks-before-an-extension"),
        pytest.param(b"2   ", False, id="blanks-behind-the-size"),
        pytest.param(b"2\t", False, id="a-tab-behind-the-size"),
        pytest.param(b"00000002  ", False, id="filled-up-on-both-sides"),
    ],
)
def test_blanks_behind_a_size_are_passed_over(size: bytes, reusable: bool) -> None:
    """The first are in the grammar (RFC 9112, 7.1.1), the others in use."""
    raw = CHUNKED + size + b"\r\nab\r\n" + LAST_CHUNK
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        found = outcome(*pieces)
        assert (found.body, found.complete, found.reusable) == (b"ab", True, reusable)


def test_a_last_chunk_with_blanks_is_the_last() -> None:
    found = outcome(CHUNKED + TWO + b"0   \r\n\r\n")
    assert (found.body, found.complete, found.reusable) == (b"ab", True, False)


@pytest.mark.parametrize("begun", [b"x", b"2x", b"2\r\nab\r\n;", b"2\r\nabc", b"2 ;\x00"])
def test_junk_among_chunks_is_refused_at_once(begun: bytes) -> None:
    with pytest.raises(BadResponse):
        outcome(CHUNKED + begun)


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"2;" + b"a" * 200, id="extension"),
        pytest.param(b"0\r\n" + b"A: b\r\n" * 40, id="trailers"),
        pytest.param(b"0\r\nA: " + b"b" * 200, id="trailer"),
        pytest.param(b"0" * 200, id="zeros-of-a-size"),
    ],
)
def test_overhead_of_chunks_is_limited(endless: bytes) -> None:
    with pytest.raises(BadResponse):
        outcome(CHUNKED, TWO, *[bytes([byte]) for byte in endless], head=150)


def test_overhead_is_counted_between_two_pieces_of_content() -> None:
    small = b"1;" + b"a" * 60 + b"\r\n"
    found = outcome(CHUNKED, *[part for _ in range(9) for part in (small, b"x\r\n")], head=150)
    assert found.body == b"x" * 9


@pytest.mark.parametrize(
    ("pieces", "method", "error"),
    [
        pytest.param([], "GET", UpstreamLost, id="nothing"),
        pytest.param([b"HTTP/1.1 20"], "GET", UpstreamLost, id="in-the-status-line"),
        pytest.param([OK + b"A: b\r\n"], "GET", UpstreamLost, id="in-the-head"),
        pytest.param([b"HTTP/1.1 100 C\r\n\r\n"], "GET", UpstreamLost, id="after-an-interim"),
        pytest.param([COUNTED], "GET", UpstreamLost, id="before-the-body"),
        pytest.param([COUNTED, b"a"], "GET", UpstreamLost, id="in-the-body"),
        pytest.param([CHUNKED], "GET", UpstreamLost, id="before-the-chunks"),
        pytest.param([CHUNKED + b"5\r\nab"], "GET", UpstreamLost, id="in-a-chunk"),
        pytest.param([CHUNKED + TWO], "GET", UpstreamLost, id="no-last-chunk"),
        pytest.param([CHUNKED + TWO + b"0\r\n"], "GET", UpstreamLost, id="in-the-last-chunk"),
        pytest.param([COUNTED, b"ab"], "GET", None, id="complete"),
        pytest.param([CHUNKED + TWO + LAST_CHUNK], "GET", None, id="complete-chunks"),
        pytest.param([OK + b"\r\n", b"ab"], "GET", None, id="until-the-end"),
        pytest.param([OK + b"\r\n"], "GET", None, id="until-the-end-empty"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\nab"], "GET", None, id="HTTP/1.0"),
        pytest.param([COUNTED], "HEAD", None, id="HEAD"),
    ],
)
def test_end(pieces: list[bytes], method: str, error: type[Exception] | None) -> None:
    with pytest.raises(error) if error else contextlib.nullcontext():
        found = outcome(*pieces, method=method, end=True)
        assert (found.complete, found.reusable) == (True, False)


@pytest.mark.parametrize(
    ("version", "connection", "reusable"),
    [
        pytest.param("1.1", [], True, id="1.1"),
        pytest.param("1.1", ["close"], False, id="close"),
        pytest.param("1.1", ["Close"], False, id="close-in-any-case"),
        pytest.param("1.1", ["x, close"], False, id="close-in-a-list"),
        pytest.param("1.1", ["keep-alive", "close"], False, id="close-in-a-second-line"),
        pytest.param("1.1", ["keep-alive, close"], False, id="both"),
        pytest.param("1.1", ["keep-alive"], True, id="keep-alive"),
        pytest.param("1.1", ["closed"], True, id="begins-like-it"),
        pytest.param("1.0", [], False, id="1.0"),
        pytest.param("1.0", ["keep-alive"], True, id="keep-alive"),
        pytest.param("1.0", ["Keep-Alive"], True, id="keep-alive-in-any-case"),
        pytest.param("1.0", ["x"], False, id="something-else"),
        pytest.param("1.0", ["close, keep-alive"], False, id="both"),
    ],
)
def test_reuse(version: str, connection: list[str], reusable: bool) -> None:
    """Only without doubt."""
    lines = "".join(f"Connection: {value}\r\n" for value in connection)
    raw = f"HTTP/{version} 200 OK\r\n{lines}Content-Length: 2\r\n\r\nab".encode()
    assert outcome(raw).reusable is reusable


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HINTS + CONTINUE + COUNTED + b"ab"], id="at-once"),
        pytest.param([HINTS, CONTINUE, COUNTED, b"ab"], id="each-for-itself"),
        pytest.param([HINTS + CONTINUE, COUNTED + b"ab"], id="interims-first"),
        pytest.param([HINTS[:9], HINTS[9:] + CONTINUE[:5], CONTINUE[5:] + COUNTED, b"ab"], id="D1"),
    ],
)
def test_interims(pieces: list[bytes]) -> None:
    found = outcome(*pieces)
    assert [head.status for head in found.interims] == [103, 100]
    assert found.interims[0].headers == [("Link", "</a>")]
    assert found.head == (200, "OK", [("Content-Length", "2")])
    assert (found.body, found.complete, found.reusable) == (b"ab", True, True)


def test_interim_has_no_body_whatever_it_says() -> None:
    """D2."""
    raw = b"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n" + COUNTED + b"ab"
    assert outcome(raw).body == b"ab"


def test_interims_are_limited() -> None:
    """E17, O2."""
    assert len(outcome(CONTINUE * 16 + COUNTED).interims) == 16
    for pieces in ([CONTINUE * 17], [CONTINUE] * 17):
        with pytest.raises(BadResponse):
            outcome(*pieces)


def test_bytes_after_the_end_are_never_given() -> None:
    """D10, E16."""
    reader = ResponseReader("GET", Limits())
    assert reader.feed(COUNTED + b"ab") == b"ab"
    assert reader.reusable
    assert reader.feed(NEXT) == b""
    assert (reader.complete, reader.reusable) == (True, False)
    assert reader.head is not None
    assert reader.head.headers == [("Content-Length", "2")]


def test_a_head_stays_whole_when_no_body_has_come_yet() -> None:
    """The head is there as soon as it has arrived."""
    reader = ResponseReader("GET", Limits())
    assert reader.feed(COUNTED) == b""
    assert reader.head is not None
    assert not reader.complete


# Any bytes

_NAMES = ["Content-Type", "Set-Cookie", "X-A", "Connection", "Upgrade", "Trailer", "Keep-Alive"]
_NAMES += ["Location", "Alt-Svc", "Proxy-Authenticate", "Date"]
_VALUES = ["", "a", "close", "X-A, Set-Cookie", "a\tb", " a ", "\xe9", "h2c", "keep-alive"]
_BYTES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x00", b"\t", b" ", b":", b",", b";", b"+", b"-"]
_BYTES += [b"_", b"0", b"0x", b"1", b"\x7f", b"\x85", b"a", b"HTTP/1.1 200 OK\r\n", CONTINUE]
_BYTES += [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", NEXT]


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A valid response of any framing."""
    status = draw(st.sampled_from([200, 200, 200, 204, 206, 301, 304, 404, 500, 599]))
    version = draw(st.sampled_from(["1.1", "1.1", "1.0"]))
    reason = draw(st.sampled_from(["OK", "", "Not Found", "caf\xe9"]))
    fields = draw(
        st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=4)
    )
    blocks = draw(st.lists(st.binary(min_size=1, max_size=9), max_size=3))
    body = b"".join(blocks)
    framing = draw(st.sampled_from(["length", "chunked", "until the end"]))
    if framing == "length":
        fields.append(("Content-Length", str(len(body))))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", "chunked"))
        body = b"".join(map(chunk, blocks)) + draw(
            st.sampled_from([LAST_CHUNK, b"0;x\r\n\r\n", b"0\r\nA: b\r\n\r\n"])
        )
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return draw(st.sampled_from([b"", b"", CONTINUE, HINTS])) + head + body


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A response with up to three bytes or pieces changed, added or taken away."""
    raw = draw(responses())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        piece = draw(st.sampled_from(_BYTES) | st.binary(max_size=2))
        raw = raw[:at] + piece + raw[at + draw(st.integers(0, 2)) :]
    return raw


answers = mutated() | responses() | st.binary(max_size=60)
surpluses = st.sampled_from([b"", b"", b"\r\n", b"\n", b"x", LAST_CHUNK, NEXT, NEXT])
methods = st.sampled_from(["GET", "GET", "HEAD", "POST"])


def ended(pieces: list[bytes], method: str) -> Outcome | None:
    """What becomes of *pieces* and the end of the connection; None for a 502."""
    try:
        return outcome(*pieces, method=method, end=True)
    except (BadResponse, UpstreamLost):
        return None


@given(answers, surpluses, methods)
def test_any_answer_is_legal_for_wsgi_or_none(raw: bytes, surplus: bytes, method: str) -> None:
    """Promise 2: whatever an upstream answers, it is an error or a head that WSGI allows."""
    found = ended([raw + surplus], method)
    if found is None:
        return
    assert found.head is not None
    head, has_body = client_response(Request(method, "/", []), found.head, ExactPolicy(), None)
    assert 200 <= head.status <= 599
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate.check_status(f"{head.status} {head.reason}")
    assert not re.search(r"[\x00-\x1f\x7f]", head.reason)
    for name, value in head.headers:
        assert is_token(name)
        assert not is_hop_by_hop(name)
        assert not re.search(r"[\x00-\x1f\x7f]", value)
        assert value == value.strip(" ")
    assert has_body or not found.body


@given(answers, surpluses, methods)
def test_the_body_is_what_h11_finds(raw: bytes, surplus: bytes, method: str) -> None:
    """Promise 2: where h11 finds a complete response and we find one, it is the same."""
    judged = h11_response(raw + surplus, method)
    found = ended([raw + surplus], method)
    if judged.complete and found is not None:
        assert found.head is not None
        assert (found.head.status, found.body) == (judged.status, judged.body)
        assert [head.status for head in found.interims] == judged.interim


@given(responses(), surpluses, methods)
def test_a_valid_answer_is_complete(raw: bytes, surplus: bytes, method: str) -> None:
    """What h11 finds complete in an unharmed response, we find too, whatever follows it."""
    judged = h11_response(raw + surplus, method)
    found = ended([raw + surplus], method)
    chunked_1_0 = b"HTTP/1.0" in raw and b"chunked" in raw
    if judged.complete and not chunked_1_0:
        assert found is not None
        assert found.body == judged.body


@given(answers, surpluses, methods, st.lists(st.integers(0, 90), max_size=6))
def test_pieces_do_not_matter(raw: bytes, surplus: bytes, method: str, cuts: list[int]) -> None:
    """However the bytes of an answer are cut, what becomes of it is the same."""
    raw += surplus
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    pieces = [raw[a:b] for a, b in zip(places, places[1:], strict=False) if a < b]
    assert ended(pieces, method) == ended([raw], method)
    single = [bytes([byte]) for byte in raw]
    assert ended(single, method) == ended([raw], method)


@given(responses(), surpluses, methods, st.integers(0, 90))
def test_reuse_does_not_depend_on_pieces(raw: bytes, surplus: bytes, method: str, cut: int) -> None:
    """Whether a connection serves again does not depend on the pieces, and never with surplus."""
    whole, cut = raw + surplus, min(cut, len(raw) + len(surplus))
    try:
        at_once = outcome(whole, method=method)
    except BadResponse:
        return
    pieces = [piece for piece in (whole[:cut], whole[cut:]) if piece]
    assert outcome(*pieces, method=method) == at_once
    if surplus and outcome(raw, method=method).complete:
        assert not at_once.reusable


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_204_that_announces_a_body_ends_the_connection(field: str) -> None:
    reader = ResponseReader("GET", Limits())
    reader.feed(f"HTTP/1.1 204 No Content\r\n{field}\r\n\r\n".encode())
    assert (reader.complete, reader.reusable) == (True, False)


class _TakesAll:
    """A parser that finds no fault, as older ones of llhttp did with some heads."""

    def __init__(self, protocol: object) -> None:
        self._data = b""

    def feed_data(self, data: bytes) -> None:
        self._data += data

    def get_status_code(self) -> int:
        return int(self._data[9:12])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"A: 1\r\n folded", id="folded"),
        pytest.param(b"no colon", id="no-colon"),
        pytest.param(b": no name", id="no-name"),
        pytest.param(b"A b: 1", id="no-token"),
        pytest.param(b"Content-Length : 2", id="blank-before-the-colon"),
    ],
)
def test_a_head_that_the_parser_would_let_through_is_refused(
    monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(response_reader, "HttpResponseParser", _TakesAll)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    assert ResponseReader("GET", Limits()).feed(head + b"\r\nok") == b"ok"
    with pytest.raises(BadResponse):
        ResponseReader("GET", Limits()).feed(head + line + b"\r\n\r\nok")
