"""How the packages that were found to use WSGIProxy2 use it, one by one."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import pytest
import urllib3
from webob import Request
from webtest import TestApp  # type: ignore[import-untyped]

from tests.proxies.asking import CLIENTS, asked, call, only, served
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import HostProxy, Proxy, TransparentProxy, proxies, requests_client, urllib3_client

PAGE = answer(200, [("Content-Type", "text/plain")], b"hello")


@pytest.mark.parametrize("client", CLIENTS)
def test_webtest_takes_an_address_and_a_client(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = PAGE
    app = TestApp(f"{upstream.url}#{client}")
    assert app.get("/a?b=c").text == "hello"
    assert upstream.requests[0].target == "/a?b=c"
    app.app.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_webtest_keeps_the_cookies_of_a_live_server(upstream: RawUpstream, client: str) -> None:
    """WebTest issue 162: they were kept for another host than the next request's."""
    cookies = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")]
    upstream.behaviour = answer(200, [("Content-Type", "text/plain"), *cookies], b"hello")
    app = TestApp(HostProxy(upstream.url, client=client))
    app.get("/")
    app.get("/")
    assert app.cookies == {"a": "1", "b": "2"}
    first, second = upstream.requests
    assert first.values("Cookie") == []
    assert sorted(second.values("Cookie")[0].split("; ")) == ["a=1", "b=2"]
    app.app.close()


def test_webtest_follows_a_redirect_and_sends_a_form(upstream: RawUpstream) -> None:
    moved = answer(302, [("Location", "/there"), ("Content-Type", "text/plain")])
    upstream.behaviour = moved
    app = TestApp(upstream.url)
    response = app.post("/form", {"name": "value"})
    assert response.location == f"{upstream.url}/there"
    assert only(upstream).body == b"name=value"
    response.follow(status=302)
    assert upstream.requests[1].target == "/there"
    app.app.close()


