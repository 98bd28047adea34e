"""HTTP/1.1 as a server reads it: bytes in any pieces to one request, or none."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import BadRequest, HeadTooLarge, NotSupported
from wsgiproxy.sansio.h1 import ArrivingHead, Limits, RequestReader
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"
HOST = b"Host: h\r\n"
CONNECT = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /admin HTTP/1.1\r\nHost: h\r\n\r\n"


class Outcome(NamedTuple):
    """What a reader says of a request."""

    head: ArrivingHead | None
    body: bytes
    complete: bool


def read(*pieces: bytes, **limits: int) -> tuple[RequestReader, Outcome]:
    reader = RequestReader(Limits(**limits))
    body = b"".join(map(reader.feed, pieces))
    return reader, Outcome(reader.head, body, reader.complete)


def head_of(raw: bytes, **limits: int) -> ArrivingHead:
    head = read(raw, **limits)[1].head
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        pytest.param(GET + HOST + b"\r\n", ("GET", "/", "1.1", [("Host", "h")]), id="plain"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", ("GET", "/", "1.0", []), id="without-Host"),
        pytest.param(GET + b"Host:\r\n\r\n", ("GET", "/", "1.1", [("Host", "")]), id="empty-Host"),
        pytest.param(
            b'FROB /%2f/../?a?b&|^"<>[] HTTP/1.1\r\nhOST: [::1]:80\r\n\r\n',
            ("FROB", '/%2f/../?a?b&|^"<>[]', "1.1", [("hOST", "[::1]:80")]),
            id="unregistered-method-target-and-names-as-they-came",
        ),
        pytest.param(
            GET + HOST + b"A:\t b\t c \t\r\nA:\r\nB_c: \xe9:d\r\n\r\n",
            ("GET", "/", "1.1", [("Host", "h"), ("A", "b\t c"), ("A", ""), ("B_c", "\xe9:d")]),
            id="values-without-the-blanks-around-them",
        ),
        pytest.param(
            b"GET http://o.example:81/x?y HTTP/1.1\r\nHost: h\r\n\r\n",
            ("GET", "http://o.example:81/x?y", "1.1", [("Host", "h")]),
            id="absolute-form",
        ),
        pytest.param(
            b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            ("OPTIONS", "*", "1.1", [("Host", "h")]),
            id="asterisk-form",
        ),
        pytest.param(
            CONNECT + b"\r\n",
            ("CONNECT", "h:443", "1.1", [("Host", "h:443")]),
            id="authority-form",
        ),
    ],
)
def test_head(raw: bytes, head: tuple[str, str, str, list[tuple[str, str]]]) -> None:
    assert head_of(raw) == head


@together
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(GET + HOST + b"A: b\r\n c\r\n\r\n", id="obs-fold"),
        pytest.param(GET + b" " + HOST + b"\r\n", id="blank-before-the-first-field"),
        pytest.param(GET + HOST + b"A: b\rC: d\r\n\r\n", id="bare-CR"),
        pytest.param(GET + HOST + b"A: b\r\r\n\r\n", id="CR-before-CRLF"),
        pytest.param(GET + HOST + b"A: b\nC: d\r\n\r\n", id="bare-LF"),
        pytest.param(b"GET / HTTP/1.1\nHost: h\n\n", id="bare-LF-everywhere"),
        pytest.param(GET + HOST + b"A: b\x00\r\n\r\n", id="NUL"),
        pytest.param(GET + HOST + b"A: b\x0bc\r\n\r\n", id="control"),
        pytest.param(GET + HOST + b"A: b\x7f\r\n\r\n", id="DEL"),
        pytest.param(GET + HOST + b"A : b\r\n\r\n", id="blank-before-the-colon"),
        pytest.param(GET + HOST + b": b\r\n\r\n", id="empty-name"),
        pytest.param(GET + HOST + b"A\xdf: b\r\n\r\n", id="name-not-ASCII"),
        pytest.param(GET + HOST + b"A(b): c\r\n\r\n", id="name-no-token"),
        pytest.param(GET + HOST + b"nothing\r\n\r\n", id="line-without-colon"),
        pytest.param(b"\r\n" + GET + HOST + b"\r\n", id="empty-line-first"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", id="target-not-ASCII"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", id="target-with-a-blank"),
        pytest.param(b"GET /\t HTTP/1.1\r\nHost: h\r\n\r\n", id="target-with-a-tab"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", id="two-blanks"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", id="blank-after-the-version"),
        pytest.param(b"GET HTTP/1.1\r\nHost: h\r\n\r\n", id="no-target"),
        pytest.param(b"GET mailto:x HTTP/1.1\r\nHost: h\r\n\r\n", id="target-of-no-form"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", id="HTTP/1.2"),
        pytest.param(b"GET / HTTP/11\r\nHost: h\r\n\r\n", id="HTTP/11"),
        pytest.param(b"GET / http/1.1\r\nHost: h\r\n\r\n", id="version-in-lower-case"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2-preface"),
        pytest.param(b"GET / RTSP/1.0\r\nHost: h\r\n\r\n", id="another-protocol"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", id="method-no-token"),
        pytest.param(b"A" * 33 + b" / HTTP/1.1\r\nHost: h\r\n\r\n", id="method-of-33"),
        pytest.param(GET + b"\r\n", id="without-Host"),
        pytest.param(GET + HOST + HOST + b"\r\n", id="two-Hosts"),
        pytest.param(GET + b"Host: a, b\r\n\r\n", id="Host-a-list"),
        pytest.param(GET + b"Host: u@h\r\n\r\n", id="Host-with-userinfo"),
        *(
            pytest.param(
                POST + b"Content-Length: %b\r\n\r\nabc" % value, id=f"length-{value.decode()!r}"
            )
            for value in (b"", b"+3", b"-3", b"0x3", b"3 3", b"3,3", b"0_3", b"3a", b"9" * 19)
        ),
        pytest.param(POST + b"Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc", id="two-lengths"),
        pytest.param(
            POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="CL-and-TE",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            id="TE-unknown-and-CL",
        ),
        pytest.param(
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="TE-in-1.0"
        ),
        pytest.param(CONNECT + b"Content-Length: 3\r\n\r\nabc", id="CONNECT-with-a-body"),
        pytest.param(CONNECT + b"Transfer-Encoding: chunked\r\n\r\n", id="CONNECT-in-chunks"),
    ],
)
def test_refused(raw: bytes) -> None:
    for pieces in ([raw], [raw[:-1], raw[-1:]], [bytes([byte]) for byte in raw]):
        with pytest.raises(BadRequest) as caught:
            read(*pieces)
        assert caught.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""])
def test_another_transfer_coding_than_chunked_is_not_supported(coding: str) -> None:
    with pytest.raises(NotSupported):
        read(POST + f"Transfer-Encoding: {coding}\r\n\r\n".encode())


def test_two_transfer_codings_are_not_supported() -> None:
    with pytest.raises(NotSupported):
        read(POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\n", GET + b"A: b\rc"])
def test_what_cannot_become_a_head_is_not_waited_for(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        read(raw)


# Limits


def padded(size: int) -> bytes:
    """A head of that size in short lines."""
    head = GET + HOST
    while size - len(head) - 2 > 200:
        head += b"A: " + b"x" * 95 + b"\r\n"
    return head + b"B: " + b"x" * (size - len(head) - 7) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "limits", "fits"),
    [
        pytest.param(padded(1000), {"head": 1000}, True, id="head-fits"),
        pytest.param(padded(1001), {"head": 1000}, False, id="head-too-large"),
        pytest.param(GET + HOST + b"A: b\r\n" * 2 + b"\r\n", {"fields": 3}, True, id="fields-fit"),
        pytest.param(
            GET + HOST + b"A: b\r\n" * 3 + b"\r\n", {"fields": 3}, False, id="too-many-fields"
        ),
        pytest.param(GET + HOST + b"A: " + b"x" * 47 + b"\r\n\r\n", {"line": 50}, True, id="line"),
        pytest.param(
            GET + HOST + b"A: " + b"x" * 48 + b"\r\n\r\n", {"line": 50}, False, id="line-too-long"
        ),
        pytest.param(
            b"GET /" + b"x" * 36 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {"line": 50}, True, id="first"
        ),
        pytest.param(
            b"GET /" + b"x" * 37 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            {"line": 50},
            False,
            id="first-too-long",
        ),
    ],
)
def test_limits_of_the_head(raw: bytes, limits: dict[str, int], fits: bool) -> None:
    for pieces in ([raw], [raw + b"x" * 2000], [bytes([byte]) for byte in raw]):
        if fits:
            assert read(*pieces, **limits)[1].head is not None
            continue
        with pytest.raises(HeadTooLarge):
            read(*pieces, **limits)


@pytest.mark.parametrize(
    ("raw", "limits"),
    [
        pytest.param(b"x" * 51, {"line": 50}, id="request-line"),
        pytest.param(GET + b"A: b\r\n" * 200, {"head": 1000}, id="head"),
    ],
)
def test_no_end_is_waited_for_beyond_a_limit(raw: bytes, limits: dict[str, int]) -> None:
    with pytest.raises(HeadTooLarge):
        read(raw, **limits)


# The body


@pytest.mark.parametrize(
    ("raw", "body", "complete", "surplus"),
    [
        pytest.param(GET + HOST + b"\r\n", b"", True, b"", id="none"),
        pytest.param(POST + b"\r\nabc", b"", True, b"abc", id="none-announced"),
        pytest.param(POST + b"Content-Length: 0\r\n\r\n", b"", True, b"", id="of-0"),
        pytest.param(POST + b"Content-Length: 3\r\n\r\nabc", b"abc", True, b"", id="counted"),
        pytest.param(
            POST + b"Content-Length: 3\r\n\r\nab", b"ab", False, b"", id="counted-not-yet"
        ),
        pytest.param(
            POST + b"Content-Length: 1\r\n\r\na" + NEXT, b"a", True, NEXT, id="next-request"
        ),
        pytest.param(CHUNKED + chunk(b"ab") + LAST_CHUNK, b"ab", True, b"", id="chunks"),
        pytest.param(CHUNKED + chunk(b"ab"), b"ab", False, b"", id="chunks-not-yet"),
        pytest.param(CHUNKED, b"", False, b"", id="chunks-none-yet"),
        pytest.param(
            CHUNKED + b"1;x=y\r\na\r\n0\r\nHost: evil\r\n\r\n", b"a", True, b"", id="with-trailers"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: CHUNKED \r\n\r\n" + LAST_CHUNK, b"", True, b"", id="upper"
        ),
        pytest.param(CONNECT + b"\r\n\x16\x03", b"", True, b"\x16\x03", id="early-bytes"),
        pytest.param(CONNECT + b"Content-Length: 0\r\n\r\nx", b"", True, b"x", id="CONNECT-of-0"),
    ],
)
def test_body(raw: bytes, body: bytes, complete: bool, surplus: bytes) -> None:
    for pieces in ([raw], [bytes([byte]) for byte in raw]):
        reader, outcome = read(*pieces)
        assert (outcome.body, outcome.complete, reader.surplus) == (body, complete, surplus)


def test_bytes_behind_chunks_are_nobodys_body() -> None:
    reader, outcome = read(CHUNKED + chunk(b"a") + LAST_CHUNK + NEXT)
    assert (outcome.body, outcome.complete) == (b"a", True)
    assert reader.feed(NEXT) == b""


@pytest.mark.parametrize(
    "body",
    [
        b"2\nab\r\n0\r\n\r\n",
        b"2\r\nabX0\r\n\r\n",
        b"+2\r\nab\r\n0\r\n\r\n",
        b"0x2\r\nab\r\n0\r\n\r\n",
        b"0_2\r\nab\r\n0\r\n\r\n",
        b"-1\r\nab\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nab",
        b"0;" + b"x" * 70000,
    ],
)
def test_bad_chunks_are_the_clients_fault(body: bytes) -> None:
    for pieces in ([CHUNKED + body], [CHUNKED, body], [CHUNKED, *(bytes([b]) for b in body)]):
        with pytest.raises(BadRequest):
            read(*pieces)


def test_facts_of_the_body() -> None:
    reader = read(POST + b"Content-Length: 3\r\n\r\n")[0]
    assert (reader.content_length, reader.chunked) == (3, False)
    reader = read(CHUNKED)[0]
    assert (reader.content_length, reader.chunked) == (None, True)
    reader = read(GET + HOST + b"\r\n")[0]
    assert (reader.content_length, reader.chunked) == (None, False)


@pytest.mark.parametrize(
    ("raw", "expects"),
    [
        pytest.param(
            POST + b"Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n", True, id="with-a-body"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", True, id="chunks"
        ),
        pytest.param(POST + b"Expect: 100-continue\r\n\r\n", False, id="without"),
        pytest.param(POST + b"Content-Length: 1\r\n\r\n", False, id="not"),
        pytest.param(POST + b"Content-Length: 1\r\nExpect: x\r\n\r\n", False, id="something-else"),
        pytest.param(
            POST + b"Content-Length: 1\r\nExpect: 100-continue, x\r\n\r\n", False, id="and-more"
        ),
        pytest.param(
            b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
            False,
            id="knows-no-100",
        ),
    ],
)
def test_expectation(raw: bytes, expects: bool) -> None:
    assert read(raw)[0].expects_continue is expects


# Any bytes


class Judged(NamedTuple):
    """What h11 reads, as a server: its first request."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes


