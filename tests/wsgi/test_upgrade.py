"""WebSocket at the WSGI edge: the handshake up, the 101 back, and the bytes of the tunnel."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.server.serving import descriptors, until
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.wsgi.peer import (
    ACCEPT,
    HANDSHAKE,
    KEY,
    SWITCHED,
    Peer,
    open_tunnel,
    peer,
    proxied,
)
from wsgiproxy import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError

SWITCH = "HTTP/1.1 101 Switching Protocols\r\n"


@pytest.fixture(scope="module")
def backend() -> Iterator[Peer]:
    with peer() as found:
        yield found


@pytest.fixture(scope="module")
def port(backend: Peer) -> Iterator[int]:
    with proxied(backend.url + "/base") as (_, found):
        yield found


def received(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or what comes before the end."""
    found = b""
    while len(found) < size and (block := sock.recv(size - len(found))):
        found += block
    return found


# The handshake


def test_handshake_is_sent_on_like_any_request(backend, port):
    more = [
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Origin", "https://shop.example"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Keep-Alive", "timeout=5"),
        ("X-Secret-Hop", "1"),
    ]
    lines = [*HANDSHAKE[:1], ("Connection", "keep-alive, X-Secret-Hop, Upgrade"), *HANDSHAKE[2:]]
    with RawClient(port) as client:
        client.send(request_bytes("GET /chat?a=b", [*lines, *more]))
        with backend.asked() as (request, _):
            assert request.line == "GET /base/chat?a=b HTTP/1.1"
            assert request.values("Connection") == ["Upgrade"]
            assert request.values("Upgrade") == ["websocket"]
            assert request.values("Sec-WebSocket-Key") == [KEY]
            assert request.values("Sec-WebSocket-Version") == ["13"]
            assert request.values("Sec-WebSocket-Protocol") == ["chat, superchat"]
            assert request.values("Sec-WebSocket-Extensions") == ["permessage-deflate"]
            assert request.values("Origin") == ["https://shop.example"]
            assert request.values("X-Forwarded-For") == ["127.0.0.1"]
            assert request.values("X-Forwarded-Host") == ["front.example"]
            assert request.values("X-Forwarded-Proto") == ["http"]
            assert len(request.values("Via")) == 1
            assert request.values("Keep-Alive") == request.values("X-Secret-Hop") == []


def test_answer_101_comes_as_it_is(backend, port):
    head = (
        SWITCHED[:-2] + b"Set-Cookie: a=b\r\nKeep-Alive: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
    asked = [*HANDSHAKE, ("Sec-WebSocket-Protocol", "chat")]
    with RawClient(port) as client:
        client.send(request_bytes("GET /", asked))
        with backend.asked(head):
            lines = client.read_until(b"\r\n\r\n").decode().split("\r\n")
    assert lines[0] == SWITCH.strip()
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert fields["Upgrade"] == "websocket"
    assert fields["Connection"] == "Upgrade"
    assert fields["Sec-WebSocket-Accept"] == ACCEPT
    assert fields["Sec-WebSocket-Protocol"] == "chat"
    assert fields["Set-Cookie"] == "a=b"
    assert "Keep-Alive" not in fields


@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        pytest.param("GET /", [*HANDSHAKE[:1], *HANDSHAKE[2:]], b"", id="no Connection"),
        pytest.param("POST /", HANDSHAKE, b"", id="POST"),
        pytest.param("POST /", HANDSHAKE, b"x", id="POST with a body"),
        pytest.param("GET /", [("Upgrade", "h2c"), ("Connection", "Upgrade")], b"", id="h2c"),
        pytest.param("GET /", [("Upgrade", "foo/2"), ("Connection", "Upgrade")], b"", id="other"),
    ],
)
def test_other_requests_are_ordinary_and_name_no_upgrade(line, headers, body, backend, port):
    with RawClient(port) as client:
        client.send(request_bytes(line, headers, body if not body else b""))
        with backend.asked(b"HTTP/1.1 204 No Content\r\n\r\n") as (request, _):
            assert request.values("Upgrade") == []
            assert request.values("Connection") in ([], ["keep-alive"])
        assert client.response().status == 204


def test_http_1_0_asks_for_nothing_else(backend, port):
    with RawClient(port) as client:
        client.send(request_bytes("GET /", HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"))
        with backend.asked(b"HTTP/1.1 204 No Content\r\n\r\n") as (request, _):
            assert request.values("Upgrade") == []
        assert client.response().status == 204


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(HANDSHAKE, b"x", id="body"),
        pytest.param([*HANDSHAKE[:2], HANDSHAKE[3]], b"", id="no key"),
        pytest.param([*HANDSHAKE, ("Sec-WebSocket-Key", KEY)], b"", id="two keys"),
        pytest.param([*HANDSHAKE[:2], ("Sec-WebSocket-Key", "short")], b"", id="short key"),
    ],
)
def test_broken_handshake_gets_400(headers, body, backend, port):
    assert raw_exchange(port, request_bytes("GET /", headers, body)).status == 400
    assert not backend.was_asked()


