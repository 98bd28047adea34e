"""Opening connections in an event loop: TLS, Unix sockets, parent proxies, guards, addresses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import socket
import ssl
import threading
import time

import pytest
import trustme

from tests.support.answers import Answers
from tests.support.loops import in_thread, until
from tests.support.upstream import RawUpstream, answer
from tests.transport.aio.test_reuse import GET, POST, ask, origin_of, stream
from wsgiproxy.errors import ConnectFailed, Forbidden, UpstreamLost, UpstreamTimeout
from wsgiproxy.guard import Guard
from wsgiproxy.sansio.message import Origin
from wsgiproxy.transport.aio import dial


def https(upstream: RawUpstream, host: str = "127.0.0.1") -> Origin:
    return Origin("https", host, upstream.port)


async def read(transport, origin: Origin, request=GET, body=None) -> bytes:
    return await (await transport.send(origin, request, body and stream(body))).read()


# -- TLS -------------------------------------------------------------------------------


async def test_a_certificate_of_the_given_authority_is_accepted(tls_upstream, made, ca_file):
    tls_upstream.behaviour = answer(body=b"x")
    transport = made(ca_file=ca_file)
    for _ in range(4):
        assert await read(transport, https(tls_upstream)) == b"x"
    await transport.check(https(tls_upstream))
    assert len({each.connection for each in tls_upstream.requests}) == 1


@pytest.mark.parametrize(
    ("host", "with_authority"),
    [
        pytest.param("127.0.0.1", False, id="unknown-authority"),
        pytest.param("127.0.0.2", True, id="another-address"),
    ],
)
async def test_other_certificates_are_refused(tls_upstream, made, ca_file, host, with_authority):
    transport = made(ca_file=ca_file if with_authority else None)
    with pytest.raises(ConnectFailed):
        await read(transport, https(tls_upstream, host))
    assert tls_upstream.requests == []


async def test_verification_can_be_switched_off(tls_upstream, made):
    tls_upstream.behaviour = answer(body=b"x")
    assert await read(made(verify=False), https(tls_upstream)) == b"x"


async def test_a_client_certificate_is_shown(tmp_path, made):
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("client.example").private_key_and_cert_chain_pem
    client.write_to_path(str(tmp_path / "client.pem"))
    ca_file = str(tmp_path / "ca.pem")
    with RawUpstream(answer(body=b"x"), tls=server) as upstream:
        transport = made(ca_file=ca_file, client_cert=str(tmp_path / "client.pem"))
        assert await read(transport, https(upstream)) == b"x"
        # TLS 1.3: the handshake is complete at our end when the server refuses it.
        for _ in range(20):
            with pytest.raises((ConnectFailed, UpstreamLost)):
                await asyncio.wait_for(read(made(ca_file=ca_file), https(upstream)), 5)
        transport.close()


async def test_a_connection_that_ends_before_it_is_used(tls_upstream, made, ca_file, monkeypatch):
    """The loop has seen the end already; there is nothing more to wait for."""
    tls_upstream.behaviour = lambda connection: connection.close()
    opened = dial._opened

    async def open_and_lose(*arguments):
        connection = await opened(*arguments)
        assert await until(lambda: connection.is_dead)
        return connection

    monkeypatch.setattr(dial, "_opened", open_and_lose)
    with pytest.raises(UpstreamLost):
        await asyncio.wait_for(read(made(ca_file=ca_file), https(tls_upstream)), 5)


async def test_a_handshake_has_the_same_limit(made, upstream):
    """Of the error for what was too slow, too."""
    upstream.behaviour = [("wait_ended",)]
    transport = made(connect_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout, match=r"connect_timeout=0\.3"):
        await transport.check(https(upstream))
    assert 0.3 <= time.monotonic() - began < 1.3
    assert await in_thread(upstream.wait_closed)


def end_of_tls(connection, in_order: bool, raw: bytes) -> None:
    connection.read()
    connection.send(raw)
    if in_order:
        # Sends close_notify; the client's own is not waited for.
        connection._sock.setblocking(False)
        with contextlib.suppress(OSError, ValueError):
            connection._sock.unwrap()
    number = connection._sock.detach()
    socket.socket(fileno=number).close()
    connection.closed = True


@pytest.mark.parametrize("slow", [False, True], ids=["", "slow-client"])
@pytest.mark.parametrize("in_order", [True, False], ids=["close_notify", "cut"])
async def test_how_an_answer_without_length_ends_over_tls(
    tls_upstream, made, ca_file, in_order, slow
):
    """The kernel's FIN alone could come from anybody on the way."""
    raw = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000
    done = threading.Event()

    def behave(connection) -> None:
        end_of_tls(connection, in_order, raw)
        done.set()

    tls_upstream.behaviour = behave
    reply = await made(ca_file=ca_file).send(https(tls_upstream), GET)
    got = await anext(reply)
    if slow:
        assert await in_thread(done.wait, 5)
    if in_order:
        assert len(got + await reply.read()) == 200_000
    else:
        with pytest.raises(UpstreamLost):
            await reply.read()