def test_webtest_may_send_what_a_proxy_would_announce(upstream: RawUpstream) -> None:
    """The program itself is the client: its fields are a part of its request."""
    upstream.behaviour = PAGE
    app = TestApp(upstream.url)
    app.get("/", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
    request = only(upstream)
    assert request.values("X-Forwarded-Proto") == ["https"]
    assert request.values("X-Forwarded-For") == ["192.0.2.1"]
    assert request.values("Via") == []
    app.app.close()


def test_nothing_is_written_to_the_servers_errors(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    TestApp(HostProxy(upstream.url)).get("/")
    assert len(upstream.requests) == 1


def test_zope_testbrowser_makes_a_transparent_proxy_of_nothing(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    status, _, body = call(TransparentProxy(), asked("/x", HTTP_HOST=upstream.netloc))
    assert (status, body) == (200, b"hello")
    assert only(upstream).values("Host") == [upstream.netloc]


def test_launchpad_brings_a_pool(tls_upstream: RawUpstream) -> None:
    tls_upstream.behaviour = PAGE
    with urllib3.PoolManager(10, cert_reqs=ssl.CERT_NONE) as pool:
        client = urllib3_client.HttpClient(pool=pool)
        proxy = TransparentProxy(client=client)
        environ = asked(HTTP_HOST=tls_upstream.netloc)
        environ["wsgi.url_scheme"] = "https"
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert call(proxy, environ)[2] == b"hello"
    assert client.pool is pool


def test_encoded_appends_a_method_for_all(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    before = HostProxy(upstream.url)
    proxies.ALLOWED_METHODS.append("REPORT")
    try:
        assert call(before, asked(REQUEST_METHOD="REPORT"))[0] == 200
        assert call(HostProxy(upstream.url), asked(REQUEST_METHOD="REPORT"))[0] == 200
    finally:
        proxies.ALLOWED_METHODS.remove("REPORT")
    status, headers, _ = call(before, asked(REQUEST_METHOD="REPORT"))
    assert status == 405
    assert ("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH") in headers
    assert [name for name, _ in headers].count("Allow") == 1


class Measuring(requests_client.HttpClient):
    """As the one of mozilla-services/loads."""

    def __init__(self, session: Any = None, chunk_size: int = 24 * 1024, **options: Any) -> None:
        super().__init__(chunk_size, session, **options)
        self.hits: list[str] = []

    def __call__(self, uri: str, method: str, body: Any, headers: dict[str, str]) -> Any:
        status, location, headers_back, blocks = super().__call__(uri, method, body, headers)
        self.hits.append(f"{method} {uri} {status}")
        return status, location, headers_back, blocks


def test_loads_measures_by_a_client_of_its_own(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    client = Measuring()
    app: Any = TestApp(HostProxy("http://127.0.0.1:1", client=client))
    app.app.uri = upstream.url  # the server has moved
    assert app.get("/x").text == "hello"
    assert client.hits == [f"GET {upstream.url}/x 200 OK"]
    assert only(upstream).values("Host") == [upstream.netloc]


class AuctionsHostProxy(HostProxy):
    """As the one of openprocurement.auction."""

    def process_request(
        self, uri: str, method: str, headers: dict[str, str], environ: dict[str, Any]
    ) -> Any:
        headers["X-Request-ID"] = environ["HTTP_X_ID"]
        headers.pop("X-Unwanted", None)
        headers["Host"] = "auctions.example"
        return super().process_request(uri + "&more", method, headers, environ)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_subclass_changes_what_is_sent(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = PAGE
    environ = asked("/x", QUERY_STRING="a=b", HTTP_X_ID="7", HTTP_X_UNWANTED="1")
    assert call(AuctionsHostProxy(upstream.url, client=client), environ)[0] == 200
    request = only(upstream)
    assert request.target == "/x?a=b&more"
    assert request.values("X-Request-ID") == ["7"]
    assert request.values("X-Unwanted") == []
    assert request.values("Host") == ["auctions.example"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_subclass_sends_another_body(upstream: RawUpstream, client: str) -> None:
    class Shouting(HostProxy):
        def process_request(self, uri: Any, method: Any, headers: Any, environ: Any) -> Any:
            import io

            body = environ["wsgi.input"].read().upper() + b"!"
            headers["Content-Length"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
            return super().process_request(uri, method, headers, environ)

    upstream.behaviour = PAGE
    environ = Request.blank("/", POST=b"hello", content_type="text/plain").environ
    assert call(Shouting(upstream.url, client=client), environ)[0] == 200
    assert only(upstream).body == b"HELLO!"


def test_the_override_points_are_called_in_order_with_one_copy(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    calls: list[tuple[str, Any]] = []

    class Watching(Proxy):
        def extract_uri(self, environ: dict[str, Any]) -> str:
            calls.append(("extract_uri", environ["HTTP_X_FORWARDED_SERVER"]))
            environ["HTTP_HOST"] = "chosen.example"
            environ["seen"] = True
            return f"{upstream.url}/base"

        def process_request(self, uri: Any, method: Any, headers: Any, environ: Any) -> Any:
            calls.append(("process_request", (uri, method, headers["Host"], environ["seen"])))
            return super().process_request(uri, method, headers, environ)

    environ = asked("/x")
    before = dict(environ)
    assert call(Watching(), environ)[0] == 200
    assert calls == [
        ("extract_uri", "public.example"),
        ("process_request", (f"{upstream.url}/base/x", "GET", "chosen.example", True)),
    ]
    assert environ == before
    assert only(upstream).target == "/base/x"


def test_passenger_asks_with_webob(upstream: RawUpstream) -> None:
    upstream.behaviour = PAGE
    environ: Any = {"REMOTE_ADDR": "203.0.113.9"}
    request = Request.blank("https://shop.example/x", environ)
    response = request.get_response(HostProxy(upstream.url))
    assert response.text == "hello"
    assert only(upstream).values("X-Forwarded-Scheme") == ["https"]


def test_bottle_and_old_wrappers_take_two_arguments(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [("Connection", "close"), ("X-A", "1")], b"hello")
    proxy = HostProxy(upstream.url)

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, headers)

        return proxy(environ, start)  # type: ignore[arg-type]

    assert call(wrapped) == (200, [("X-A", "1"), ("Content-Length", "5")], b"hello")
    assert call(wrapped, asked(REQUEST_METHOD="FOO"))[0] == 405
    assert call(wrapped, asked(CONTENT_LENGTH="-1"))[0] == 500


def test_a_view_returns_the_proxy(upstream: RawUpstream) -> None:
    """What Flask does with an application that a view returns."""
    from werkzeug.wrappers import Response

    upstream.behaviour = answer(201, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], b"hello")
    response = Response.force_type(HostProxy(upstream.url), served("/x"))  # type: ignore[arg-type]
    assert (response.status_code, response.get_data()) == (201, b"hello")
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


def test_any_name_is_a_module_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    made: list[dict[str, Any]] = []

    class HttpClient:
        def __init__(self, **options: Any) -> None:
            made.append(options)

        def __call__(self, *_: Any) -> Any:
            return "200 Ok", None, [("Content-Length", "0")], [""]

    module: Any = types.ModuleType("wsgiproxy.mine_client")
    module.HttpClient = HttpClient
    monkeypatch.setitem(sys.modules, "wsgiproxy.mine_client", module)
    proxy = HostProxy("http://example.com", client="mine", depth=3)
    assert made == [{"depth": 3}]
    # Its documented example of a client returns text, if only an empty one.
    assert call(proxy) == (200, [("Content-Length", "0")], b"")
