"""The receiving end at an ASGI backend: the same facts as at a WSGI one, and nothing blocks."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi.calls import (
    PEER,
    Asked,
    call,
    environ_of_request,
    messages,
    scope_of_request,
    status_of,
)
from tests.support.in_process import Backend, front_environ, key_file, run
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyMiddleware
from wsgiproxy.errors import BadSignature, ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.replay import MemoryReplay
from wsgiproxy.sansio.diagnosis import Question, read_examination, write_question
from wsgiproxy.sansio.environ.scope_environ import environ_of
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY
from wsgiproxy.secretloader import SECRET_FILE, KeyFile, new_key

CLIENT = "192.0.2.1"
HREF = "http://10.0.0.1:8001/base?key=1"


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


class Application:
    """An ASGI application that remembers its scope and body, and answers 200."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] | None = None
        self.received: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        if scope["type"] == "http":
            self.received = [await receive(), await receive()]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})


class Behind:
    """An application behind the middleware."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.application = Application()
        self.middleware = ASGIProxyMiddleware(self.application, *arguments, **options)

    def status(self, asked: Asked, **members: Any) -> int:
        self.application.scope = None
        scope = scope_of_request(asked, **members)
        status = status_of(call(self.middleware, scope, messages(asked.body)))
        assert (status == 200) == (self.application.scope is not None)
        return status

    def scope(self, asked: Asked, **members: Any) -> dict[str, Any]:
        """The scope that the application gets."""
        assert self.status(asked, **members) == 200
        assert self.application.scope is not None
        return self.application.scope


def signed(secret: str, environ: dict[str, Any] | None = None, **options: Any) -> Asked:
    """What `WSGIProxyApp` sends."""
    backend = Backend()
    run(WSGIProxyApp(HREF, secret, transport=backend, **options), environ or front_environ())
    return Asked.sent(*backend.sent[0])


# -- the same rules --------------------------------------------------------------------


def host(name: str = "backend.example", **more: str) -> list[tuple[str, str]]:
    return [("Host", name), *((key.replace("_", "-"), value) for key, value in more.items())]


REQUESTS: dict[str, tuple[dict[str, Any], Asked]] = {
    "nothing said": ({}, Asked(headers=host())),
    "no host": ({}, Asked()),
    "two hosts": ({}, Asked(headers=[*host(), *host("b.example")])),
    "a host that is none": ({}, Asked(headers=host("a b"))),
    "nothing is trusted": ({}, Asked(headers=host(X_Forwarded_For=CLIENT, Remote_User="root"))),
    "another peer": (
        {"trust_ips": "10.9.9.9"},
        Asked(headers=host(X_Forwarded_For=CLIENT, X_Forwarded_Proto="https")),
    ),
    "all of a family": (
        {"trust_ips": PEER},
        Asked(
            "/x%2Fy?q=1",
            host(
                X_Forwarded_For=f"6.6.6.6, {CLIENT}",
                X_Forwarded_Proto="https",
                X_Forwarded_Host="shop.example:8443",
                X_Forwarded_Prefix="/shop",
            ),
        ),
    ),
    "lines of a chain": (
        {"trust_ips": "10.0.0.0/8"},
        Asked(
            headers=[
                *host(),
                ("X-Forwarded-For", "6.6.6.6"),
                ("X-Forwarded-For", CLIENT),
                ("X-Forwarded-For", "10.0.0.3"),
            ]
        ),
    ),
    "a port": ({"trust_ips": PEER}, Asked(headers=host(X_Forwarded_Port="8443"))),
    "a traversal path": (
        {"trust_ips": PEER, "family": "historical"},
        Asked("/base/x%2Fy", host(X_Traversal_Path="/base", X_Script_Name="/shop")),
    ),
    "another traversal path": (
        {"trust_ips": PEER, "family": "historical"},
        Asked("/x", host(X_Traversal_Path="/base")),
    ),
    "Forwarded": (
        {"trust_ips": PEER, "family": "forwarded"},
        Asked(headers=host(Forwarded=f"for={CLIENT};proto=https;host=shop.example")),
    ),
    "Forwarded, malformed": (
        {"trust_ips": PEER, "family": "forwarded"},
        Asked(headers=host(Forwarded="for==1")),
    ),
    "a Unix socket": ({"trust_ips": "unix"}, Asked(headers=host(X_Forwarded_For=CLIENT), peer="")),
    "counts": ({"x_for": 1, "trust_ips": PEER}, Asked(headers=host(X_Forwarded_For=CLIENT))),
    "no client named": ({"trust_ips": PEER, "require_forwarded": True}, Asked(headers=host())),
    "constants": (
        {"scheme": "https", "host": "shop.example:8443", "prefix": "/caf%C3%A9"},
        Asked("/a%2Fb", host()),
    ),
    "a domain and a port": ({"domain": "shop.example", "port": 81}, Asked(headers=host())),
    "a prefix to pop": ({"pop_prefix": "/shop"}, Asked("/shop/a%2Fb", host())),
    "the prefix to pop alone": ({"pop_prefix": "/shop"}, Asked("/shop", host())),
    "another prefix": ({"pop_prefix": "/shop"}, Asked("/shopping", host())),
    "allowed hosts": ({"allowed_hosts": "a.example"}, Asked(headers=host())),
    "a WebDAV destination": (
        {"trust_ips": PEER},
        Asked(
            "/a",
            host(X_Forwarded_Prefix="/shop", Destination="http://backend.example/b"),
            "MOVE",
        ),
    ),
    "other signatures": (
        {},
        Asked(
            headers=host(Signature_Input='sig1=("@method"), wsgiproxy=()', Signature="sig1=:AA==:")
        ),
    ),
    "paths of bytes": ({"prefix": "/m"}, Asked("/%FF/%c3%a9", host())),
}


def facts_of(environ: dict[str, Any]) -> dict[str, Any]:
    """What an application may read of the request."""
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME")
    names += ("SERVER_PORT", "REMOTE_ADDR", "wsgi.url_scheme", "CONTENT_LENGTH")
    found = {name: environ.get(name) or "" for name in names}
    own = ("HTTP_", "wsgiproxy.", "front.", "REMOTE_USER")
    found |= {key: environ[key] for key in environ if key.startswith(own)}
    del found["wsgiproxy.orig"]
    return found


def same_in_both_worlds(asked: Asked, options: dict[str, Any]) -> int:
    """The status, after comparing what the two applications got."""
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    behind = Behind(**options)
    status = behind.status(asked)
    answer = run(WSGIProxyMiddleware(application, **options), environ_of_request(asked))
    assert answer.head.status == status
    if status == 200:
        assert behind.application.scope is not None
        assert facts_of(environ_of(behind.application.scope)) == facts_of(seen[0])
    return status


@pytest.mark.parametrize(("options", "asked"), REQUESTS.values(), ids=list(REQUESTS))
def test_the_facts_are_those_of_wsgi(options: dict[str, Any], asked: Asked) -> None:
    same_in_both_worlds(asked, options)


SPOILED: dict[str, Callable[[Asked], Asked]] = {
    "": lambda asked: asked,
    "another method": lambda asked: asked._replace(method="PUT"),
    "another path": lambda asked: asked._replace(target="/other?key=1"),
    "another query": lambda asked: asked._replace(target=asked.target + "x"),
    "another host": lambda asked: asked._replace(headers=[("Host", "b"), *asked.headers[1:]]),
    "no signature": lambda asked: asked._replace(headers=asked.headers[:1]),
    "another body": lambda asked: asked._replace(body=asked.body.replace(b"e", b"E")),
    "a field twice": lambda asked: asked._replace(headers=[*asked.headers, *asked.headers[-3:]]),
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("options", [{}, {"sign_body": True}], ids=["streamed", "covered"])
@pytest.mark.parametrize("body", [b"", b"hello"], ids=["GET", "POST"])
def test_signatures_are_judged_as_in_wsgi(
    secret: str, body: bytes, options: dict[str, Any], spoiled: str
) -> None:
    more = {"REMOTE_USER": "ada", "front.list": [1], "SCRIPT_NAME": "/m", "PATH_INFO": "/a b"}
    keys = {"string_keys": ["REMOTE_USER"], "json_keys": ["front.list"]}
    asked = SPOILED[spoiled](signed(secret, front_environ(body, **more), **keys, **options))
    accepted = {"accept_keys": ["REMOTE_USER", "front.list"], "secret_file": secret}
    status = same_in_both_worlds(asked, {**accepted, **options})
    alike = spoiled == "another body" and not (body and options)
    assert status == (200 if not spoiled or alike else 403)


fields = st.lists(
    st.tuples(
        st.sampled_from(
            ["Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"]
            + ["X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP", "Cookie", "Accept"]
            + ["Signature", "Signature-Input", "WSGIProxy", "X-Traversal-Path", "Destination"]
        ),
        st.sampled_from(
            ["", "a.example", "192.0.2.1", "https", "8443", "/p", "a b", "wsgiproxy=()"]
        )
        | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=9),
    ),
    max_size=6,
)
ways = st.sampled_from(
    [
        {},
        {"trust_ips": PEER},
        {"trust_ips": PEER, "family": "historical"},
        {"trust_ips": PEER, "family": "forwarded"},
        {"trust_ips": PEER, "x_for": 1, "x_prefix": 1, "x_host": 1, "x_port": 1},
        {"prefix": "/p"},
        {"pop_prefix": "/a"},
        {"host": "h.example:1", "scheme": "https"},
    ]
)
targets = st.sampled_from(["/", "/a", "/a/b%2Fc?d", "/%FF", "//x", "/a%20b?", "/caf%C3%A9"])


@given(ways, fields, targets)
def test_any_request_is_judged_as_in_wsgi(options: Any, headers: Any, target: str) -> None:
    """Both worlds refuse the same requests, and tell the same facts of the others."""
    same_in_both_worlds(Asked(target, headers), options)


@given(fields, targets)
def test_what_no_rule_concerns_arrives_byte_for_byte(headers: Any, target: str) -> None:
    headers = [(name, value) for name, value in headers if name in ("Cookie", "Accept")]
    scope = scope_of_request(Asked(target, headers))
    kept = copy.deepcopy(scope)
    application = Application()
    call(ASGIProxyMiddleware(application), scope, messages())
    assert scope == kept
    assert application.scope == {**kept, "wsgiproxy": {"orig": {}}}


# -- the scope -------------------------------------------------------------------------


def test_the_scope_that_the_application_gets(secret: str) -> None:
    environ = front_environ(
        **{"wsgi.url_scheme": "https", "REMOTE_USER": "ada"},
        SCRIPT_NAME="/m",
        PATH_INFO="/caf\xc3\xa9",
        QUERY_STRING="q=1",
        HTTP_X_OWN="1",
    )
    asked = signed(secret, environ, string_keys=["REMOTE_USER"])
    scope = Behind(secret, accept_keys="REMOTE_USER").scope(asked)
    own = scope.pop("wsgiproxy")
    orig = own.pop("orig")
    assert own == {
        "REMOTE_USER": "ada",
        "verified": "k1",
        "traversal_path": "/base",
        "traversal_query_string": "key=1",
    }
    headers = dict(scope.pop("headers"))
    assert headers.pop(b"host") == b"shop.example"
    assert headers.pop(b"x-own") == b"1"
    assert headers.keys() == {b"via"}
    assert scope == {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/m/caf\u00e9",
        "raw_path": b"/m/caf%C3%A9",
        "root_path": "/m",
        "query_string": b"q=1",
        "client": ("203.0.113.9", 0),
        "server": ("shop.example", 80),
    }
    assert {name: orig[name] for name in ("client", "path", "query_string", "host")} == {
        "client": (PEER, 40000),
        "path": "/base/caf\u00e9",
        "query_string": b"key=1&q=1",
        "host": "10.0.0.1:8001",
    }
    assert {"signature", "wsgiproxy", "x-forwarded-for"} <= orig.keys()


NAMES = ["x-forwarded-for", "x_forwarded_for", "X-Forwarded_For", "x.forwarded.for", "remote_user"]


@pytest.mark.parametrize("trusted", [PEER, "10.9.9.9"])
@pytest.mark.parametrize("name", NAMES)
def test_every_spelling_of_the_namespace_is_removed(name: str, trusted: str) -> None:
    scope = scope_of_request(Asked())
    scope["headers"] = [(name.encode(), b"6.6.6.6"), (b"my_own", b"1")]
    application = Application()
    call(ASGIProxyMiddleware(application, trust_ips=trusted), scope, messages())
    assert application.scope is not None
    assert application.scope["headers"] == [(b"my_own", b"1")]
    believed = trusted == PEER and name == "x-forwarded-for"
    assert application.scope["client"][0] == ("6.6.6.6" if believed else PEER)


@pytest.mark.parametrize("kind", ["lifespan", "anything"])
def test_other_scopes_pass_unchanged(secret: str, kind: str) -> None:
    application, scope = Application(), {"type": kind}
    call(ASGIProxyMiddleware(application, secret), scope, [])
    assert application.scope is scope


def test_the_application_below_a_mount() -> None:
    asked = Asked("/m/a", host(X_Forwarded_Prefix="/p"))
    scope = Behind(trust_ips=PEER).scope(asked, root_path="/m")
    assert (scope["root_path"], scope["path"]) == ("/p/m", "/p/m/a")


def test_a_middleware_within_another(secret: str) -> None:
    application = Application()
    twice = ASGIProxyMiddleware(ASGIProxyMiddleware(application, secret), secret)
    assert status_of(call(twice, scope_of_request(signed(secret)), messages())) == 403
    inner = ASGIProxyMiddleware(application, prefix="/p")
    call(ASGIProxyMiddleware(inner, secret), scope_of_request(signed(secret)), messages())
    assert application.scope is not None
    assert application.scope["wsgiproxy"]["verified"] == "k1"
    assert application.scope["path"] == "/p/"


# -- bodies ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_covered_body_is_received_again(secret: str, size: int) -> None:
    asked = signed(secret, front_environ(b"hello"), sign_body=True)
    application = Application()
    left = messages(asked.body, size)
    call(ASGIProxyMiddleware(application, secret), scope_of_request(asked), left)
    assert application.received == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
    ]
    assert left == []


def test_a_covered_body_of_chunks_has_a_length_then(secret: str) -> None:
    asked = signed(secret, front_environ(b"hello"), sign_body=True)
    headers = [line for line in asked.headers if line[0] != "Content-Length"]
    headers.append(("Transfer-Encoding", "chunked"))
    scope = Behind(secret).scope(asked._replace(headers=headers))
    found = dict(scope["headers"])
    assert found[b"content-length"] == b"5"
    assert b"transfer-encoding" not in found


def test_no_body_is_read_before_the_signature_is_verified(secret: str) -> None:
    asked = signed(secret, front_environ(b"hello"), sign_body=True)
    left = messages(asked.body)
    scope = scope_of_request(asked._replace(method="PUT"))
    assert status_of(call(ASGIProxyMiddleware(Application(), secret), scope, left)) == 403
    assert len(left) == 2


def test_a_body_that_is_not_covered_is_left_to_the_application(secret: str) -> None:
    asked = signed(secret, front_environ(b"hello"))
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        received.append(receive)

    async def receive() -> Any:
        raise AssertionError("read too early")

    middleware = ASGIProxyMiddleware(application, secret)
    asyncio.run(middleware(scope_of_request(asked), receive, print))  # type: ignore[arg-type]
    assert received == [receive]


def test_a_client_that_leaves_in_mid_body(secret: str) -> None:
    asked = signed(secret, front_environ(b"hello"), sign_body=True)
    left = [messages(b"hel", 1)[0], {"type": "http.disconnect"}]
    scope = scope_of_request(asked)
    assert status_of(call(ASGIProxyMiddleware(Application(), secret), scope, left)) == 499


def test_a_refusal_of_a_client_that_has_left(secret: str) -> None:
    async def send(message: Any) -> None:
        raise OSError("gone")

    middleware = ASGIProxyMiddleware(Application(), secret)
    asyncio.run(middleware(scope_of_request(Asked()), send, send))  # type: ignore[arg-type]


def test_no_more_is_read_than_a_signature_may_cover(secret: str) -> None:
    asked = signed(secret, front_environ(b"hello"), sign_body=True)
    headers = [line for line in asked.headers if line[0] != "Content-Length"]
    scope = scope_of_request(asked._replace(headers=[*headers, ("Transfer-Encoding", "chunked")]))
    left = messages(b"x" * (LARGEST_BODY + 3 * 65536), 65536)
    behind = ASGIProxyMiddleware(Application(), secret)
    assert status_of(call(behind, scope, left)) == 413
    assert len(left) == 3


# -- the store of nonces ---------------------------------------------------------------


class Store:
    """A store that remembers in which thread it is asked."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.known: set[str] = set()

    def add(self, key: str, ttl: float) -> bool:
        self.threads.append(threading.current_thread())
        is_new = key not in self.known
        self.known.add(key)
        return is_new


