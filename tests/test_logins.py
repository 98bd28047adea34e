"""Logins that hold for a connection (NTLM, Negotiate): no other request gets that connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from tests.proxies.asking import asked
from tests.support.connection import Connection
from tests.support.upstream import RawUpstream, answer
from tests.test_exactproxy import Called, environ_for
from wsgiproxy import HostProxy, WSGIProxyApp, requests_client, urllib3_client
from wsgiproxy.exactproxy import proxy_exact_request
from wsgiproxy.forward import ForwardProxy

#: An application, and the environ of a request for the upstream.
Door = Callable[[ExitStack, RawUpstream], tuple[Any, dict[str, Any]]]

CHALLENGES = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "NTLM")]


def sign_on(connection: Connection) -> None:
    """As IIS does it: the user who has shown a token is the user of all that follows."""
    user = b""
    while True:
        for value in connection.read().values("Authorization"):
            user = value.partition(" ")[2].encode()
        connection.send(answer(200, body=user) if user else answer(401, CHALLENGES, b"who?"))


def by_app(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
    return stack.enter_context(closing(WSGIProxyApp(upstream.url))), environ_for(upstream)


def by_exact(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
    return proxy_exact_request, environ_for(upstream)


def by_forward(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
    proxy = ForwardProxy(allow=[f"127.0.0.1:{upstream.port}"])
    stack.callback(proxy.close)
    environ = environ_for(upstream, REMOTE_ADDR="127.0.0.1", REQUEST_URI=f"{upstream.url}/")
    return proxy, environ


def by_client(client: Any) -> Door:
    def door(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
        return stack.enter_context(closing(HostProxy(upstream.url, client=client))), asked()

    return door


def by_pool_of_ones_own(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
    pool = stack.enter_context(urllib3.PoolManager())
    return by_client(urllib3_client.HttpClient(pool))(stack, upstream)


def by_session_of_ones_own(stack: ExitStack, upstream: RawUpstream) -> tuple[Any, dict[str, Any]]:
    session = stack.enter_context(requests.Session())
    return by_client(requests_client.HttpClient(session=session))(stack, upstream)


DOORS = [
    pytest.param(by_app, id="app"),
    pytest.param(by_exact, id="exact"),
    pytest.param(by_forward, id="forward"),
    pytest.param(by_client("httplib"), id="httplib"),
    pytest.param(by_client("urllib3"), id="urllib3"),
    pytest.param(by_pool_of_ones_own, id="a-pool-of-ones-own"),
    pytest.param(by_session_of_ones_own, id="a-session-of-ones-own"),
]


def ask(app: Any, environ: dict[str, Any], **more: str) -> tuple[int, bytes]:
    called = Called(app, {**environ, **more})
    body = called.read()
    return called.status, body


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "ntlm"])
def test_a_login_is_not_the_next_ones(upstream: RawUpstream, door: Door, scheme: str) -> None:
    upstream.behaviour = sign_on
    with ExitStack() as stack:
        app, environ = door(stack, upstream)
        assert ask(app, environ) == (401, b"who?")
        assert ask(app, environ, HTTP_AUTHORIZATION=f"{scheme} alice") == (200, b"alice")
        assert ask(app, environ) == (401, b"who?")
        assert ask(app, environ, HTTP_AUTHORIZATION=f"{scheme} bob") == (200, b"bob")
        assert upstream.wait_closed()
    assert upstream.connections == 4


@pytest.mark.parametrize("door", DOORS)
def test_a_long_answer_to_a_login_is_whole(upstream: RawUpstream, door: Door) -> None:
    upstream.behaviour = answer(body=b"x" * 300_000)
    with ExitStack() as stack:
        app, environ = door(stack, upstream)
        for _ in range(2):
            body = ask(app, environ, HTTP_AUTHORIZATION="NTLM alice")
            assert body == (200, b"x" * 300_000)
        assert upstream.wait_closed()
    assert upstream.connections == 2


@pytest.mark.parametrize("door", DOORS)
def test_other_credentials_keep_the_connection(upstream: RawUpstream, door: Door) -> None:
    upstream.behaviour = answer(401, [("WWW-Authenticate", 'Basic realm="a"')], b"x")
    with ExitStack() as stack:
        app, environ = door(stack, upstream)
        for _ in range(3):
            assert ask(app, environ, HTTP_AUTHORIZATION="Basic YTpi") == (401, b"x")
        assert upstream.connections == 1


@pytest.mark.parametrize("door", DOORS)
def test_a_login_may_come_on_a_kept_connection(upstream: RawUpstream, door: Door) -> None:
    upstream.behaviour = answer(body=b"x")
    with ExitStack() as stack:
        app, environ = door(stack, upstream)
        assert ask(app, environ) == (200, b"x")
        assert ask(app, environ, HTTP_AUTHORIZATION="Negotiate YIIJ") == (200, b"x")
        assert upstream.wait_closed()
        assert ask(app, environ) == (200, b"x")
    assert upstream.connections == 2


@pytest.mark.parametrize(
    ("client", "options"),
    [("urllib3", {"redirect": True}), ("requests", {"allow_redirects": True})],
)
def test_a_login_ends_the_connections_of_redirects(
    upstream: RawUpstream, client: str, options: dict[str, Any]
) -> None:
    # A server ends the connection that it is asked to end (RFC 9112, 9.6).
    moved = answer(302, [("Location", "/b"), ("Connection", "close")], b"x")
    upstream.behaviour = [[("read",), ("send", moved), ("close",)], answer(body=b"y")]
    with closing(HostProxy(upstream.url, client=client, **options)) as proxy:
        assert ask(proxy, asked(), HTTP_AUTHORIZATION="NTLM alice") == (200, b"y")
        assert upstream.wait_closed()
        fields = [request.values("Connection") for request in upstream.requests]
        assert fields == [["close"], ["close"]]


@pytest.mark.parametrize("client", ["urllib3", "requests"])
def test_a_login_under_tls_ends_its_connection(
    tls_upstream: RawUpstream, tls_files: tuple[object, Path], client: str
) -> None:
    tls_upstream.behaviour = sign_on
    authority = str(tls_files[1])
    with urllib3.PoolManager(ca_certs=authority) as pool, requests.Session() as session:
        http: Any = urllib3_client.HttpClient(pool)
        if client == "requests":
            http = requests_client.HttpClient(session=session, verify=authority)
        proxy = HostProxy(f"https://localhost:{tls_upstream.port}", client=http)
        assert ask(proxy, asked(), HTTP_AUTHORIZATION="NTLM alice") == (200, b"alice")
        assert ask(proxy, asked()) == (401, b"who?")
        assert tls_upstream.wait_closed()
