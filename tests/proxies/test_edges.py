"""Requests and responses with values from a server, a subclass or a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.proxies.asking import CLIENTS, asked, call, only
from tests.support.upstream import RawUpstream, answer, chunked_answer
from wsgiproxy import HostProxy
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.proxies import HttpClient


@pytest.mark.parametrize(
    "more",
    [{"wsgi.multithread": True}, {"wsgi.multiprocess": True}, {"SERVER_SOFTWARE": "some/1"}],
)
def test_behind_a_server_without_addresses_a_client_announces_nothing(
    upstream: RawUpstream, more: dict[str, Any]
) -> None:
    """uvicorn on a Unix socket, with WSGIMiddleware."""
    upstream.behaviour = answer()
    forged = {"HTTP_X_FORWARDED_FOR": "1.2.3.4", "HTTP_X_WSGIPROXY_STR_1": "x"}
    call(HostProxy(upstream.url), asked(**forged, **more))
    request = only(upstream)
    assert request.values("X-Forwarded-For") == request.values("X-WSGIProxy-Str-1") == []
    assert len(request.values("Via")) == 1


@pytest.mark.parametrize(
    ("script_name", "raw"),
    [("/my app", "/my%20app"), ("/a?b#c", "/a%3Fb%23c"), ("/caf\xc3\xa9", "/caf%C3%A9")],
)
def test_a_mount_is_quoted_in_a_location(upstream: RawUpstream, script_name: str, raw: str) -> None:
    upstream.behaviour = answer(302, [("Location", "/foo")])
    _, headers, _ = call(HostProxy(upstream.url), asked("/x", SCRIPT_NAME=script_name))
    assert dict(headers)["Location"] == f"{upstream.url}{raw}/foo"


@pytest.mark.parametrize("location", ["/x\r\nSet-Cookie: a=b", "/\u20ac", "/\0"])
def test_a_location_of_a_client_is_a_field_or_none(location: str) -> None:
    def client(*_: Any) -> tuple[str, str, list[Any], list[bytes]]:
        return "302 Found", location, [("Location", "/x")], []

    status, headers, _ = call(HostProxy("http://a.example", client=client))
    assert (status, [name for name, _ in headers if name == "Set-Cookie"]) == (502, [])


class Checking(HttpClient):
    """One that sends by itself."""

    def __call__(self, uri: str, method: str, body: Any, headers: dict[str, str]) -> Any:
        raise AssertionError("it was asked to send something that is not one request")


class Sending(HostProxy):
    """The same by the other hook."""

    def process_request(self, *_: Any) -> Any:
        raise AssertionError("it was asked to send something that is not one request")


@pytest.mark.parametrize(
    "make",
    [lambda: HostProxy("http://a.example", client=Checking()), lambda: Sending("http://a.example")],
    ids=["a client", "process_request"],
)
def test_every_client_sends_one_request_or_none(make: Callable[[], HostProxy]) -> None:
    status, _, _ = call(make(), asked(HTTP_X_A="a\r\nX-B: c"))
    assert status == 400


@pytest.mark.parametrize("client", ["urllib3", "requests"])
@pytest.mark.parametrize("size", [0, -1, "0", "x", True, 1.5, None])
def test_a_block_has_a_size(client: str, size: Any) -> None:
    with pytest.raises(ConfigurationError, match="chunk_size="):
        HostProxy("http://a.example", client=client, chunk_size=size)


@pytest.mark.parametrize("client", ["urllib3", "requests"])
def test_a_size_may_be_a_string(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = chunked_answer(b"hello")
    assert call(HostProxy(upstream.url, client=client, chunk_size="2"))[2] == b"hello"


def test_urllib3_follows_a_redirect_with_redirect_true(upstream: RawUpstream) -> None:
    def behave(connection: Any) -> None:
        for page in (answer(302, [("Location", "/there")]), answer(200, body=b"there")):
            connection.read()
            connection.send(page)

    upstream.behaviour = behave
    status, _, body = call(HostProxy(upstream.url, client="urllib3", redirect=True))
    assert (status, body) == (200, b"there")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_field_in_other_letters_takes_the_place_of_the_first(
    upstream: RawUpstream, client: str
) -> None:
    class Changed(HostProxy):
        def process_request(self, uri: str, method: str, headers: Any, environ: Any) -> Any:
            headers["host"] = "other.example"
            return super().process_request(uri, method, headers, environ)

    upstream.behaviour = answer()
    call(Changed(upstream.url, client=client))
    assert only(upstream).values("Host") == ["other.example"]


@pytest.mark.parametrize("headers", [{"ab": "c"}, ["ab"], "ab"])
def test_headers_of_a_client_are_pairs(headers: Any) -> None:
    def client(*_: Any) -> tuple[str, None, Any, list[bytes]]:
        return "200 OK", None, headers, [b"x"]

    assert call(HostProxy("http://a.example", client=client))[0] == 502