@pytest.mark.parametrize("status", [200, 401, 403, 404, 426, 503])
def test_another_answer_than_101_is_relayed(status, backend, port):
    answer = f"HTTP/1.1 {status} Word\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    answer += "WWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nbody"
    with RawClient(port) as client:
        client.send(request_bytes("GET /", HANDSHAKE))
        with backend.asked(answer.encode()):
            response = client.response()
    assert (response.status, response.body, response.complete) == (status, b"body", True)
    fields = {name.lower(): value for name, value in response.headers}
    assert fields["sec-websocket-version"] == "13"
    # A WSGI application may not send it (PEP 3333).
    assert "upgrade" not in fields


def _switch(*lines: str, upgrade: str = "websocket", accept: str = ACCEPT) -> bytes:
    fields = [f"Upgrade: {upgrade}", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
    return "\r\n".join([SWITCH.strip(), *fields, *lines, "", ""]).encode()


HOSTILE = {
    "wrong key": _switch(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "no key": b"".join([SWITCH.encode(), b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"]),
    "two keys": _switch(f"Sec-WebSocket-Accept: {ACCEPT}"),
    "other protocol": _switch(upgrade="h2c"),
    "two protocols": _switch(upgrade="websocket, h2c"),
    "no Upgrade": SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
    "no Connection": SWITCHED.replace(b"Connection: Upgrade\r\n", b""),
    "subprotocol": _switch("Sec-WebSocket-Protocol: not-offered"),
    "junk": b"\x00\x01\x02\x03",
    "junk behind the line": SWITCH.encode() + b"junk\r\n\r\n",
    "LF": b"HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\n",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_hostile_101_is_502(answer, backend, port):
    with RawClient(port) as client:
        client.send(request_bytes("GET /", HANDSHAKE))
        with backend.asked(answer) as (_, sock):
            assert client.response().status == 502
            with suppress(ConnectionError):
                assert received(sock, 1) == b""


def test_101_that_was_not_asked_for_is_502(backend, port):
    with RawClient(port) as client:
        client.send(request_bytes("GET /"))
        with backend.asked(SWITCHED):
            assert client.response().status == 502


def test_upstream_that_leaves_in_the_handshake_is_502(backend, port):
    with RawClient(port) as client:
        client.send(request_bytes("GET /", HANDSHAKE))
        with backend.asked(SWITCHED[:40]) as (_, sock):
            sock.close()
            assert client.response().status == 502


# The tunnel


def test_bytes_pass_both_ways(backend, port):
    with open_tunnel(port, backend) as (client, sock):
        for data in (b"\x81\x05hello", bytes(range(256)) * 1000):
            client.send(data)
            assert received(sock, len(data)) == data
            sock.sendall(data)
            assert client.read_until(data) == data


@pytest.mark.parametrize("size", [1, 8000, 70_000])
def test_bytes_that_came_with_a_head_go_first(size, backend, port):
    early = bytes(number % 251 for number in range(size))
    with open_tunnel(port, backend, b"" if size > 8000 else early, early) as (client, sock):
        assert client.read_until(early) == early
        if size <= 8000:
            assert received(sock, size) == early
        client.send(b"later")
        assert received(sock, 5) == b"later"


def test_client_may_end_its_side_first(backend, port):
    with open_tunnel(port, backend) as (client, sock):
        client.shutdown_write()
        assert received(sock, 1) == b""
        sock.sendall(b"answer" * 50_000)
        sock.close()
        assert client.closed_by_server()
        assert client.received.endswith(b"\r\n\r\n" + b"answer" * 50_000)


def test_upstream_may_end_its_side_first(backend, port):
    with open_tunnel(port, backend) as (client, sock):
        sock.shutdown(socket.SHUT_WR)
        assert client.closed_by_server()
        client.send(b"heard" * 50_000)
        client.shutdown_write()
        assert received(sock, 300_000) == b"heard" * 50_000


def test_both_may_leave(backend, port):
    with open_tunnel(port, backend) as (client, sock):
        client.close()
        assert received(sock, 1) == b""
    with open_tunnel(port, backend) as (client, sock):
        sock.close()
        assert client.closed_by_server()
        assert client.received.endswith(b"\r\n\r\n")  # nothing of the server is behind it


def test_silent_one_is_closed_after_tunnel_idle(backend, caplog):
    caplog.set_level("INFO", "wsgiproxy.access")
    with proxied(backend.url, tunnel_idle=0.3) as (_, port):
        with open_tunnel(port, backend) as (client, sock):
            assert client.closed_by_server()
            assert received(sock, 1) == b""
        # That of an earlier test may come meanwhile.
        why = "UpstreamTimeout: nothing has passed for tunnel_idle=0.3"
        until(lambda: why in caplog.text, "record")
    assert [line for line in caplog.messages if why in line and "'/chat' 101 0 bytes" in line]
    assert "unexpected" not in caplog.text


def test_close_ends_it(backend):
    with proxied(backend.url) as (app, port), open_tunnel(port, backend) as (client, sock):
        app.close()
        assert client.closed_by_server()
        assert received(sock, 1) == b""
        with open_tunnel(port, backend):  # it can still be used
            pass


def test_more_than_max_websockets_get_503(backend):
    with proxied(backend.url, max_websockets=2) as (app, port):
        with open_tunnel(port, backend), open_tunnel(port, backend):
            assert raw_exchange(port, request_bytes("GET /", HANDSHAKE)).status == 503
            assert not backend.was_asked()
            with RawClient(port) as client:
                client.send(request_bytes("GET /"))
                with backend.asked(b"HTTP/1.1 204 No Content\r\n\r\n"):
                    assert client.response().status == 204

        app.close()  # waits for their ends
        with open_tunnel(port, backend), open_tunnel(port, backend):
            pass


def test_handshakes_at_once_do_not_pass_max_websockets(backend):
    with proxied(backend.url, max_websockets=1) as (_, port), ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(2)]
        asked = []
        for client in clients:
            client.send(request_bytes("GET /", HANDSHAKE))
            asked.append(stack.enter_context(backend.asked()))
        statuses = []
        for client, (_, sock) in zip(clients, asked, strict=True):
            sock.sendall(SWITCHED)
            client.read_until(b" ")
            statuses.append(client.read_until(b" "))
        assert statuses == [b"101 ", b"503 "]


def test_without_upgrade_it_gets_501(backend):
    with proxied(backend.url, upgrade=()) as (_, port):
        response = raw_exchange(port, request_bytes("GET /", HANDSHAKE))
        assert response.status == 501
        assert b"WebSocket" in response.body
        assert not backend.was_asked()


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_another_protocol_that_is_allowed_passes(method, backend):
    asked = [("Upgrade", "Foo"), ("Connection", "Upgrade")]
    answer = f"{SWITCH}Upgrade: foo\r\nConnection: upgrade\r\n\r\nfirst".encode()
    with proxied(backend.url, upgrade=["foo"]) as (_, port), RawClient(port) as client:
        client.send(request_bytes(f"{method} /", asked))
        with backend.asked(answer) as (request, sock):
            assert request.values("Upgrade") == ["foo"]
            assert client.read_until(b"first").startswith(SWITCH.encode())
            client.send(b"second")
            assert received(sock, 6) == b"second"


@pytest.mark.parametrize("name", ["h2c", "H2C", "h2", "h3", "a b/", ""])
def test_other_versions_of_http_are_no_protocol_to_go_over_to(name):
    with pytest.raises(ConfigurationError, match="upgrade"):
        WSGIProxyApp("http://127.0.0.1:1", upgrade=[name])


def test_neither_side_reads_and_nothing_is_kept(backend, port):
    block = bytes(1 << 20)
    with open_tunnel(port, backend) as (client, sock):
        sent = [0, 0]
        ends = [client._sock, sock]
        for end in ends:
            end.settimeout(1)

        def fill(number: int) -> None:
            with suppress(TimeoutError):
                while True:
                    sent[number] += ends[number].send(block)

        threads = [threading.Thread(target=fill, args=[number]) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        # What the buffers of the kernel take; the proxy has one block of each way.
        assert max(sent) < 1 << 25
        sock.settimeout(10)
        found = 0
        client.shutdown_write()
        while block := sock.recv(1 << 20):
            found += len(block)
        assert found == sent[0]


def test_a_thousand_connects_and_cuts_leave_nothing(backend):
    with proxied(backend.url) as (_, port):
        with open_tunnel(port, backend):
            pass
        before = None
        for number in range(1000):
            with open_tunnel(port, backend) as (client, sock):
                if number % 4 == 0:
                    client.reset()
                elif number % 4 == 1:
                    sock.close()
                elif number % 4 == 2:
                    client.send(b"x" * 100_000)
                    client.close()
            if number == 50:
                before = len(descriptors()), threading.active_count()
        assert before is not None
        threads, files = before[1] + 2, before[0] + 8
        until(lambda: threading.active_count() <= threads, "end of the threads")
        until(lambda: len(descriptors()) <= files, "end of the descriptors")