async def test_a_tls_upload_larger_than_all_buffers(tls_upstream, made, ca_file):
    taken = threading.Event()
    tls_upstream.behaviour = [("wait", taken), ("read",), ("send", answer(body=b"x"))]
    body = random.Random(7).randbytes(1 << 23)
    blocks = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    request = POST._replace(content_length=len(body))
    transport = made(ca_file=ca_file)
    asking = asyncio.ensure_future(read(transport, https(tls_upstream), request, blocks))

    def is_stalled() -> bool:
        replies = transport._place().ticker._due
        return any(each._connection and each._connection.is_stalled for each in replies)

    assert await until(is_stalled)
    taken.set()
    assert await asking == b"x"
    assert tls_upstream.requests[0].body == body


async def test_a_post_is_not_sent_twice_over_tls(tls_files, made, ca_file):
    def behave(connection) -> None:
        if connection.number:
            connection.follow(answer(body=b"2"))
        connection.read()
        connection.send(answer(body=b"1"))
        connection.read_head()
        connection.reset()

    with RawUpstream(behave, tls=tls_files[0]) as upstream:
        transport = made(ca_file=ca_file)
        await read(transport, https(upstream))
        request = POST._replace(content_length=1 << 22)
        with pytest.raises(UpstreamLost):
            await read(transport, https(upstream), request, [b"x" * 65536] * 64)
        assert [each.method for each in upstream.requests] == ["GET", "POST"]


# -- Unix sockets ----------------------------------------------------------------------


async def test_a_unix_socket(unix_upstream, transport):
    unix_upstream.behaviour = answer(body=b"x")
    origin = Origin("http", "localhost", 80, unix_upstream.path)
    assert await read(transport, origin) == b"x"
    assert (await transport.send(origin, GET)).reused


async def test_an_abstract_unix_socket(transport):
    name = f"wsgiproxy-test-{os.getpid()}-{random.random()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer(body=b"x"))

        serving = threading.Thread(target=serve)
        serving.start()
        assert await read(transport, Origin("http", "localhost", 80, f"@{name}")) == b"x"
        await in_thread(serving.join, 5)


async def test_a_unix_socket_that_is_not_there(transport, tmp_path):
    with pytest.raises(ConnectFailed):
        await read(transport, Origin("http", "localhost", 80, str(tmp_path / "none")))


async def test_a_unix_upstream_that_answers_and_closes_while_we_write(unix_upstream, transport):
    unix_upstream.behaviour = [
        ("read_head",),
        ("send", answer(413, [("Connection", "close")], b"no" * 50_000)),
        ("close",),
    ]
    origin = Origin("http", "localhost", 80, unix_upstream.path)
    request = POST._replace(content_length=1 << 24)
    reply = await transport.send(origin, request, stream([b"x" * 65536] * 256))
    assert (reply.head.status, await reply.read()) == (413, b"no" * 50_000)


# -- parent proxies --------------------------------------------------------------------


async def test_a_parent_proxy_makes_a_tunnel(upstream, parent, made):
    upstream.behaviour = answer(body=b"x")
    transport = made(parent_proxy=f"http://us%65r:pass@127.0.0.1:{parent.port}")
    origin = Origin("http", "localhost", upstream.port)
    assert await read(transport, origin) == b"x"
    assert (await transport.send(origin, GET)).reused
    assert parent.asked[0].startswith(b"CONNECT localhost:%d HTTP/1." % upstream.port)
    assert base64.b64encode(b"user:pass") in parent.asked[0]
    assert upstream.requests[0].values("Proxy-Authorization") == []


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_parent_proxy_and_tls(tls_upstream, parent, made, ca_file, scheme):
    tls_upstream.behaviour = answer(body=b"x")
    transport = made(parent_proxy=f"{scheme}://127.0.0.1:{parent.port}", ca_file=ca_file)
    assert await read(transport, https(tls_upstream, "localhost")) == b"x"