def judged(raw: bytes) -> Judged | None:
    """None if it is refused or not complete."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        parser.receive_data(raw)
        head = parser.next_event()
        if not isinstance(head, h11.Request):
            return None
        body = b""
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            body += event.data
    except h11.RemoteProtocolError:
        return None
    texts = [part.decode("latin-1") for part in (head.method, head.target, head.http_version)]
    # The names in lower case, and of some fields the value too.
    fields = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in list(head.headers)
    ]
    return Judged(texts[0], texts[1], texts[2], fields, body)


_FIELDS = [b"A: b", b"Connection: close", b"Upgrade: h2c", b"Cookie: a=b", b"X_A: c", b"A:\t\xe9 "]
_FIELDS += [b"Expect: 100-continue", b"Accept:", b"Host: other", b"Connection: Upgrade"]
_TARGETS = [b"/", b"/a%2Fb?c=d", b"http://h/a", b"http://h", b"*", b"h:443", b"//x", b"/a#b"]
_BYTES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x00", b"\t", b" ", b":", b",", b";", b"+", b"-"]
_BYTES += [b"_", b"0", b"0x", b"1", b"\x7f", b"\x85", b"a", b"HTTP/1.1", b"HTTP/1.0", b"CONNECT "]
_BYTES += [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", LAST_CHUNK, NEXT, HOST]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request of any framing."""
    method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"OPTIONS", b"FROB", b"CONNECT"]))
    target = b"h:443" if method == b"CONNECT" else draw(st.sampled_from(_TARGETS[:5]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    fields = [b"Host: h", *draw(st.lists(st.sampled_from(_FIELDS), max_size=3))]
    blocks = draw(st.lists(st.binary(min_size=1, max_size=9), max_size=3))
    body = b"".join(blocks)
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if method == b"CONNECT":
        body = b""
    elif framing == "length":
        fields.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked" and version == b"1.1":
        fields.append(b"Transfer-Encoding: chunked")
        body = b"".join(map(chunk, blocks)) + draw(
            st.sampled_from([LAST_CHUNK, b"0;x\r\n\r\n", b"0\r\nA: b\r\n\r\n"])
        )
    else:
        body = b""
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), *fields, b"", b""]) + body


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request with up to three bytes or pieces changed, added or taken away."""
    raw = draw(requests())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        piece = draw(st.sampled_from(_BYTES) | st.binary(max_size=2))
        raw = raw[:at] + piece + raw[at + draw(st.integers(0, 2)) :]
    return raw


arrivals = mutated() | requests() | st.binary(max_size=60)
surpluses = st.sampled_from([b"", b"", b"\r\n", b"x", LAST_CHUNK, NEXT])


def outcome_of(pieces: list[bytes]) -> Outcome | None:
    """What becomes of *pieces*; None if they are refused."""
    with contextlib.suppress(BadRequest):
        return read(*pieces)[1]
    return None


def comparable(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (name.lower(), value.lower() if name.lower() == "transfer-encoding" else value)
        for name, value in headers
    ]


@given(arrivals, surpluses)
def test_what_is_accepted_h11_reads_the_same_way(raw: bytes, surplus: bytes) -> None:
    """Whatever is read as a complete request, h11 reads as that request."""
    found = outcome_of([raw + surplus])
    if found is None or not found.complete:
        return
    judgement = judged(raw + surplus)
    assert judgement is not None
    assert found.head is not None
    method, target, version, headers = found.head
    assert judgement[:3] == (method, target, version)
    assert sorted(judgement.headers) == sorted(comparable(headers))
    assert judgement.body == found.body


@given(requests(), surpluses)
def test_a_valid_request_is_accepted(raw: bytes, surplus: bytes) -> None:
    """What h11 finds complete in an unharmed request, we find too, whatever follows it."""
    judgement = judged(raw + surplus)
    if judgement is None:  # two of a field that stands once
        return
    found = outcome_of([raw + surplus])
    assert found is not None
    assert (found.complete, found.body) == (True, judgement.body)


@given(arrivals, surpluses, st.lists(st.integers(0, 120), max_size=6))
def test_pieces_do_not_matter(raw: bytes, surplus: bytes, cuts: list[int]) -> None:
    """However the bytes of a request are cut, what becomes of it is the same."""
    raw += surplus
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    pieces = [raw[a:b] for a, b in zip(places, places[1:], strict=False) if a < b]
    assert outcome_of(pieces) == outcome_of([raw])
    assert outcome_of([bytes([byte]) for byte in raw]) == outcome_of([raw])
