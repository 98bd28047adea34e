"""WebSocket through the browser proxy and the exact one, and in front of the middleware."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.forward.proxies import started
from tests.server.serving import serving, until
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.wsgi.peer import HANDSHAKE, SWITCHED, Peer, peer, proxied
from wsgiproxy import ExactProxy, ForwardProxy, WSGIProxyMiddleware


@pytest.fixture(scope="module")
def backend() -> Iterator[Peer]:
    with peer() as found:
        yield found


def open_at(client: RawClient, backend: Peer, target: str) -> None:
    host = backend.url.removeprefix("http://")
    client.send(request_bytes(f"GET {target}", HANDSHAKE, host=host))


def test_browser_proxy_carries_it_in_absolute_form(backend):
    authority = backend.url.removeprefix("http://")
    proxy = ForwardProxy(allow=[authority])
    with serving(proxy) as server, RawClient(server.server_port) as client:
        open_at(client, backend, f"{backend.url}/chat?a=b")
        with backend.asked(SWITCHED + b"first") as (request, sock):
            assert request.line == "GET /chat?a=b HTTP/1.1"
            assert request.values("Host") == [authority]
            assert request.values("Upgrade") == ["websocket"]
            assert request.values("X-Forwarded-For") == []
            assert client.read_until(b"first")
            client.send(b"second")
            assert sock.recv(10) == b"second"
            assert proxy.in_flight == 1
            proxy.close()
            assert client.closed_by_server()
            assert sock.recv(1) == b""
        until(lambda: proxy.in_flight == 0, "end of the exchange")


def test_guard_of_the_browser_proxy_decides(backend):
    with serving(ForwardProxy()) as server:
        request = request_bytes(f"GET {backend.url}/", HANDSHAKE)
        assert raw_exchange(server.server_port, request).status == 403
        assert not backend.was_asked()


def test_browser_proxy_in_gunicorn(backend):
    authority = backend.url.removeprefix("http://")
    with started("gunicorn", authority) as proxy, RawClient(proxy.port) as client:
        open_at(client, backend, f"{backend.url}/chat")
        with backend.asked(SWITCHED + b"first") as (_, sock):
            assert client.read_until(b"first")
            client.send(b"second")
            assert sock.recv(10) == b"second"


def test_exact_proxy_carries_it(backend):
    name, _, port = backend.url.removeprefix("http://").partition(":")
    proxy = ExactProxy()

    def addressed(environ, start_response):
        return proxy({**environ, "SERVER_NAME": name, "SERVER_PORT": port}, start_response)

    with serving(addressed) as server, RawClient(server.server_port) as client:
        open_at(client, backend, "/chat")
        with backend.asked(SWITCHED + b"first") as (_, sock):
            assert client.read_until(b"first")
            proxy.close()
            assert client.closed_by_server()
            assert sock.recv(1) == b""


def test_middleware_restores_a_signed_handshake(backend, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef0123456789abcdef0123456789abcdef\n")
    seen = []

    def application(environ, start_response):
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    backed = WSGIProxyMiddleware(application, secret_file=str(keys))
    with serving(backed) as behind:
        href = f"http://127.0.0.1:{behind.server_port}"
        with proxied(href, secret_file=str(keys)) as (_, port):
            request = request_bytes("GET /chat?a=b", HANDSHAKE, host="shop.example")
            assert raw_exchange(port, request).status == 204
    (environ,) = seen
    assert environ["HTTP_HOST"] == "shop.example"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_UPGRADE"] == "websocket"
    assert environ["HTTP_CONNECTION"] == "Upgrade"
    assert environ["HTTP_SEC_WEBSOCKET_KEY"] == dict(HANDSHAKE)["Sec-WebSocket-Key"]
    assert environ["wsgiproxy.socket"] is not None
