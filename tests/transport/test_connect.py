"""Opening connections: TLS identities, parent proxies, and what configuration refuses."""

from __future__ import annotations

import base64
import random
import select
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from tests.spawn.children import until
from tests.support.parent import ParentProxy
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError, ConnectFailed, UpstreamLost, UpstreamTimeout
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport import PooledTransport

GET = Request("GET", "/", [("Host", "upstream.example")])


def https(upstream: RawUpstream, host: str = "127.0.0.1") -> Origin:
    return Origin("https", host, upstream.port)


@pytest.fixture
def ca_file(tls_files) -> str:
    return str(tls_files[1])


def test_a_certificate_of_the_given_authority_is_accepted(tls_upstream, ca_file):
    tls_upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(ca_file=ca_file)
    assert transport.send(https(tls_upstream), GET).read() == b"x"
    assert transport.send(https(tls_upstream), GET).reused
    transport.close()


@pytest.mark.parametrize(
    ("host", "with_authority"),
    [
        pytest.param("127.0.0.1", False, id="unknown-authority"),
        pytest.param("127.0.0.2", True, id="another-name"),
    ],
)
def test_other_certificates_are_refused(tls_upstream, ca_file, host, with_authority):
    transport = PooledTransport(ca_file=ca_file if with_authority else None)
    with pytest.raises(ConnectFailed):
        transport.send(https(tls_upstream, host), GET)
    assert tls_upstream.requests == []


def test_verification_can_be_switched_off(tls_upstream):
    tls_upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(verify=False)
    assert transport.send(https(tls_upstream), GET).read() == b"x"
    transport.close()


def test_the_server_name_is_the_host_that_is_connected_to(tls_files):
    names: list[str | None] = []
    context = tls_files[0]
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    with RawUpstream(answer(), tls=context) as upstream:
        transport = PooledTransport(ca_file=str(tls_files[1]))
        transport.send(https(upstream, "localhost"), GET).read()
        transport.close()
    context.sni_callback = None
    assert names == ["localhost"]


def test_a_client_certificate_is_shown(tmp_path):
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("client.example").private_key_and_cert_chain_pem
    client.write_to_path(str(tmp_path / "client.pem"))
    with RawUpstream(answer(body=b"x"), tls=server) as upstream:
        transport = PooledTransport(
            ca_file=str(tmp_path / "ca.pem"), client_cert=str(tmp_path / "client.pem")
        )
        assert transport.send(https(upstream), GET).read() == b"x"
        transport.close()
        bare = PooledTransport(ca_file=str(tmp_path / "ca.pem"))
        with pytest.raises((ConnectFailed, UpstreamLost)):
            bare.send(https(upstream), GET)


def test_tls_that_ends_without_close_notify_is_a_cut(tls_upstream, ca_file):
    # The kernel's FIN alone could come from anybody on the way.
    def cut(connection) -> None:
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        raw = connection._sock.detach()
        socket.socket(fileno=raw).close()
        connection.closed = True

    tls_upstream.behaviour = cut
    transport = PooledTransport(ca_file=ca_file)
    with pytest.raises(UpstreamLost):
        transport.send(https(tls_upstream), GET).read()


def test_a_tls_upload_larger_than_all_buffers(tls_upstream, ca_file):
    tls_upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(ca_file=ca_file)
    request = GET._replace(method="POST", content_length=1 << 22)
    reply = transport.send(https(tls_upstream), request, iter([b"x" * 65536] * 64))
    assert reply.read() == b"x"
    assert len(tls_upstream.requests[0].body) == 1 << 22
    transport.close()


@pytest.fixture
def parent() -> Iterator[ParentProxy]:
    parent = ParentProxy()
    yield parent
    parent.close()


def test_a_parent_proxy_makes_a_tunnel(upstream, parent):
    upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(parent_proxy=f"http://us%65r:pass@127.0.0.1:{parent.port}")
    origin = Origin("http", "localhost", upstream.port)
    assert transport.send(origin, GET).read() == b"x"
    assert transport.send(origin, GET).reused
    transport.close()
    credentials = base64.b64encode(b"user:pass")
    assert parent.asked[0].startswith(b"CONNECT localhost:%d HTTP/1." % upstream.port)
    assert credentials in parent.asked[0]
    assert upstream.requests[0].line == "GET / HTTP/1.1"
    assert upstream.requests[0].values("Proxy-Authorization") == []


def test_a_parent_proxy_and_tls(tls_upstream, parent, ca_file):
    tls_upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(parent_proxy=f"http://127.0.0.1:{parent.port}", ca_file=ca_file)
    assert transport.send(https(tls_upstream, "localhost"), GET).read() == b"x"
    transport.close()


