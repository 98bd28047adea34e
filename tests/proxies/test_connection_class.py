"""A class in the place of http.client's, as WSGIProxy2's default client has had it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.proxies.asking import asked, call
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import HostProxy, proxies
from wsgiproxy.errors import BadRequest


class Response:
    """An answer in the interface of http.client."""

    status, reason = 200, "OK"

    def __init__(self, log: list[Any]) -> None:
        self.blocks: Iterator[bytes] = iter([b"hello", b""])
        self.log = log

    def getheader(self, name: str) -> None:
        """There is no such field."""

    def getheaders(self) -> list[tuple[str, str]]:
        return [("X-A", "1")]

    def read1(self, size: int) -> bytes:
        return next(self.blocks)

    def close(self) -> None:
        self.log.append("read")


def connection_class(log: list[Any]) -> Any:
    """A class that replaces http.client.HTTPConnection."""

    class Connection:
        def __init__(self, netloc: str) -> None:
            log.append(netloc)

        def request(self, method: str, target: str, body: Any, headers: Any, **more: Any) -> None:
            if "exc" in more:
                raise more["exc"]
            log.append((method, target, body, headers["Host"]))

        def getresponse(self) -> Response:
            return Response(log)

        def close(self) -> None:
            log.append("closed")

    return Connection


def test_a_class_in_the_place_of_http_clients_is_used() -> None:
    log: list[Any] = []

    class Client(proxies.HttpClient):
        HTTPConnection = connection_class(log)

    proxy = HostProxy("http://a:81", client=Client())
    assert call(proxy, asked("/x")) == (200, [("X-A", "1")], b"hello")
    assert log == ["a:81", ("GET", "/x", None, "a:81"), "read", "closed"]
    client = Client(exc=TimeoutError())
    assert call(HostProxy("http://a:81", client=client))[0] == 504
    assert log[4:] == ["a:81", "closed"]


def test_such_a_class_gets_the_body_and_one_request_at_most() -> None:
    log: list[Any] = []

    class Client(proxies.HttpClient):
        HTTPConnection = connection_class(log)

    client = Client()
    headers = {"Host": "a", "Content-Length": "3"}
    client("http://a/x", "PUT", io.BytesIO(b"abc and more"), headers)
    assert log[0] == "a"
    method, target, body, host = log[1]
    assert (method, target, body.read(), host) == ("PUT", "/x", b"abc", "a")
    with pytest.raises(BadRequest):
        client("http://a/x", "GET", None, {"Host": "a\r\nX-B: 2"})
    assert len(log) == 2


def test_the_other_class_is_our_transport_all_the_same(upstream: RawUpstream) -> None:
    class Client(proxies.HttpClient):
        HTTPSConnection = connection_class([])

    upstream.behaviour = answer(200, [("Content-Type", "text/plain")], b"hello")
    assert call(HostProxy(upstream.url, client=Client()))[2] == b"hello"