async def test_a_socks_parent_resolves_the_name(upstream, parent, made):
    upstream.behaviour = answer(body=b"x")
    transport = made(parent_proxy=f"socks5h://127.0.0.1:{parent.port}")
    assert await read(transport, Origin("http", "name.example", upstream.port)) == b"x"
    assert b"name.example" in parent.asked[0]


@pytest.mark.parametrize("raw", [b"junk\r\n\r\n", answer(403), b"x" * 70_000])
async def test_a_parent_that_refuses(upstream, made, raw):
    upstream.behaviour = [("read_head",), ("send", raw), ("close",)]
    transport = made(parent_proxy=f"http://127.0.0.1:{upstream.port}")
    with pytest.raises(ConnectFailed):
        await read(transport, Origin("https", "name.example", 443))


async def test_a_request_that_is_cancelled_while_its_parent_makes_the_tunnel(upstream, made):
    """The thread goes on until the parent answers; its connection is closed then."""
    go = threading.Event()
    upstream.behaviour = [("read_head",), ("wait", go), ("send", b"HTTP/1.1 200 OK\r\n\r\n")]
    transport = made(parent_proxy=f"http://127.0.0.1:{upstream.port}")
    asking = asyncio.ensure_future(read(transport, Origin("http", "name.example", 80)))
    await in_thread(upstream.wait_for_requests, 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    assert await in_thread(upstream.wait_closed)


# -- addresses -------------------------------------------------------------------------


class Full:
    """An address that never answers: its backlog is full."""

    def __init__(self, address: str = "127.0.0.2", port: int = 0) -> None:
        self._sockets = [socket.create_server((address, port), backlog=0)]
        self.port = self._sockets[0].getsockname()[1]
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((address, self.port))
            self._sockets.append(sock)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for sock in self._sockets:
            sock.close()


async def test_connecting_has_a_limit(made):
    with Full() as full:
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"connect_timeout=0\.3"):
            await read(made(connect_timeout=0.3), Origin("http", "127.0.0.2", full.port))
        assert 0.3 <= time.monotonic() - began < 1.3


async def test_the_second_address_is_tried_when_the_first_does_not_answer(upstream, made):
    upstream.behaviour = answer(body=b"x")
    resolve = Answers(["127.0.0.2", "127.0.0.1"])
    transport = made(connect_timeout=5, guard=Guard(allow="127.0.0.0/8:*", resolve=resolve))
    with Full(port=upstream.port):
        began = time.monotonic()
        assert await read(transport, Origin("http", "two.example", upstream.port)) == b"x"
        assert time.monotonic() - began < 3


async def test_the_connecting_socket_sends_small_packets_at_once(upstream, transport):
    upstream.behaviour = answer(body=b"x")
    await ask(transport, upstream)
    ((kept,),) = transport._place().pool._idle.values()
    assert kept._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "a" * 64 + ".invalid", "..", "\xff\udc80"]
)
async def test_a_name_that_leads_nowhere(transport, host):
    with pytest.raises(ConnectFailed):
        await read(transport, Origin("http", host, 80))


async def test_a_port_without_a_listener(transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ConnectFailed) as caught:
            await read(transport, Origin("http", "127.0.0.1", port))
    assert str(port) in str(caught.value)
    assert str(port) not in caught.value.public


async def test_a_cancellation_that_meets_the_connection_is_not_lost(
    upstream, transport, monkeypatch
):
    """Both in the same turn of the loop."""
    connect = dial.start_connection

    async def connect_and_cancel(*arguments, **options):
        sock = await connect(*arguments, **options)
        asking.cancel()
        return sock

    monkeypatch.setattr(dial, "start_connection", connect_and_cancel)
    asking = asyncio.ensure_future(ask(transport, upstream))
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await in_thread(upstream.wait_until, lambda: upstream.connections == 1)
    assert await in_thread(upstream.wait_closed)
    assert upstream.requests == []


# -- guards ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "::ffff:127.0.0.1", "0"])
async def test_this_machine_is_refused(made, upstream, host):
    transport = made(guard=Guard(ports=upstream.port))
    origin = Origin("http", host, upstream.port)
    with pytest.raises(Forbidden):
        await transport.check(origin)
    with pytest.raises(Forbidden):
        await read(transport, origin)
    assert upstream.connections == 0