@pytest.mark.parametrize("replay", ["memory", MemoryReplay(), Store()], ids=type)
def test_a_replayed_signature_is_refused(secret: str, replay: Any) -> None:
    asked, behind = signed(secret), Behind(secret, replay=replay)
    assert [behind.status(asked), behind.status(asked)] == [200, 403]


def test_a_store_does_not_block_the_loop(secret: str) -> None:
    store = Store()
    assert Behind(secret, replay=store).status(signed(secret)) == 200
    assert threading.current_thread() not in store.threads


def test_a_store_that_fails_is_a_503(secret: str) -> None:
    class Broken:
        def add(self, key: str, ttl: float) -> bool:
            raise OSError("gone")

    assert Behind(secret, replay=Broken()).status(signed(secret)) == 503


# -- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/html", "text/html"), ("application/json", "application/json"), ("", "text/plain")],
)
def test_error_pages_follow_accept(
    secret: str, accept: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    scope = scope_of_request(Asked(headers=[("Accept", accept)] if accept else []))
    with caplog.at_level(logging.WARNING, "wsgiproxy.error"):
        start, body = call(ASGIProxyMiddleware(Application(), secret), scope, messages())
    assert start["status"] == 403
    headers = dict(start["headers"])
    assert headers[b"content-type"].startswith(kind.encode())
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert all(name == name.lower() for name in headers)
    assert "not signed" in caplog.text
    assert b"not signed" not in body["body"]


@pytest.mark.parametrize("path", ["/\ud800", "a"])
def test_a_path_that_is_none_is_a_400(path: str) -> None:
    scope = scope_of_request(Asked(), path=path, raw_path=None)
    assert status_of(call(ASGIProxyMiddleware(Application(), prefix="/p"), scope, [])) == 400


def websocket(asked: Asked, **members: Any) -> dict[str, Any]:
    scope = scope_of_request(asked, type="websocket", scheme="ws", **members)
    del scope["method"]
    return scope


def test_a_websocket_gets_the_facts(secret: str) -> None:
    application = Application()
    environ = front_environ(**{"wsgi.url_scheme": "https"}, PATH_INFO="/chat")
    asked = signed(secret, environ, sign_body=True)
    middleware = ASGIProxyMiddleware(application, secret, sign_body=True)
    assert call(middleware, websocket(asked), []) == []
    scope = application.scope
    assert scope is not None
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "wss", "/chat")
    assert scope["client"] == ("203.0.113.9", 0)


