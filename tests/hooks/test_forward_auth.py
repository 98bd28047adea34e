"""Another service decides, and what it says of the user is what the backend gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.forward_auth import forward_auth


@pytest.fixture
def service() -> Iterator[RawUpstream]:
    with RawUpstream() as server:
        yield server


@pytest.mark.parametrize("edge", EDGES)
def test_the_service_gets_what_it_needs_and_no_more(
    edge: str, service: RawUpstream, upstream: RawUpstream
) -> None:
    headers = [("Cookie", "sid=1"), ("X-Other", "1"), ("X-Forwarded-Uri", "/public")]
    hook = forward_auth(service.url + "/check")
    asked(edge, upstream.url, [hook], "/x?y=1", headers, mount="/m", method="DELETE")
    (request,) = service.requests
    assert (request.method, request.target) == ("GET", "/check")
    assert request.values("Cookie") == ["sid=1"] and request.values("X-Other") == []
    assert request.values("X-Forwarded-Uri") == ["/m/x?y=1"]
    assert request.values("X-Forwarded-Method") == ["DELETE"]
    assert request.values("X-Forwarded-For") == ["192.0.2.1"]
    assert request.values("X-Forwarded-Host") == ["front.example"]


@pytest.mark.parametrize("edge", EDGES)
def test_the_backend_gets_the_fields_of_the_service_alone(
    edge: str, service: RawUpstream, upstream: RawUpstream
) -> None:
    service.behaviour = answer(200, [("X-User", "ann"), ("X-Secret", "1")])
    hook = forward_auth(service.url, response_headers=["X-User", "X-Groups"])
    sent = [("X-User", "root"), ("X-Groups", "admins")]
    assert asked(edge, upstream.url, [hook], headers=sent).status == 200
    assert upstream.requests[0].values("X-User") == ["ann"]
    assert upstream.requests[0].values("X-Groups") == []
    assert upstream.requests[0].values("X-Secret") == []


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_refusal_is_the_clients_answer(
    edge: str, status: int, service: RawUpstream, upstream: RawUpstream
) -> None:
    fields = [
        ("Location", "https://login.example/"),
        ("X-Internal", "10.0.0.1"),
        ("Content-Encoding", "x"),
    ]
    service.behaviour = answer(status, fields, b"log in")
    got = asked(edge, upstream.url, [forward_auth(service.url)])
    assert (got.status, got.body) == (status, b"log in")
    assert got.value("Location") == "https://login.example/"
    assert got.value("Content-Encoding") == "x"  # or the client could not read it
    assert got.value("X-Internal") is None and got.value("Cache-Control") == "no-store"
    assert upstream.requests == []


@pytest.mark.parametrize("edge", EDGES)
def test_a_failing_service_lets_nothing_pass(
    edge: str, service: RawUpstream, upstream: RawUpstream
) -> None:
    service.behaviour = answer(500, body=b"Traceback")
    got = asked(edge, upstream.url, [forward_auth(service.url)])
    assert got.status == 502 and b"Traceback" not in got.body
    got = asked(edge, upstream.url, [forward_auth(f"http://127.0.0.1:{free_port()}")])
    assert got.status == 502
    assert upstream.requests == []


@pytest.mark.parametrize("edge", EDGES)
def test_an_ambiguous_path_is_refused(
    edge: str, service: RawUpstream, upstream: RawUpstream
) -> None:
    assert asked(edge, upstream.url, [forward_auth(service.url)], "/a%2Fb").status == 400
    hook = forward_auth(service.url, allow_ambiguous=True)
    assert asked(edge, upstream.url, [hook], "/a%2Fb").status == 200
    assert len(service.requests) == len(upstream.requests) == 1


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("path", "status"), [("/%61dmin", 400), ("/a%5A", 400), ("/%39", 400), ("/a%20%C3%A9%7E", 200)]
)
def test_an_encoded_letter_is_refused(
    edge: str, path: str, status: int, service: RawUpstream, upstream: RawUpstream
) -> None:
    assert asked(edge, upstream.url, [forward_auth(service.url)], path).status == status


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"url": "auth.internal"}, "url='auth.internal'", id="url"),
        pytest.param(
            {"url": "http://a", "request_headers": "Cookie"}, "request_headers", id="text"
        ),
        pytest.param({"url": "http://a", "response_headers": ["Host"]}, "'Host'", id="host"),
        pytest.param({"url": "http://ex%41mple"}, "url='http://ex%41mple'", id="url-host"),
        pytest.param({"url": "http://a/#"}, "url='http://a/#'", id="url-fragment"),
        pytest.param({"url": "http://a", "allow_ambiguous": "no"}, "ous='no'", id="ambiguous"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        forward_auth(**options)


@pytest.mark.parametrize("host", ["localhost", "a b", ""])
def test_a_password_in_the_address_is_not_shown(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"url='http://\*\*\*@.*without user") as caught:
        forward_auth(f"http://user:s3cret@{host}")
    assert "s3cret" not in repr(caught.value)
