"""The body that a client is given, and the one that it returns."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.proxies.asking import CLIENTS, call, only, served
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import HostProxy
from wsgiproxy.compat import Input, ResponseBody, framed
from wsgiproxy.errors import BadRequest


def test_a_body_is_a_file_that_ends() -> None:
    body = Input([b"one\n", b"", b"two\nthree"], 13)
    assert body.readable() and not body.seekable()
    assert (body.len, body.tell()) == (13, 0)
    assert body.read(2) == b"on"
    assert (body.len, body.tell()) == (11, 2)
    assert list(body) == [b"e\n", b"two\n", b"three"]
    assert (body.read(), body.read(5), body.len) == (b"", b"", 0)


def test_a_body_that_ends_early_says_so_each_time() -> None:
    body = Input([b"abc"], 5)
    assert body.read(9) == b"abc"
    for _ in range(2):
        with pytest.raises(BadRequest, match="2 bytes short"):
            body.read(9)
    assert isinstance(body.error, BadRequest)


def test_the_error_of_a_failed_read_is_kept() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"abc"
        raise BadRequest("the client has left")

    body = Input(blocks(), None)
    with pytest.raises(BadRequest, match="has left"):
        body.read()
    assert "has left" in str(body.error)


@pytest.mark.parametrize(
    ("headers", "expected", "length"),
    [
        pytest.param({}, None, None, id="neither"),
        pytest.param({"CONTENT-LENGTH": "0"}, None, 0, id="a length of 0"),
        pytest.param({"content-length": "3"}, b"abc", 3, id="a length"),
        pytest.param({"Content-Length": 3}, b"abc", 3, id="a number"),
        pytest.param({"Transfer-Encoding": "chunked"}, b"abcdef", None, id="chunks"),
        pytest.param(
            {"transfer-encoding": "chunked", "content-length": "3"}, b"abcdef", None, id="both"
        ),
    ],
)
def test_the_headers_say_where_a_body_ends(
    headers: dict[str, Any], expected: bytes | None, length: int | None
) -> None:
    lines, body, found = framed(io.BytesIO(b"abcdef"), {"X-A": "1", **headers})
    assert lines == [("X-A", "1")]
    assert (body and body.read(), found) == (expected, length)


@pytest.mark.parametrize("length", ["-1", "x", "1" * 19, "\u0661"])
def test_a_length_is_a_number(length: str) -> None:
    with pytest.raises(BadRequest, match="not a number"):
        framed(io.BytesIO(b"abc"), {"Content-Length": length})


@pytest.mark.parametrize("client", CLIENTS)
def test_a_subclass_may_send_chunks(upstream: RawUpstream, client: str) -> None:
    class Chunking(HostProxy):
        def process_request(self, uri: Any, method: Any, headers: Any, environ: Any) -> Any:
            headers["Transfer-Encoding"] = "chunked"
            environ["wsgi.input"] = io.BytesIO(b"hello")
            return super().process_request(uri, method, headers, environ)

    upstream.behaviour = answer()
    assert call(Chunking(upstream.url, client=client), served(REQUEST_METHOD="POST"))[0] == 200
    assert only(upstream).body == b"hello"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_leaves_in_mid_body_ends_the_request(
    upstream: RawUpstream, client: str
) -> None:
    class Leaving(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("gone")

    environ = served(REQUEST_METHOD="POST", CONTENT_LENGTH="5")
    environ["wsgi.input"] = Leaving()
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 400
    assert not any(request.complete for request in upstream.requests)


def test_a_client_may_give_another_reason_for_it() -> None:
    def client(uri: Any, method: Any, body: Any, headers: Any) -> Any:
        try:
            body.read()
        except BadRequest:
            raise RuntimeError("no body") from None

    environ = served(REQUEST_METHOD="POST", CONTENT_LENGTH="5")
    environ["wsgi.input"] = io.BytesIO(b"abc")
    assert call(HostProxy("http://a.example", client=client), environ)[0] == 400


@pytest.mark.parametrize("client", CLIENTS)
def test_silence_after_a_body_is_a_timeout(upstream: RawUpstream, client: str) -> None:
    """urllib3 would try again, and complain that it cannot."""
    upstream.behaviour = [("read",), ("wait_ended",)]
    environ = served(REQUEST_METHOD="PUT", CONTENT_LENGTH="3")
    environ |= {"wsgi.input": io.BytesIO(b"abc"), "webob.client.timeout": 0.2}
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 504
    assert len(upstream.requests) == 1


def test_a_returned_body_is_closed_once() -> None:
    log: list[str] = []
    blocks = iter([b"a", b""])
    body = ResponseBody(
        lambda size: next(blocks),
        5,
        at_end=lambda: log.append("read"),
        close=lambda: log.append("closed"),
    )
    assert list(body) == [b"a"]
    body.close()
    assert list(body) == []
    assert log == ["read", "closed"]


def test_a_returned_body_that_is_given_up_is_not_at_its_end() -> None:
    log: list[str] = []
    body = ResponseBody(
        lambda size: b"a",
        5,
        at_end=lambda: log.append("read"),
        close=lambda: log.append("closed"),
    )
    assert next(body) == b"a"
    body.close()
    assert list(body) == []
    assert log == ["closed"]
