"""A transport with a guard: where it connects to, what TLS still checks, what it keeps."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import Answers
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError, ConnectFailed, Forbidden
from wsgiproxy.guard import Guard
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport import PooledTransport

GET = Request("GET", "/", [("Host", "upstream.example")])


@pytest.fixture
def made() -> Iterator[Callable[..., PooledTransport]]:
    """Make a transport; closed at the end."""
    transports: list[PooledTransport] = []

    def make(guard: Guard | bool, **options: Any) -> PooledTransport:
        transports.append(PooledTransport(guard=guard, **options))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1", id="address"),
        pytest.param("localhost", id="name"),
        pytest.param("127.1", id="old-spelling"),
        pytest.param("::ffff:127.0.0.1", id="mapped"),
        pytest.param("0", id="unspecified"),
    ],
)
def test_this_machine_is_refused(
    made: Callable[..., PooledTransport], upstream: RawUpstream, host: str
) -> None:
    transport = made(Guard(ports=upstream.port))
    origin = Origin("http", host, upstream.port)
    for ask in (transport.check, lambda origin: transport.send(origin, GET)):
        with pytest.raises(Forbidden):
            ask(origin)
    assert upstream.connections == 0


def test_without_a_guard_everything_is_allowed(
    made: Callable[..., PooledTransport], upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(body=b"x")
    assert made(False).send(Origin("http", "127.1", upstream.port), GET).read() == b"x"


def test_a_name_is_looked_up_for_each_connection_once(
    made: Callable[..., PooledTransport], upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(body=b"x")
    resolve = Answers(["127.0.0.1"], ["127.0.0.2"])
    transport = made(Guard(allow="127.0.0.1:*", resolve=resolve))
    origin = Origin("http", "rebinding.example", upstream.port)
    replies = [transport.send(origin, GET) for _ in range(3)]
    assert [reply.read() for reply in replies] == [b"x"] * 3
    assert [reply.reused for reply in replies] == [False, True, True]
    assert resolve.asked == [("rebinding.example", upstream.port)]
    transport.close()
    with pytest.raises(Forbidden, match=r"127\.0\.0\.2 is loopback"):
        transport.send(origin, GET)
    assert upstream.connections == 1


def test_a_kept_connection_is_asked_for_anew(
    made: Callable[..., PooledTransport], upstream: RawUpstream
) -> None:
    closed: list[bool] = []

    class Closable(Guard):
        def check(self, host: str, port: int) -> None:
            if closed:
                raise Forbidden("closed")
            super().check(host, port)

    upstream.behaviour = answer(body=b"x")
    transport = made(Closable(allow="127.0.0.1:*"))
    origin = Origin("http", "127.0.0.1", upstream.port)
    for _ in range(2):
        transport.send(origin, GET).read()
    closed.append(True)
    with pytest.raises(Forbidden, match="^closed$"):
        transport.send(origin, GET)
    assert (upstream.connections, len(upstream.requests)) == (1, 2)


def test_a_refused_request_costs_no_body(
    made: Callable[..., PooledTransport], upstream: RawUpstream
) -> None:
    body = iter([b"body"])
    request = GET._replace(method="POST", content_length=4)
    with pytest.raises(Forbidden):
        made(True).send(Origin("http", "127.0.0.1", 80), request, body)
    assert next(body) == b"body"


# -- TLS -------------------------------------------------------------------------------


def test_tls_verifies_and_names_the_name(
    made: Callable[..., PooledTransport], tls_files: tuple[ssl.SSLContext, Path]
) -> None:
    names: list[str | None] = []
    context = tls_files[0]
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    resolve = Answers(["127.0.0.1"])
    with RawUpstream(answer(body=b"x"), tls=context) as upstream:
        guard = Guard(allow="upstream.example:*", resolve=resolve)
        transport = made(guard, ca_file=str(tls_files[1]))
        origin = Origin("https", "upstream.example", upstream.port)
        assert transport.send(origin, GET).read() == b"x"
        assert transport.send(origin, GET).reused
        transport.close()
    context.sni_callback = None
    assert names == ["upstream.example"]
    assert resolve.asked == [("upstream.example", origin.port)]


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
def test_the_certificate_has_to_be_the_names(
    made: Callable[..., PooledTransport],
    tls_upstream: RawUpstream,
    tls_files: tuple[ssl.SSLContext, Path],
    host: str,
    good: bool,
) -> None:
    tls_upstream.behaviour = answer(body=b"x")
    guard = Guard(allow="127.0.0.0/8:*", resolve=Answers(["127.0.0.1"]))
    transport = made(guard, ca_file=str(tls_files[1]))
    origin = Origin("https", host, tls_upstream.port)
    if good:
        transport.check(origin)
        assert transport.send(origin, GET).read() == b"x"
        return
    for ask in (transport.check, lambda origin: transport.send(origin, GET)):
        with pytest.raises(ConnectFailed):
            ask(origin)
    assert tls_upstream.requests == []


# -- what a guard does not go with -----------------------------------------------------


def test_unix_sockets_are_not_for_destinations_that_users_choose(
    made: Callable[..., PooledTransport], unix_upstream: RawUpstream
) -> None:
    transport = made(Guard(allow="*:*"))
    origin = Origin("http", "localhost", 80, unix_upstream.path)
    for ask in (transport.check, lambda origin: transport.send(origin, GET)):
        with pytest.raises(Forbidden):
            ask(origin)
    assert unix_upstream.connections == 0


@pytest.mark.parametrize("guard", [Guard(), True, "on"], ids=repr)
def test_a_parent_would_look_up_again(guard: Guard | bool | str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PooledTransport(guard=guard, parent_proxy="http://127.0.0.1:3128")
    assert str(caught.value).startswith("guard=Guard(")
    assert "expected no parent_proxy beside it" in str(caught.value)
    assert PooledTransport(guard=False, parent_proxy="http://127.0.0.1:3128")
