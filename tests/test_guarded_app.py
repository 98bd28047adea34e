"""WSGIProxyApp with a guard, for applications that let users choose the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from webob import Request, Response

from tests.support.answers import Answers
from tests.support.upstream import RawUpstream, answer
from tests.test_guard import SPELLED
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.guard import Guard
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.transport import PooledTransport

HREF = "http://site.example/"


@pytest.fixture
def made() -> Iterator[Callable[..., WSGIProxyApp]]:
    """Make an application; closed at the end."""
    apps: list[WSGIProxyApp] = []

    def make(href: str = HREF, **options: Any) -> WSGIProxyApp:
        apps.append(WSGIProxyApp(href, **options))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


def get(app: WSGIProxyApp, accept: str = "text/html") -> Response:
    return Request.blank("/x?y", accept=accept).get_response(app)


def is_discreet(response: Response) -> bool:
    """Whether it is an error page that says nothing of the inside."""
    shown = response.text.lower() + str(response.headerlist)
    inside = ("127", "::1", "loopback", "private", "address", "port", "site.example", "guard")
    return response.status_code == 403 and not any(word in shown for word in inside)


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_a_target_on_this_machine_is_forbidden(
    made: Callable[..., WSGIProxyApp], accept: str
) -> None:
    app = made(guard=True)
    app.href = "http://127.0.0.1:1/"
    assert is_discreet(get(app, accept))
    app.href = "http://127.0.0.1/"
    assert is_discreet(get(app, accept))


@pytest.mark.parametrize("host", SPELLED)
def test_no_spelling_of_this_machine_gets_through(
    made: Callable[..., WSGIProxyApp], upstream: RawUpstream, host: str
) -> None:
    app = made(guard=Guard(ports="*"))
    href = f"http://{bracketed(host)}:{upstream.port}/"
    if not host.isascii():
        with pytest.raises(ConfigurationError):
            app.href = href
        return
    app.href = href
    assert is_discreet(get(app))
    assert upstream.connections == 0


def test_a_public_name_with_an_address_of_this_machine_is_forbidden(
    made: Callable[..., WSGIProxyApp], upstream: RawUpstream
) -> None:
    guard = Guard(ports=upstream.port, resolve=Answers(["9.9.9.9", "127.0.0.1"]))
    assert is_discreet(get(made(f"http://site.example:{upstream.port}/", guard=guard)))
    assert upstream.connections == 0


def test_a_unix_socket_is_forbidden(
    made: Callable[..., WSGIProxyApp], unix_upstream: RawUpstream
) -> None:
    assert is_discreet(get(made(unix_upstream.url, guard=Guard(allow="*:*"))))
    assert unix_upstream.connections == 0


def test_a_target_that_is_allowed_is_asked(
    made: Callable[..., WSGIProxyApp], upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(body=b"hello")
    guard = Guard(allow=f"site.example:{upstream.port}", resolve=Answers(["127.0.0.1"]))
    response = get(made(f"http://site.example:{upstream.port}/base", guard=guard))
    assert (response.status_code, response.body) == (200, b"hello")
    assert upstream.requests[0].target == "/base/x?y"
    assert upstream.requests[0].values("Host") == [f"site.example:{upstream.port}"]


def test_redirects_are_the_clients_to_follow(
    made: Callable[..., WSGIProxyApp], upstream: RawUpstream
) -> None:
    """Each hop is a new destination, which no client has requested."""
    upstream.behaviour = answer(302, [("Location", "http://127.0.0.1:1/inside")])
    response = get(made(upstream.url, guard=Guard(allow=upstream.netloc)))
    assert response.status_code == 302
    assert response.headers["Location"] == "http://127.0.0.1:1/inside"
    assert [each.target for each in upstream.requests] == ["/x?y"]


def test_a_guard_is_part_of_a_transport_of_ones_own(made: Callable[..., WSGIProxyApp]) -> None:
    transport = PooledTransport(guard=True)
    with pytest.raises(ConfigurationError, match="there is guard"):
        made(transport=transport, guard=True)
    app = made("http://127.0.0.1/", transport=transport)
    assert is_discreet(get(app))


@pytest.mark.parametrize("guard", [5, "maybe", "127.0.0.1", object], ids=repr)
def test_a_guard_that_is_none(made: Callable[..., WSGIProxyApp], guard: object) -> None:
    with pytest.raises(ConfigurationError, match="^guard=.*: expected true, or a Guard$"):
        made(guard=guard)