def test_a_socks_parent_resolves_the_name(upstream, parent):
    upstream.behaviour = answer(body=b"x")
    transport = PooledTransport(parent_proxy=f"socks5h://127.0.0.1:{parent.port}")
    assert transport.send(Origin("http", "name.example", upstream.port), GET).read() == b"x"
    transport.close()
    assert b"name.example" in parent.asked[0]


def test_a_parent_that_refuses(upstream):
    upstream.behaviour = answer(403)
    transport = PooledTransport(parent_proxy=f"http://127.0.0.1:{upstream.port}")
    with pytest.raises(ConnectFailed):
        transport.send(Origin("https", "name.example", 443), GET)


@pytest.mark.parametrize("raw", [b"junk\r\n\r\n", b"HTTP/1.1 2x\r\n\r\n", b"x" * 70_000])
def test_a_parent_that_does_not_speak_http(upstream, raw):
    upstream.behaviour = [("read_head",), ("send", raw), ("close",)]
    transport = PooledTransport(parent_proxy=f"http://127.0.0.1:{upstream.port}")
    with pytest.raises(ConnectFailed):
        transport.send(Origin("https", "name.example", 443), GET)


def test_a_post_is_not_sent_twice_over_tls(tls_files):
    # A write of several records can fail after some of them are out.
    def behave(connection) -> None:
        if connection.number:
            connection.follow(answer(body=b"2"))
        connection.read()
        connection.send(answer(body=b"1"))
        connection.read_head()
        connection.reset()

    with RawUpstream(behave, tls=tls_files[0]) as upstream:
        transport = PooledTransport(ca_file=str(tls_files[1]))
        transport.send(https(upstream), GET).read()
        request = GET._replace(method="POST", content_length=1 << 22)
        with pytest.raises(UpstreamLost):
            transport.send(https(upstream), request, iter([b"x" * 65536] * 64))
        assert [each.method for each in upstream.requests] == ["GET", "POST"]
        transport.close()


def test_the_environment_is_ignored(upstream, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream.behaviour = answer(body=b"x")
    transport = PooledTransport()
    assert transport.send(Origin("http", "127.0.0.1", upstream.port), GET).read() == b"x"
    transport.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("ca_file", "/no/such/file", id="ca-file-missing"),
        pytest.param("ca_file", __file__, id="ca-file-not-pem"),
        pytest.param("client_cert", "/no/such/file", id="client-cert-missing"),
        pytest.param("parent_proxy", "ftp://127.0.0.1", id="parent-scheme"),
        pytest.param("parent_proxy", "127.0.0.1:3128", id="parent-without-scheme"),
        pytest.param("parent_proxy", "http://", id="parent-without-host"),
        pytest.param("parent_proxy", "http://a:x/", id="parent-port"),
    ],
)
def test_bad_settings_fail_at_construction(setting, value):
    with pytest.raises(ConfigurationError) as caught:
        PooledTransport(**{setting: value})
    assert setting in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_silence_over_tls_is_waited_for_and_not_looked_at_again_and_again(tls_upstream, ca_file):
    tls_upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("wait_ended",),
    ]
    transport = PooledTransport(ca_file=ca_file, idle_timeout=1.2)
    reply = transport.send(https(tls_upstream), GET)
    reply.pulse()
    blocks = []
    with pytest.raises(UpstreamTimeout):
        while True:
            blocks.append(next(reply))
    assert blocks[0] == b"hello" and 2 <= len(blocks[1:]) <= 4


def test_an_upload_that_the_other_side_takes_slowly_loses_no_byte(tls_upstream, ca_file):
    """A write that would block has sent nothing, over TLS too."""
    taken = threading.Event()
    tls_upstream.behaviour = [("wait", taken), ("read",), ("send", answer(body=b"x"))]
    body = random.Random(7).randbytes(6 * 1024 * 1024)
    blocks = [body[at : at + 65536] for at in range(0, len(body), 65536)]

    def take_when_full(sock: socket.socket) -> None:
        until(lambda: not select.select([], [sock], [], 0)[1], "a write that would block")
        taken.set()

    def narrow(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        threading.Thread(target=take_when_full, args=[sock]).start()

    transport = PooledTransport(ca_file=ca_file, connected=narrow)
    request = Request("PUT", "/", [("Host", "a")], content_length=len(body))
    assert transport.send(https(tls_upstream), request, blocks).read() == b"x"
    assert tls_upstream.requests[0].body == body
