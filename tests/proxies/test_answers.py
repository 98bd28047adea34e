"""What comes back: any answer, cleaned; the same for every client."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
from typing import Any

import pytest

from tests.proxies.asking import CLIENTS, asked, call, served
from tests.support.upstream import RawUpstream, answer, chunked_answer, chunks
from tests.test_exactproxy import Called
from wsgiproxy import HostProxy
from wsgiproxy.errors import ProxyError, UpstreamTimeout


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_coded_body_passes_as_it_is(upstream: RawUpstream, client: str) -> None:
    packed = gzip.compress(b"hello" * 1000)
    upstream.behaviour = answer(200, [("Content-Encoding", "gzip")], packed)
    _, headers, body = call(HostProxy(upstream.url, client=client))
    assert body == packed
    assert ("Content-Encoding", "gzip") in headers
    assert ("Content-Length", str(len(packed))) in headers


@pytest.mark.parametrize("status", [200, 302])
def test_a_body_that_is_not_what_its_coding_says_passes_too(
    upstream: RawUpstream, client: str, status: int
) -> None:
    fields = [("Content-Encoding", "gzip"), ("Location", "/x")]
    upstream.behaviour = answer(status, fields, b"not gzip at all")
    assert call(HostProxy(upstream.url, client=client))[::2] == (status, b"not gzip at all")


def test_lines_stay_apart_and_names_keep_their_case(upstream: RawUpstream, client: str) -> None:
    cookies = [
        ("Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"),
        ("Set-Cookie", "b=2"),
    ]
    upstream.behaviour = answer(200, [*cookies, ("ETag", '"x"'), ("x-mIxed", "1")])
    _, headers, _ = call(HostProxy(upstream.url, client=client))
    assert [field for field in headers if field[0] == "Set-Cookie"] == cookies
    assert {"ETag", "x-mIxed"} <= {name for name, _ in headers}


def test_hop_by_hop_fields_are_removed(upstream: RawUpstream, client: str) -> None:
    fields = [("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("X-A", "1")]
    upstream.behaviour = chunked_answer(b"hello", headers=fields)
    assert call(HostProxy(upstream.url, client=client)) == (200, [("X-A", "1")], b"hello")


@pytest.mark.parametrize("status", [204, 304, 404, 500, 599])
def test_any_status_is_an_answer(upstream: RawUpstream, client: str, status: int) -> None:
    upstream.behaviour = answer(status, reason="")
    found, _, body = call(HostProxy(upstream.url, client=client))
    assert (found, body) == (status, b"")


def test_head_has_the_length_and_no_body(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = answer(200, [("Content-Length", "1234")])
    environ = asked(REQUEST_METHOD="HEAD")
    status, headers, body = call(HostProxy(upstream.url, client=client), environ)
    assert (status, headers, body) == (200, [("Content-Length", "1234")], b"")


def test_a_redirect_is_not_followed_and_its_body_is_not_read(
    upstream: RawUpstream, client: str
) -> None:
    go = threading.Event()
    head = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.behaviour = [("read",), ("send", head), ("wait", go), ("send", chunks(b"moved"))]
    proxy = HostProxy(upstream.url, client=client)
    called = Called(proxy, asked())
    assert called.status == 302
    assert ("Location", f"{upstream.url}/next") in called.headers
    go.set()
    assert called.read() == b"moved"
    assert len(upstream.requests) == 1
    proxy.close()


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/foo", "{url}/m/foo", id="a path"),
        pytest.param("foo?x#y", "{url}/m/a/foo?x#y", id="relative to what was asked for"),
        pytest.param("{url}/foo", "{url}/m/foo", id="the same server"),
        pytest.param("http://example.com/foo", "http://example.com/foo", id="another server"),
        pytest.param("{url}.evil.example/", "{url}.evil.example/", id="another that looks like it"),
        pytest.param("//evil.example/x", "http://evil.example/x", id="without a scheme"),
    ],
)
def test_a_location_becomes_absolute_and_has_the_mount(
    upstream: RawUpstream, client: str, location: str, expected: str
) -> None:
    if location.startswith("//"):
        expected = location
    upstream.behaviour = answer(301, [("Location", location.format(url=upstream.url))])
    environ = served("/a/b", SCRIPT_NAME="/m")
    _, headers, _ = call(HostProxy(upstream.url, client=client), environ)
    assert dict(headers)["Location"] == expected.format(url=upstream.url)


def test_events_pass_one_by_one(upstream: RawUpstream, client: str) -> None:
    first, second = threading.Event(), threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    upstream.behaviour = [
        ("read",),
        ("send", head + b"data: 1\n\n"),
        ("wait", first),
        ("send", b"data: 2\n\n"),
        ("wait", second),
        ("close",),
    ]
    options: Any = {"chunk_size": 1} if client == "requests" else {}
    proxy = HostProxy(upstream.url, client=client, **options)
    called = Called(proxy, asked())
    blocks = iter(called.result)

    def event() -> bytes:
        found = b""
        while not found.endswith(b"\n\n"):
            found += next(blocks)
        return found

    assert event() == b"data: 1\n\n"
    first.set()
    assert event() == b"data: 2\n\n"
    second.set()
    assert called.read() == b""
    proxy.close()


def test_a_long_body_is_never_held_whole(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        ("send_until_ended", b"x" * 65536),
    ]
    proxy = HostProxy(upstream.url, client=client)
    called = Called(proxy, asked())
    total = 0
    while total < 1_000_000:
        block = next(iter(called.result))
        assert len(block) <= 65536
        total += len(block)
    called.result.close()
    assert upstream.wait_closed()
    proxy.close()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer(200, [("Content-Length", "100")], b"short"), id="short"),
        pytest.param(chunked_answer(b"hello", last=False), id="without the last chunk"),
    ],
)
def test_a_body_that_breaks_off_breaks_off(upstream: RawUpstream, client: str, raw: bytes) -> None:
    upstream.behaviour = [("read",), ("send", raw), ("close",)]
    proxy = HostProxy(upstream.url, client=client)
    called = Called(proxy, asked())
    assert called.status == 200
    with pytest.raises(ProxyError):
        called.read()
    proxy.close()


@pytest.mark.parametrize("kept_by", ["httplib", "urllib3"])
def test_a_connection_is_kept_until_the_proxy_is_closed(
    upstream: RawUpstream, kept_by: str
) -> None:
    upstream.behaviour = [("read",), ("send", answer(body=b"1"))] * 3
    proxy = HostProxy(upstream.url, client=kept_by)
    for _ in range(3):
        called = Called(proxy, asked())
        assert called.read() == b"1"
    assert upstream.connections == 1
    proxy.close()
    assert upstream.wait_closed()


@pytest.mark.parametrize(
    ("behaviour", "options", "status"),
    [
        pytest.param([("close",)], {}, 502, id="nothing"),
        pytest.param(b"not http\r\n\r\n", {}, 502, id="nonsense"),
        pytest.param([("read",), ("wait_ended",)], {"timeout": 0.2}, 504, id="silence"),
    ],
)
def test_failures_have_their_status(
    upstream: RawUpstream,
    client: str,
    behaviour: Any,
    options: dict[str, Any],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "urllib3")
    if client == "httplib" and options:
        options = {"head_timeout": 0.2}
    upstream.behaviour = behaviour
    found, _, page = call(HostProxy(upstream.url, client=client, **options), asked())
    assert found == status
    assert str(upstream.port).encode() not in page


def test_a_closed_port_is_a_502(client: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "urllib3")
    status, _, page = call(HostProxy("http://127.0.0.1:1", client=client))
    assert status == 502
    assert b"127.0.0.1" not in page


def test_webobs_limit_counts_for_every_client(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = [("read",), ("wait_ended",)]
    environ = {**asked(), "webob.client.timeout": 0.2}
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 504


def test_a_silence_in_mid_body_breaks_off(upstream: RawUpstream, client: str) -> None:
    raw = answer(200, [("Content-Length", "10")], b"hello")
    upstream.behaviour = [("read",), ("send", raw), ("wait_ended",)]
    proxy = HostProxy(upstream.url, client=client)
    called = Called(proxy, {**asked(), "webob.client.timeout": 0.2})
    assert called.status == 200
    with pytest.raises(UpstreamTimeout):
        called.read()
    assert upstream.wait_closed()
    proxy.close()


def test_the_log_says_why_without_the_text_of_objects(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgiproxy.error")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # it does not listen
        href = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert call(HostProxy(href, client=client))[0] == 502
    (said,) = (each.getMessage() for each in caplog.records if each.name == "wsgiproxy.error")
    assert "refused" in said
    assert " object at 0x" not in said and "HTTPConnection" not in said
