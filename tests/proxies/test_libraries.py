"""urllib3 and requests: TLS, sessions and pools of the caller's."""

from __future__ import annotations

import io
import os
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from tests.proxies.asking import CLIENTS, asked, call, only
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import HostProxy, requests_client, urllib3_client

Tls = tuple[ssl.SSLContext, Path]


def localhost(upstream: RawUpstream) -> str:
    return f"https://localhost:{upstream.port}"


@pytest.mark.parametrize("client", CLIENTS)
def test_certificates_are_verified(
    tls_upstream: RawUpstream, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "urllib3")
    assert call(HostProxy(localhost(tls_upstream), client=client))[0] == 502
    assert tls_upstream.requests == []


def test_an_authority_of_ones_own_is_believed(tls_upstream: RawUpstream, tls_files: Tls) -> None:
    authority = str(tls_files[1])
    pool = urllib3.PoolManager(ca_certs=authority)
    for client in (
        HostProxy(localhost(tls_upstream), ca_file=authority),
        HostProxy(localhost(tls_upstream), client="requests", verify=authority),
        HostProxy(localhost(tls_upstream), client=urllib3_client.HttpClient(pool)),
    ):
        assert call(client)[0] == 200
    pool.clear()
    assert len(tls_upstream.requests) == 3


def test_verify_false_warns_and_works(
    tls_upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(DeprecationWarning, match="verify=False"):
        proxy = HostProxy(localhost(tls_upstream), client="requests", verify=False)
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
        assert call(proxy)[0] == 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HostProxy(localhost(tls_upstream), client="requests")


def test_nothing_of_the_environment_is_used(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert requests.Session().trust_env
    for client in CLIENTS:
        assert call(HostProxy(upstream.url, client=client))[0] == 200
    assert [request.values("Authorization") for request in upstream.requests] == [[], [], []]


@pytest.mark.parametrize("client", CLIENTS)
def test_no_cookie_is_kept_from_one_request_to_the_next(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = answer(200, [("Set-Cookie", "a=1; Path=/")])
    proxy = HostProxy(upstream.url, client=client)
    for _ in range(2):
        called = proxy(asked(), lambda *_: None)  # type: ignore[arg-type]
        assert b"".join(called) == b""
    assert [request.values("Cookie") for request in upstream.requests] == [[], []]
    proxy.close()


def test_a_session_of_ones_own_keeps_its_cookies_and_headers(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [("Set-Cookie", "a=1; Path=/")])
    with requests.Session() as session:
        session.headers["X-Mine"] = "1"
        client = requests_client.HttpClient(session=session)
        assert client.session is session
        for _ in range(2):
            assert call(HostProxy(upstream.url, client=client))[0] == 200
        assert session.cookies.get_dict() == {"a": "1"}
    first, second = upstream.requests
    assert (first.values("Cookie"), second.values("Cookie")) == ([], ["a=1"])
    assert first.values("X-Mine") == ["1"]
    assert first.values("User-Agent") == first.values("Accept-Encoding") == []


def test_a_session_decides_about_certificates(tls_upstream: RawUpstream, tls_files: Tls) -> None:
    with requests.Session() as session:
        session.trust_env = False  # requests believes REQUESTS_CA_BUNDLE more than its owner
        session.verify = str(tls_files[1])
        client = requests_client.HttpClient(session=session)
        assert call(HostProxy(localhost(tls_upstream), client=client))[0] == 200
        client = requests_client.HttpClient(session=session, verify=True)
        assert call(HostProxy(localhost(tls_upstream), client=client))[0] == 502


def test_hooks_of_a_session_are_called(upstream: RawUpstream) -> None:
    seen: list[Any] = []
    upstream.behaviour = answer(302, [("Location", "/next")])
    with requests.Session() as session:
        session.hooks["response"].append(
            lambda response, **_: seen.append(response.headers["Location"])
        )
        client = requests_client.HttpClient(session=session)
        assert call(HostProxy(upstream.url, client=client))[0] == 302
        options = {"response": lambda response, **_: seen.append(response.status_code)}
        client = requests_client.HttpClient(session=session, hooks=options)
        assert call(HostProxy(upstream.url, client=client))[0] == 302
    assert seen == ["/next", 302]


def test_an_adapter_may_have_a_body_of_its_own() -> None:
    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.url = 302, request.url
            response.headers["location"] = "/next"
            response.raw = io.BytesIO(b"hello")
            response.request = request
            return response

        def close(self) -> None:
            """Nothing is open."""

    with requests.Session() as session:
        session.mount("http://", Adapter())
        client = requests_client.HttpClient(2, session)
        status, headers, body = call(HostProxy("http://a.example", client=client))
    assert (status, body) == (302, b"hello")
    assert headers == [("Location", "http://a.example/next")]


def test_requests_follows_a_redirect_with_allow_redirects(upstream: RawUpstream) -> None:
    moved = answer(302, [("Location", "/next"), ("Connection", "close")])
    upstream.behaviour = [moved, answer(200, body=b"there")]
    proxy = HostProxy(upstream.url, client="requests", allow_redirects=True)
    assert call(proxy)[::2] == (200, b"there")
    assert [request.target for request in upstream.requests] == ["/", "/next"]


def test_a_body_is_not_sent_twice(upstream: RawUpstream) -> None:
    """urllib3 would try again with what is left of it."""
    upstream.behaviour = [("read",), ("close",)]
    environ = asked(REQUEST_METHOD="PUT", CONTENT_LENGTH="5")
    environ["wsgi.input"] = io.BytesIO(b"hello")
    pool = urllib3.PoolManager(retries=urllib3.Retry(3))
    for client in ("urllib3", urllib3_client.HttpClient(pool)):
        assert call(HostProxy(upstream.url, client=client), dict(environ))[0] == 502
        environ["wsgi.input"] = io.BytesIO(b"hello")
    pool.clear()
    assert {request.body for request in upstream.requests} <= {b"hello", b""}
    assert sum(request.complete for request in upstream.requests) == 2


def test_a_pool_of_the_user_is_left_open(upstream: RawUpstream) -> None:
    with urllib3.PoolManager() as pool:
        proxy = HostProxy(upstream.url, client=urllib3_client.HttpClient(pool=pool))
        for _ in range(2):
            assert call(proxy)[0] == 200
        assert len(pool.pools) == 1
    assert upstream.wait_until(lambda: len(upstream.requests) == 2)


def test_a_child_does_not_use_its_parents_connections(upstream: RawUpstream) -> None:
    proxy = HostProxy(upstream.url, client="urllib3")
    read, write = os.pipe()
    b"".join(proxy(asked(), lambda *_: None))  # type: ignore[arg-type]
    child = os.fork()
    if not child:
        os.write(write, str(len(proxy.http.pool.pools)).encode())  # type: ignore[attr-defined]
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 9) == b"0"
    assert len(proxy.http.pool.pools) == 1  # type: ignore[attr-defined]
    os.close(read)
    os.close(write)
    proxy.close()


@pytest.mark.parametrize("kind", [urllib3_client.HttpClient, requests_client.HttpClient])
def test_a_client_can_be_called_by_hand(upstream: RawUpstream, kind: Any) -> None:
    upstream.behaviour = answer(201, [("Location", "/x")], b"hello", reason="")
    body = io.BytesIO(b"abc and more")
    headers = {"content-length": "3"}
    status, location, fields, blocks = kind()(f"{upstream.url}/a", "POST", body, headers)
    assert (status, location, b"".join(blocks)) == ("201 ", "/x", b"hello")
    assert ("Location", "/x") in fields
    assert only(upstream).body == b"abc"
    assert headers == {"content-length": "3"}
