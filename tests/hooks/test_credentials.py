"""The backend gets ours, and never those that the client has sent."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx
import pytest
import requests.auth

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.credentials import basic, bearer, credentials, header
from wsgiproxy.hooks.messages import Body, Request, Response
from wsgiproxy.sansio.message import Inbound

BASIC = "Basic c2hvcDpzM2NyM3Q="
HOOKS = {
    "basic": (lambda: basic("shop", "s3cr3t"), "Authorization", BASIC),
    "bearer": (lambda: bearer("s3cr3t"), "Authorization", "Bearer s3cr3t"),
    "header": (lambda: header("X-Key", "s3cr3t"), "X-Key", "s3cr3t"),
    "requests": (
        lambda: credentials(requests.auth.HTTPBasicAuth("shop", "s3cr3t")),
        "Authorization",
        BASIC,
    ),
    "httpx": (lambda: credentials(httpx.BasicAuth("shop", "s3cr3t")), "Authorization", BASIC),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", HOOKS)
def test_ours_are_sent_and_those_of_the_client_are_not(
    edge: str, name: str, upstream: RawUpstream
) -> None:
    make, field, value = HOOKS[name]
    asked(edge, upstream.url, [make()], headers=[(field, "the client's"), ("Accept", "*/*")])
    assert upstream.requests[0].values(field) == [value]
    assert upstream.requests[0].values("Accept") == ["*/*"]


class ByKey(requests.auth.AuthBase):
    def __call__(self, request: Any) -> Any:
        request.headers = {**request.headers, "X-Key": b"ours"}
        return request


@pytest.mark.parametrize("edge", EDGES)
def test_an_object_of_requests_may_set_any_field(edge: str, upstream: RawUpstream) -> None:
    sent = [("X-Key", "1"), ("X_Key" if edge == "asgi" else "X-Key", "2"), ("Accept", "*/*")]
    asked(edge, upstream.url, [credentials(ByKey())], headers=sent)
    (request,) = upstream.requests
    assert request.values("X-Key") == ["ours"] and request.values("X_Key") == []
    assert request.values("Accept") == ["*/*"]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("auth", [httpx.BasicAuth("a", "b"), httpx.DigestAuth("a", "b")])
def test_fields_of_other_bytes_than_ascii_pass(
    edge: str, auth: httpx.Auth, upstream: RawUpstream
) -> None:
    upstream.behaviour = b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n"
    got = asked(edge, upstream.url, [credentials(auth)], headers=[("X-Name", "caf\xe9")])
    assert (got.status, got.value("X-Name")) == (200, "caf\xe9")
    assert b"caf" in upstream.received


def test_another_spelling_of_the_field_is_removed(upstream: RawUpstream) -> None:
    asked("asgi", upstream.url, [header("X-Key", "ours")], headers=[("X_Key", "the client's")])
    assert b"the client's" not in upstream.received


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("user", "sent"),
    [
        pytest.param("ann", ["ann"], id="a-user"),
        pytest.param(None, [], id="none"),
        pytest.param("", [], id="empty"),
    ],
)
def test_a_function_says_the_value_and_the_client_does_not(
    edge: str, user: str | None, sent: list[str], upstream: RawUpstream
) -> None:
    def login(request: Request) -> Generator[Any, Any, None]:
        request.state["user"] = user
        yield request

    field = header("X-User", lambda request: request.state["user"])
    headers = [("X-User", "admin")] if edge == "wsgi" else [("X-User", "admin"), ("X_User", "root")]
    asked(edge, upstream.url, [login, field], headers=headers)
    assert upstream.requests[0].values("X-User") == sent
    assert not {b"admin", b"root"} & set(upstream.received.split())


@pytest.mark.parametrize("edge", EDGES)
def test_a_value_that_is_no_field_is_an_error_that_does_not_show_it(
    edge: str, upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    hook = header("X-User", lambda request: "s3cr3t\r\nX-Role: admin")
    assert asked(edge, upstream.url, [hook]).status == 500
    assert upstream.requests == []
    assert "header(X-User)" in caplog.text
    assert "X-Role" not in caplog.text


@pytest.mark.parametrize("edge", EDGES)
def test_digest_of_httpx_answers_the_challenge(edge: str, upstream: RawUpstream) -> None:
    challenge = answer(401, [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')])
    upstream.behaviour = challenge
    hook = credentials(httpx.DigestAuth("shop", "s3cr3t"), upstream.url + "/base")
    assert asked(edge, upstream.url + "/base", [hook], "/x?y=1").status == 401
    first, second = upstream.requests
    assert first.values("Authorization") == []
    assert 'uri="/base/x?y=1"' in second.values("Authorization")[0]


@pytest.mark.parametrize("edge", EDGES)
def test_a_request_with_a_body_is_not_sent_again(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(401, [("WWW-Authenticate", 'Digest realm="r", nonce="n"')])
    hook = credentials(httpx.DigestAuth("shop", "s3cr3t"), upstream.url)
    assert asked(edge, upstream.url, [hook], method="POST", body=b"abc").status == 401
    assert len(upstream.requests) == 1


def test_a_handshake_that_answers_a_challenge_has_no_body() -> None:
    request = Request("GET", "http://a/x")
    facts = ("GET", "http", "a", "a", 80, "", "/x", "", [], "", "", "1.1", None, False, False)
    request._inbound = Inbound(*facts, upgrade=("websocket",))
    request.seen_body = Body()
    steps: Any = credentials(httpx.DigestAuth("shop", "s3cr3t"))(request)
    next(steps)
    steps.send(Response(401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}))
    assert "Authorization" in request.headers and not request.body.is_changed
    steps.close()


class Signed(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-Signature"] = f"{request.url.path}:{request.content.decode()}"
        yield request


@pytest.mark.parametrize("edge", EDGES)
def test_an_object_that_signs_sees_the_body(edge: str, upstream: RawUpstream) -> None:
    hook = credentials(Signed(), upstream.url)
    asked(edge, upstream.url, [hook], method="POST", body=b"abc")
    assert upstream.requests[0].values("X-Signature") == ["/x:abc"]
    assert bytes(upstream.accepted[0].received).endswith(b"abc")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: bearer("s3cr3t\n"), "token: expected", id="line-feed"),
        pytest.param(lambda: bearer(""), "token: expected", id="empty"),
        pytest.param(lambda: basic("a:b", "s3cr3t"), "user='a:b'", id="colon"),
        pytest.param(lambda: basic("a", "s3cr3t\r"), "password: expected", id="password"),
        pytest.param(lambda: header("Connection", "s3cr3t"), "name='Connection'", id="hop"),
        pytest.param(lambda: header("X-Forwarded-For", "a"), "name='X-Forwarded-For'", id="ours"),
        pytest.param(lambda: credentials(("a", "s3cr3t")), "auth of type tuple", id="pair"),
        pytest.param(
            lambda: credentials(requests.auth.HTTPDigestAuth("a", "s3cr3t")),
            "HTTPDigestAuth",
            id="challenge",
        ),
        pytest.param(lambda: credentials(Signed(), "ftp://x"), "href='ftp://x'", id="href"),
        pytest.param(lambda: header("Content_Length", "5"), "name='Content_Length'", id="length"),
    ],
)
def test_settings_are_checked_and_secrets_are_not_shown(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert words in str(caught.value) and "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("name", HOOKS)
def test_the_name_shows_no_secret(name: str) -> None:
    called = HOOKS[name][0]().__qualname__
    assert called.startswith("credentials") and "s3cr3t" not in called