async def test_a_name_is_looked_up_for_each_connection_once(made, upstream):
    upstream.behaviour = answer(body=b"x")
    resolve = Answers(["127.0.0.1"], ["127.0.0.2"])
    transport = made(guard=Guard(allow="127.0.0.1:*", resolve=resolve))
    origin = Origin("http", "rebinding.example", upstream.port)
    for _ in range(3):
        assert await read(transport, origin) == b"x"
    assert resolve.asked == [("rebinding.example", upstream.port)]
    transport.close()
    with pytest.raises(Forbidden, match=r"127\.0\.0\.2 is loopback"):
        await read(transport, origin)
    assert upstream.connections == 1


async def test_the_connection_goes_to_the_address_that_was_judged(made, monkeypatch):
    asked: list[object] = []

    async def refuse(addresses, **options):
        asked.extend(each[4] for each in addresses)
        raise ConnectionRefusedError("not in a test")

    monkeypatch.setattr(dial, "start_connection", refuse)
    many = [f"93.184.215.{number}" for number in range(200)]
    resolve = Answers(["93.184.215.14"], ["93.184.215.14", "10.0.0.1"], [*many, *many])
    transport = made(guard=Guard(resolve=resolve))
    origin = Origin("http", "public.example", 80)
    with pytest.raises(ConnectFailed):
        await read(transport, origin)
    assert asked == [("93.184.215.14", 80)]
    with pytest.raises(Forbidden):
        await read(transport, origin)
    assert len(resolve.asked) == 2 and len(asked) == 1


async def test_an_address_that_leads_elsewhere_is_refused(made, upstream, monkeypatch):
    connect = dial.start_connection

    async def elsewhere(addresses, **options):
        return await connect([(*addresses[0][:4], ("127.0.0.1", upstream.port))])

    monkeypatch.setattr(dial, "start_connection", elsewhere)
    transport = made(guard=Guard(resolve=Answers(["93.184.215.14"])))
    with pytest.raises(Forbidden):
        await read(transport, Origin("http", "public.example", 80))
    assert await in_thread(upstream.wait_until, lambda: upstream.connections == 1)
    assert await in_thread(upstream.wait_closed)
    assert upstream.requests == []


async def test_a_kept_connection_is_asked_for_anew(made, upstream):
    closed: list[bool] = []

    class Closable(Guard):
        def check(self, host: str, port: int) -> None:
            if closed:
                raise Forbidden("closed")
            super().check(host, port)

    upstream.behaviour = answer(body=b"x")
    transport = made(guard=Closable(allow="127.0.0.1:*"))
    for _ in range(2):
        await ask(transport, upstream)
    closed.append(True)
    with pytest.raises(Forbidden, match="^closed$"):
        await ask(transport, upstream)
    assert (upstream.connections, len(upstream.requests)) == (1, 2)


async def test_unix_sockets_are_not_for_destinations_that_users_choose(made, unix_upstream):
    with pytest.raises(Forbidden):
        await read(made(guard=Guard(allow="*:*")), Origin("http", "a", 80, unix_upstream.path))
    assert unix_upstream.connections == 0


async def test_a_refused_request_costs_no_body(made):
    body = stream([b"body"])
    with pytest.raises(Forbidden):
        await made(guard=True).send(Origin("http", "127.0.0.1", 80), POST, body)
    assert await anext(body) == b"body"


@pytest.mark.parametrize(
    ("host", "good"),
    [
        pytest.param("127.0.0.1", True, id="address"),
        pytest.param("upstream.example", True, id="name"),
        pytest.param("upstream.example.", True, id="name-with-a-dot"),
        pytest.param("other.example", False, id="another-name-at-the-same-address"),
        pytest.param("127.0.0.2", False, id="another-address"),
    ],
)
async def test_the_certificate_has_to_be_the_names(tls_upstream, made, ca_file, host, good):
    tls_upstream.behaviour = answer(body=b"x")
    guard = Guard(allow="127.0.0.0/8:*", resolve=Answers(["127.0.0.1"]))
    transport = made(guard=guard, ca_file=ca_file)
    if good:
        assert await read(transport, https(tls_upstream, host)) == b"x"
        return
    with pytest.raises(ConnectFailed):
        await read(transport, https(tls_upstream, host))
    assert tls_upstream.requests == []


async def test_an_origin_of_ipv6(transport):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        port = listener.getsockname()[1]
        await transport.check(Origin("http", "::1", port))


async def test_origins_are_told_apart(upstream, transport):
    upstream.behaviour = answer(body=b"x")
    assert await read(transport, origin_of(upstream)) == b"x"
    assert not (await transport.send(origin_of(upstream)._replace(host="localhost"), GET)).reused
