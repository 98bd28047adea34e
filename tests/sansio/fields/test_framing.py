"""Where a body ends, step by step (RFC 9112, 6.3)."""

from __future__ import annotations

import h11
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest, BadResponse, NotSupported
from wsgiproxy.sansio.fields.framing import End, request_framing, response_framing


@pytest.mark.parametrize(
    ("method", "status", "length", "coding", "end"),
    [
        pytest.param("HEAD", 200, 5, None, End.HEAD, id="1-head"),
        pytest.param("HEAD", 200, None, "chunked", End.HEAD, id="1-head-chunked"),
        pytest.param("GET", 204, 5, None, End.HEAD, id="1-204"),
        pytest.param("GET", 304, None, "chunked", End.HEAD, id="1-304"),
        pytest.param("GET", 205, 5, None, End.LENGTH, id="1-not-205"),
        pytest.param("GET", 200, None, "chunked", End.CHUNKS, id="4-chunked"),
        pytest.param("GET", 200, None, "CHUNKED", End.CHUNKS, id="4-in-any-case"),
        pytest.param("GET", 200, 5, None, End.LENGTH, id="6-length"),
        pytest.param("GET", 200, 0, None, End.HEAD, id="6-length-of-none"),
        pytest.param("GET", 200, None, None, End.CLOSE, id="8-all-that-comes"),
    ],
)
def test_a_response(method, status, length, coding, end):
    assert response_framing(method, status, length, coding) is end


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "", "chunked;q"])
def test_a_response_with_another_coding_is_none(coding):
    with pytest.raises(BadResponse):
        response_framing("GET", 200, None, coding)


def test_http_1_0_knows_no_codings():
    with pytest.raises(BadResponse):
        response_framing("GET", 200, None, "chunked", old=True)


@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from([200, 204, 205, 206, 304, 404, 500]),
    st.one_of(st.none(), st.integers(0, 9)),
    st.booleans(),
)
def test_reads_the_same_body(method, status, length, is_chunked):
    assume(not (is_chunked and length is not None))
    end = response_framing(method, status, length, "chunked" if is_chunked else None)
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    field = "Transfer-Encoding: chunked\r\n" if is_chunked else ""
    field += "" if length is None else f"Content-Length: {length}\r\n"
    body = {End.HEAD: b"", End.CHUNKS: b"2\r\nab\r\n0\r\n\r\n", End.CLOSE: b"abc"}
    content = body.get(end, b"x" * (length or 0))
    connection.receive_data(f"HTTP/1.1 {status} x\r\n{field}\r\n".encode() + content)
    connection.receive_data(b"")
    events = iter(connection.next_event, h11.ConnectionClosed())
    found = b""
    for event in events:
        if isinstance(event, h11.EndOfMessage):
            break
        found += bytes(event.data) if isinstance(event, h11.Data) else b""
    assert found == (b"ab" if end is End.CHUNKS else content)


@pytest.mark.parametrize(
    ("method", "version", "lengths", "codings", "found"),
    [
        ("GET", "1.1", [], [], (End.HEAD, 0)),
        ("POST", "1.1", ["0"], [], (End.HEAD, 0)),
        ("POST", "1.1", ["7"], [], (End.LENGTH, 7)),
        ("POST", "1.0", ["7"], [], (End.LENGTH, 7)),
        ("POST", "1.1", [], ["Chunked"], (End.CHUNKS, 0)),
        ("CONNECT", "1.1", ["0"], [], (End.HEAD, 0)),
        ("POST", "1.1", ["7", "7"], [], BadRequest),
        ("POST", "1.1", ["7, 7"], [], BadRequest),
        ("POST", "1.1", ["+7"], [], BadRequest),
        ("POST", "1.1", ["7"], ["chunked"], BadRequest),
        ("POST", "1.0", [], ["chunked"], BadRequest),
        ("CONNECT", "1.1", [], ["chunked"], BadRequest),
        ("CONNECT", "1.1", ["1"], [], BadRequest),
        ("POST", "1.1", [], ["gzip", "chunked"], NotSupported),
        ("POST", "1.1", [], ["chunked", "chunked"], NotSupported),
    ],
)
def test_a_request(method, version, lengths, codings, found):
    if isinstance(found, tuple):
        assert request_framing(method, version, lengths, codings) == found
    else:
        with pytest.raises(found):
            request_framing(method, version, lengths, codings)
