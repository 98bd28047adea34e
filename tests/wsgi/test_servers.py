"""WebSocket in each server that gives a socket, by a client and a server of another library."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.server.serving import until
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.fronts import Front, front
from tests.support.rounds import FULL
from tests.wsgi.peer import HANDSHAKE, Peer, open_tunnel, peer

pytestmark = pytest.mark.in_turns(2)

#: They give the client's socket.
CARRYING = ("handler", "werkzeug", "gunicorn", "gunicorn-sync", "gunicorn-gevent", "pywsgi")
#: They give none.
REFUSING = ("wsgiref", "waitress", "cheroot", "granian", "paste")
#: Those that end TLS themselves, and give its socket.
WITH_TLS = CARRYING[1:]

Backend: TypeAlias = "tuple[Server, Server, Path, Path]"


def echo(connection: ServerConnection) -> None:
    """Answers each message with itself, and "leave" with a code."""
    try:
        for message in connection:
            if message == "leave":
                return connection.close(4001, "as you say")
            connection.send(message)
    except ConnectionClosed:
        pass
    return None


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Two servers, ws and wss; a certificate with its key, and its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    folder = tmp_path_factory.mktemp("wss")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with (
        serve(echo, "127.0.0.1", 0, max_size=None) as plain,
        serve(echo, "127.0.0.1", 0, max_size=None, ssl=context) as tls,
    ):
        threads = [threading.Thread(target=each.serve_forever) for each in (plain, tls)]
        for thread in threads:
            thread.start()
        yield plain, tls, folder / "server.pem", folder / "authority.pem"
        for each, thread in zip((plain, tls), threads, strict=True):
            each.shutdown()
            thread.join(10)


def converse(url: str, context: ssl.SSLContext | None = None) -> None:
    """All that a WebSocket can do."""
    large = os.urandom(1 << 20)
    with connect(url, ssl=context, max_size=None) as client:
        for message in ("h\xe9llo", b"\x00\xff", large):
            client.send(message)
            assert client.recv(10) == message
        assert client.ping().wait(10)
        client.send("leave")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(10)
    closed = caught.value.rcvd
    assert closed is not None
    assert (closed.code, closed.reason) == (4001, "as you say")


def url_of(server: Server, scheme: str) -> str:
    return f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}"


def settled(server: Front) -> str:
    """The log, once our record is there."""
    until(lambda: "GET '/chat' 101 " in server.log, "record")
    return server.log


@pytest.mark.parametrize("name", CARRYING)
def test_websocket_passes(name, backend):
    env = {"UPSTREAM": url_of(backend[0], "http")}
    with front(name, "tests.wsgi.apps:reverse", env) as server:
        converse(f"ws://127.0.0.1:{server.port}/chat")
        log = settled(server)
        assert log.count("GET '/chat' 101 ") == 1
        assert "Traceback" not in log


# Nothing is left to a single side: both are TLS.
@pytest.mark.parametrize("name", WITH_TLS if FULL else ("gunicorn",))
def test_websocket_passes_with_tls_on_both_sides(name, backend):
    _, tls, certificate, authority = backend
    options = json.dumps({"ca_file": str(authority)})
    env = {"UPSTREAM": url_of(tls, "https"), "OPTIONS": options, "CERTIFICATE": str(certificate)}
    context = ssl.create_default_context(cafile=str(authority))
    with front(name, "tests.wsgi.apps:reverse", env) as server:
        converse(f"wss://127.0.0.1:{server.port}/chat", context)
        settled(server)


@contextlib.contextmanager
def played(name: str) -> Iterator[tuple[Peer, Front]]:
    """A server in front of an upstream that the test plays."""
    with peer() as found, front(name, "tests.wsgi.apps:reverse", {"UPSTREAM": found.url}) as server:
        yield found, server


@pytest.mark.parametrize("name", REFUSING if FULL else ("waitress",))
def test_without_a_socket_it_gets_501(name):
    with played(name) as (found, server):
        response = raw_exchange(server.port, request_bytes("GET /", HANDSHAKE))
        assert (response.status, response.complete) == (501, True)
        assert b"WebSocket" in response.body
        assert "gunicorn, Werkzeug, gevent.pywsgi, paste.httpserver" in server.log
        assert "the extra asgi" in server.log
        assert not found.was_asked()


# The sync worker serves one request at a time: it ends with the request, or by force.
@pytest.mark.parametrize("name", CARRYING if FULL else ("gunicorn",))
def test_open_one_ends_with_the_server(name):
    with (
        played(name) as (found, server),
        open_tunnel(server.port, found, b"early", b"bytes") as (client, sock),
    ):
        assert client.read_until(b"bytes")
        assert sock.recv(10) == b"early"
        server.stop()  # waits for ten seconds at most
        assert client.closed_by_server()
        assert sock.recv(1) == b""


@pytest.mark.parametrize("name", ["gunicorn-gevent", "pywsgi"] if FULL else ["pywsgi"])
def test_another_tunnel_in_gevent_is_served_meanwhile(name):
    with (
        played(name) as (found, server),
        open_tunnel(server.port, found) as (client, sock),
    ):
        with open_tunnel(server.port, found, b"early"), RawClient(server.port) as other:
            other.send(request_bytes("GET /"))
            with found.asked(b"HTTP/1.1 204 No Content\r\n\r\n"):
                assert other.response().status == 204
        client.send(b"still there")
        assert sock.recv(20) == b"still there"