def test_a_websocket_has_no_body_to_cover(secret: str) -> None:
    environ = front_environ(b"hello", REQUEST_METHOD="GET")
    asked = signed(secret, environ, sign_body=True)
    sent = call(ASGIProxyMiddleware(Application(), secret), websocket(asked), [])
    assert sent[0]["type"] == "websocket.close"


def test_a_refused_websocket_is_closed(secret: str) -> None:
    sent = call(ASGIProxyMiddleware(Application(), secret), websocket(Asked()), [])
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": BadSignature.public}]


def test_a_refused_websocket_gets_a_page_where_the_server_can(secret: str) -> None:
    scope = websocket(Asked(), extensions={"websocket.http.response": {}})
    start, body = call(ASGIProxyMiddleware(Application(), secret), scope, [])
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body["type"] == "websocket.http.response.body"
    assert b"403" in body["body"]


# -- the doctor ------------------------------------------------------------------------


@pytest.mark.parametrize("replay", ["memory", Store()], ids=type)
def test_the_doctor_is_answered(secret: str, replay: Any) -> None:
    key = KeyFile(secret).keyring().first
    question = write_question(Question(key.keyid, int(time.time()), "n" * 16), key)
    asked = Asked(headers=[*host(), ("X-Doctor", question), ("Cookie", "a=b")])
    middleware = ASGIProxyMiddleware(Application(), secret, replay=replay)
    start, body = call(middleware, scope_of_request(asked), messages())
    assert (start["status"], dict(start["headers"])[b"cache-control"]) == (200, b"no-store")
    found = read_examination(json.loads(body["body"]), "n" * 16)
    assert found is not None
    assert (found.mode, found.status) == ("secret_file", 403)
    assert found.middleware == "ASGIProxyMiddleware"
    assert found.arrived["REMOTE_ADDR"] == PEER
    assert "a=b" not in body["body"].decode()
    # Each question is good for one answer, and a handshake asks none.
    assert status_of(call(middleware, scope_of_request(asked), messages())) == 403
    assert call(middleware, websocket(asked), [])[0]["type"] == "websocket.close"


