"""The proxy to whatever URL stands in the path, as an ASGI application."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.asgi.driven import Client, ask, scope_of
from tests.support.fronts import Front, Fronts, raw_exchange, request_bytes
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIForwardProxy
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.policy.forward import asked_scope

LOCAL = ("127.0.0.1", 40000)


def proxy(upstream: RawUpstream, **options: Any) -> ASGIForwardProxy:
    return ASGIForwardProxy(allow=[f"127.0.0.1:{upstream.port}"], **options)


def get(app: ASGIForwardProxy, target: str, *headers: tuple[str, str], **more: Any) -> Client:
    return ask(app, "GET", target, headers, close=app.close, **{"client": LOCAL, **more})


def test_the_request_is_one_to_the_host_of_the_url(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(body=b"hello")
    client = get(proxy(upstream), f"/{upstream.url}/a%2Fb//c?d=%20&&e", ("Accept", "a"))
    assert (client.status, client.body) == (200, b"hello")
    (request,) = upstream.requests
    assert request.target == "/a%2Fb//c?d=%20&&e"
    assert request.values("Host") == [upstream.netloc]
    assert request.values("Accept") == ["a"]
    assert len(request.values("Via")) == 1


@pytest.mark.parametrize("with_root", [True, False])
def test_below_a_mount(upstream: RawUpstream, with_root: bool) -> None:
    upstream.behaviour = answer(302, [("Location", "../x?y#z")])
    target = f"/get/{upstream.url}/a/b/c" if with_root else f"/{upstream.url}/a/b/c"
    client = get(proxy(upstream), target, root_path="/get")
    assert upstream.requests[0].target == "/a/b/c"
    assert client.values("location") == [f"/get/{upstream.url}/a/x?y#z"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/y", "/{url}/y"),
        ("https://other.example/z", "/https://other.example/z"),
        ("//other.example/z", "/http://other.example/z"),
    ],
)
def test_redirections_lead_to_the_proxy_again(
    upstream: RawUpstream, location: str, expected: str
) -> None:
    upstream.behaviour = answer(302, [("Location", location)])
    client = get(proxy(upstream), f"/{upstream.url}/a")
    assert client.values("location") == [expected.format(url=upstream.url)]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("/http://127.0.0.1:1/", 403, id="another-port"),
        pytest.param("/http://169.254.169.254/latest/meta-data/", 403, id="link-local"),
        pytest.param("/http://2130706433/", 403, id="a-number"),
        pytest.param("/http://0x7f.1/", 403, id="hexadecimal"),
        pytest.param("/http://[::1]/", 403, id="ipv6-loopback"),
        pytest.param("/http://[::ffff:127.0.0.1]/", 403, id="mapped"),
        pytest.param("/http://localhost/", 403, id="by-name"),
        pytest.param("/ftp://example.com/", 400, id="another-scheme"),
        pytest.param("/file:///etc/passwd", 400, id="no-host"),
        pytest.param("/http://user:secret@127.0.0.1/", 400, id="userinfo"),
        pytest.param("/", 400, id="no-url"),
        pytest.param("/example.com/", 400, id="no-scheme"),
        pytest.param("/http:/127.0.0.1/", 400, id="one-slash"),
        pytest.param("/http://", 400, id="empty"),
    ],
)
def test_the_guard_decides(upstream: RawUpstream, target: str, status: int) -> None:
    client = get(proxy(upstream), target)
    assert client.status == status
    assert b"127.0.0.1" not in client.body and b"secret" not in client.body
    assert not upstream.requests


def test_absolute_form_where_the_server_hands_it_over(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(302, [("Location", "/y")])
    raw = f"{upstream.url}/a"
    client = get(proxy(upstream), "/", raw_path=raw.encode(), path=raw)
    assert upstream.requests[0].target == "/a"
    assert client.values("location") == ["/y"], "a browser knows that it is behind a proxy"


def test_https_in_absolute_form_is_refused(upstream: RawUpstream) -> None:
    raw = f"https://127.0.0.1:{upstream.port}/a"
    assert get(proxy(upstream), "/", raw_path=raw.encode(), path=raw).status == 400


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "Origin", "Referer", "X-Forwarded-For", "X-Real-IP", "WSGIProxy"],
)
def test_what_is_for_the_application_around_the_proxy_ends_here(
    upstream: RawUpstream, name: str
) -> None:
    upstream.behaviour = answer(body=b"x")
    get(proxy(upstream), f"/{upstream.url}/", (name, "secret"))
    assert b"secret" not in upstream.received


@pytest.mark.parametrize("name", ["Set-Cookie", "Strict-Transport-Security", "Clear-Site-Data"])
def test_a_destination_does_not_command_the_origin(upstream: RawUpstream, name: str) -> None:
    upstream.behaviour = answer(200, [(name, "x"), ("X-Other", "y")])
    client = get(proxy(upstream), f"/{upstream.url}/")
    assert (client.values(name), client.values("x-other")) == ([], ["y"])


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://[", "/http://["),
        ("http://x.example/a?", "/http://x.example/a?"),
        ("x?y#", "/{url}/a/x?y#"),
        ("?y", "/{url}/a/b?y"),
        ("", ""),
        ("#top", "#top"),
        ("mailto:a@b", "mailto:a@b"),
        ("http://\xe2\x84\x80.example", "/http://\xe2\x84\x80.example"),
    ],
)
def test_an_address_keeps_its_bytes(upstream: RawUpstream, location: str, expected: str) -> None:
    upstream.behaviour = answer(302, [("Location", location)])
    client = get(proxy(upstream), f"/{upstream.url}/a/b?c")
    assert client.values("location") == [expected.format(url=upstream.url)]


def test_a_name_with_thousands_of_addresses_is_not_tried_at_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    async def start_connection(addresses: list[Any], **options: Any) -> None:
        tried.append(len(addresses))
        raise ConnectionRefusedError

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        made = (f"11.{number >> 8}.{number & 255}.1" for number in range(3000))
        return [(2, 1, 6, "", (address, port)) for address in made]

    monkeypatch.setattr("wsgiproxy.transport.aio.dial.start_connection", start_connection)
    app = ASGIForwardProxy()
    object.__setattr__(app.guard, "resolve", resolve)
    assert get(app, "/http://many.example/").status == 502
    assert tried == [8]


def test_the_log_names_the_destination(
    upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    upstream.behaviour = answer(body=b"x")
    get(proxy(upstream), f"/{upstream.url}/a?token=t")
    (record,) = [each for each in caplog.records if each.name == "wsgiproxy.access"]
    assert record.exchange["path"] == f"{upstream.url}/a?token=***"  # type: ignore[attr-defined]


def test_who_may_use_it(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(body=b"x")
    target, far = f"/{upstream.url}/", {"client": ("192.0.2.1", 5)}
    assert get(proxy(upstream), target, **far).status == 403
    assert get(proxy(upstream), target, client=None).status == 403
    assert get(proxy(upstream, allow_clients="192.0.2.0/24"), target, **far).status == 200
    assert get(proxy(upstream, allow_clients="192.0.2.0/24"), target).status == 403


def test_no_more_exchanges_at_the_same_time_than_allowed(upstream: RawUpstream) -> None:
    app = proxy(upstream, max_connections=1)
    app._in_flight = 1
    assert get(app, f"/{upstream.url}/").status == 503
    app._in_flight = 0
    upstream.behaviour = answer(body=b"x")
    assert get(app, f"/{upstream.url}/").status == 200
    assert app.in_flight == 0


def test_tls_is_the_proxys_own(upstream: RawUpstream) -> None:
    """The handshake fails here, since the upstream speaks plain HTTP; nothing went in clear."""
    upstream.behaviour = [("send", b"nonsense"), ("close",)]
    client = get(proxy(upstream), f"/https://127.0.0.1:{upstream.port}/secret")
    assert client.status == 502
    assert b"secret" not in upstream.received


@pytest.mark.parametrize("option", ["credentials", "connect", "guard", "parent_proxy"])
def test_options_of_the_browser_proxy_that_it_does_not_have(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        ASGIForwardProxy(**{option: "x"})  # type: ignore[misc]


def test_the_scope_to_the_origin_leaves_the_servers_alone() -> None:
    scope = scope_of("GET", "/http://a.example:81/b?c", client=LOCAL)
    before = {**scope, "headers": list(scope["headers"])}
    asked, mount = asked_scope(scope)
    assert scope == before
    assert (asked["raw_path"], asked["query_string"], mount) == (b"/b", b"c", "")
    assert asked["headers"][0] == (b"host", b"a.example:81")


def test_in_a_real_server(fronts: Fronts, upstream: RawUpstream, tmp_path: Path) -> None:
    upstream.behaviour = answer(body=b"hello")
    front: Front = fronts.get(
        "uvicorn", "tests.asgi.forwarding:application", ALLOW=f"127.0.0.1:{upstream.port}"
    )
    response = raw_exchange(front.port, request_bytes(f"GET /{upstream.url}/a?b"))
    assert (response.status, response.body) == (200, b"hello")
    refused = raw_exchange(front.port, request_bytes("GET /http://127.0.0.1:1/"))
    assert refused.status == 403