# -- construction ----------------------------------------------------------------------


def wsgi_application(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError("called")


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("called")


class OfBoth:
    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError("called")


@functools.wraps(wsgi_application)
def adapted(scope: Any, receive: Any, send: Any) -> Any:
    raise AssertionError("called")


@pytest.mark.parametrize(
    "application",
    [asgi_application, functools.partial(asgi_application), Application(), OfBoth(), adapted, max],
    ids=["function", "partial", "object", "any-arguments", "adapter", "of-c"],
)
def test_asgi_applications_are_taken(application: Any) -> None:
    assert ASGIProxyMiddleware(application).app is application


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ASGIProxyMiddleware(wsgi_application),  # type: ignore[arg-type]
            "^app=<function wsgi_application at .*: expected an ASGI application;"
            " a WSGI application is for WSGIProxyMiddleware$",
        ),
        (
            lambda: ASGIProxyMiddleware(WSGIProxyMiddleware(wsgi_application)),  # type: ignore
            "a WSGI application is for WSGIProxyMiddleware$",
        ),
        (
            lambda: WSGIProxyMiddleware(asgi_application),  # type: ignore[arg-type]
            "^application=<function asgi_application at .*: expected a WSGI application;"
            " an ASGI application is for ASGIProxyMiddleware$",
        ),
        (
            lambda: WSGIProxyMiddleware(ASGIProxyMiddleware(asgi_application)),  # type: ignore
            "an ASGI application is for ASGIProxyMiddleware$",
        ),
        (lambda: ASGIProxyMiddleware(None), "^app=None: expected an ASGI application$"),  # type: ignore
        (
            lambda: ASGIProxyMiddleware("http://x"),  # type: ignore[arg-type]
            "the address of an upstream is for wsgiproxy.asgi.ASGIProxyApp$",
        ),
        (lambda: ASGIProxyMiddleware(asgi_application, port="x"), "^port='x': expected"),
    ],
)
def test_what_is_refused_at_construction(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_carried_key_cannot_have_the_name_of_a_fact(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="^accept_keys='orig': expected a key that"):
        ASGIProxyMiddleware(asgi_application, secret, accept_keys=["orig"])


def test_a_server_of_the_other_interface_is_told_the_right_class() -> None:
    with pytest.raises(TypeError, match="^ASGIProxyMiddleware .* take wsgiproxy.WSGIProxyMiddle"):
        run(ASGIProxyMiddleware(asgi_application), front_environ())  # type: ignore[arg-type]
    message = "^WSGIProxyMiddleware .* take wsgiproxy.asgi.ASGIProxyMiddleware$"
    with pytest.raises(TypeError, match=message):
        call(WSGIProxyMiddleware(wsgi_application), scope_of_request(Asked()), [])
    # uvicorn takes it for an application of ASGI 2.
    with pytest.raises(TypeError, match=message):
        WSGIProxyMiddleware(wsgi_application)({})


def test_servers_see_the_interface() -> None:
    """uvicorn, hypercorn and Starlette ask this."""
    assert inspect.iscoroutinefunction(ASGIProxyMiddleware(asgi_application).__call__)
    assert not inspect.iscoroutinefunction(WSGIProxyMiddleware(wsgi_application).__call__)


def test_from_env(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_FILE, raising=False)
    with pytest.raises(ConfigurationError, match=f"{SECRET_FILE} is not set"):
        ASGIProxyMiddleware.from_env(asgi_application)
    monkeypatch.setenv(SECRET_FILE, secret)
    application = Application()
    middleware = ASGIProxyMiddleware.from_env(application, accept_keys="REMOTE_USER")
    call(middleware, scope_of_request(signed(secret)), messages())
    assert application.scope is not None
    assert application.scope["wsgiproxy"]["verified"] == "k1"
