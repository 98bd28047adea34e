"""Behind `WSGIProxyApp`, on real ASGI servers: the scope is that of the client's request."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from tests.asgi.calls import Asked, call, messages, scope_of_request
from tests.support.backend import REPORT
from tests.support.client import raw_exchange, request_bytes
from tests.support.fronts import Front, Fronts
from tests.support.in_process import front_environ, key_file, run
from tests.trusted.test_matrix import (
    CASES,
    DECLARED,
    MIDDLEWARE,
    OTHER_TARGET,
    VARIANTS,
    Caller,
    Refused,
    turns,
)
from tests.trusted.test_matrix import environ as case_environ
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.secretloader import get_secret, new_key
from wsgiproxy.signature import sign_request

ASGI_SERVERS = ("uvicorn", "hypercorn", "granian-asgi")


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


def serve(fronts: Fronts, server: str, application: str, **options: Any) -> Front:
    path = f"tests.asgi.applications:{application}"
    return fronts.get(server, path, OPTIONS=json.dumps(options), ASGI_WS="wsproto")


@pytest.fixture(scope="module", params=ASGI_SERVERS)
def server(request: pytest.FixtureRequest, fronts: Fronts, secret: str) -> Front:
    return serve(fronts, request.param, "restored", secret_file=secret, **MIDDLEWARE)


@pytest.fixture(scope="module")
def caller(server: Front, secret: str) -> Iterator[Caller]:
    found = Caller(server, secret)
    yield found
    found.close()


def text(path: str) -> str:
    """A path of WSGI as ASGI has it."""
    return path.encode("latin-1").decode("utf-8", "replace")


#: What is refused, and with which status, instead.
REFUSED: dict[tuple[str, str, str], str] = {
    # llhttp has a list of methods.
    **{("uvicorn", "method: X-COOK", variant): "400" for variant in VARIANTS},
    # It reads the target as RFC 3986 has it.
    **{
        ("granian-asgi", "query: quotes and angle brackets", variant): "400" for variant in VARIANTS
    },
    # The path of href is a wall.
    **{(server, "path: two dots", "traversal"): "400" for server in ASGI_SERVERS},
}


@pytest.mark.parametrize(("case", "variant"), turns(REFUSED))
def test_what_the_client_asked_for_comes_back(caller: Caller, case: str, variant: str) -> None:
    before = case_environ(**CASES[case])
    body = before["wsgi.input"].getvalue()
    if (caller.name, case, variant) in REFUSED:
        with pytest.raises(Refused) as refused:
            caller.after(variant, before)
        assert refused.value.args[0][:3] == REFUSED[caller.name, case, variant]
        return
    after = caller.after(variant, before)
    wanted = {
        "method": before["REQUEST_METHOD"],
        "scheme": before["wsgi.url_scheme"],
        "server": [before["SERVER_NAME"], int(before["SERVER_PORT"])],
        "client": [before["REMOTE_ADDR"], 0] if before["REMOTE_ADDR"] else None,
        "root_path": text(before["SCRIPT_NAME"]),
        "path": text(before["SCRIPT_NAME"]) + text(before["PATH_INFO"]) or "/",
        "query_string": before["QUERY_STRING"],
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }
    if "REQUEST_URI" in before and (case, variant) not in OTHER_TARGET:
        wanted["raw_path"] = before["REQUEST_URI"].partition("?")[0]
    assert {name: after[name] for name in wanted} == wanted
    headers = [tuple(line) for line in after["headers"]]
    assert [value for name, value in headers if name == "host"] == [before["HTTP_HOST"]]
    own = after["wsgiproxy"]
    assert own["verified"] == "k1"
    assert {key: own[key] for key in own if key in DECLARED} == {
        key: before[key] for key in before if key in DECLARED
    }
    left = [name for name, _ in headers if name.startswith(("x-", "wsgiproxy", "signature"))]
    assert [name for name in left if name != REPORT] == []


def test_an_unsigned_request_gets_403(server: Front) -> None:
    answer = raw_exchange(server.port, request_bytes("GET /", [("Accept", "application/json")]))
    assert answer.status == 403
    assert json.loads(answer.body)["code"].startswith("403")
    assert "not signed" in server.log


# -- signed by the ASGI twin -----------------------------------------------------------

CARRIED = {"REMOTE_USER": "ada", "front.list": [1]}


def sent_by_asgi(port: int, secret: str, body: bytes) -> dict[str, Any]:
    """The answer to a request that `ASGIProxyApp` has signed."""
    app = ASGIProxyApp(
        f"http://127.0.0.1:{port}/base%20path?key=1",
        secret,
        string_keys=["REMOTE_USER"],
        json_keys=["front.list"],
        sign_body=True,
    )
    headers = [("Host", "shop.example:8443"), ("Content-Length", str(len(body)))]
    asked = Asked("/shop/a%2Fb?q=1", headers, "POST", "203.0.113.9", "https")
    scope = scope_of_request(
        asked, root_path="/shop", server=("shop.example", 8443), wsgiproxy=CARRIED
    )

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        finally:
            app.close()

    start, *blocks = call(closing, scope, messages(body, 1000)[:-1])
    answer = b"".join(message.get("body", b"") for message in blocks)
    assert start["status"] == 200, answer
    found: dict[str, Any] = json.loads(answer)
    return found


@pytest.mark.parametrize("body", [b"", b"hello" * 1000], ids=["empty", "body"])
def test_what_the_asgi_twin_has_signed_is_verified(server: Front, secret: str, body: bytes) -> None:
    after = sent_by_asgi(server.port, secret, body)
    assert (after["client"], after["scheme"]) == (["203.0.113.9", 0], "https")
    assert after["server"] == ["shop.example", 8443]
    assert (after["root_path"], after["path"]) == ("/shop", "/shop/a/b")
    assert (after["raw_path"], after["query_string"]) == ("/shop/a%2Fb", "q=1")
    assert ["host", "shop.example:8443"] in after["headers"]
    assert after["body_sha256"] == hashlib.sha256(body).hexdigest()
    own = after["wsgiproxy"]
    assert {**own, **CARRIED, "verified": "k1", "traversal_path": "/base%20path"} == own


def test_what_the_asgi_twin_has_signed_is_verified_by_wsgi(fronts: Fronts, secret: str) -> None:
    options = json.dumps({"secret_file": secret, **MIDDLEWARE})
    behind = fronts.get("waitress", "tests.support.backend:restored", OPTIONS=options)
    after = sent_by_asgi(behind.port, secret, b"hello")
    wanted = {
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "shop.example:8443",
        "SERVER_PORT": "8443",
        "SCRIPT_NAME": "/shop",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "q=1",
        "wsgiproxy.verified": "k1",
        "body_sha256": hashlib.sha256(b"hello").hexdigest(),
        **CARRIED,
    }
    assert {key: after.get(key) for key in wanted} == wanted


# -- WebSocket -------------------------------------------------------------------------

HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def shaken(port: int, headers: list[tuple[str, str]]) -> bytes:
    """What comes after a handshake, until the server says nothing more."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request_bytes("GET /chat?x=1", [*HANDSHAKE, *headers], host="a.example"))
        while b"403 " not in found and b'"headers"' not in found and b'"wsgiproxy"' not in found:
            block = connection.recv(65536)
            assert block, found
            found += block
    return found


def test_a_signed_websocket_is_accepted(server: Front, secret: str) -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/chat",
        "QUERY_STRING": "x=1",
        "HTTP_HOST": "a.example",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "https",
    }
    sign_request(environ, get_secret(secret))
    names = ("WSGIProxy", "Signature-Input", "Signature")
    answer = shaken(server.port, [(name, environ[environ_key(name)]) for name in names])
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b'"scheme": "wss"' in answer
    assert b'"client": ["203.0.113.9", 0]' in answer


def test_an_unsigned_websocket_is_refused(server: Front) -> None:
    assert shaken(server.port, []).startswith(b"HTTP/1.1 403 ")


# -- frameworks ------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["", "/shop", "/caf\xc3\xa9"])
@pytest.mark.parametrize("framework", ["starlette", "django"])
def test_what_frameworks_make_of_it(
    fronts: Fronts, secret: str, framework: str, mount: str
) -> None:
    behind = serve(fronts, "uvicorn", framework, secret_file=secret)
    app = WSGIProxyApp(f"http://127.0.0.1:{behind.port}", secret)
    environ = front_environ(
        **{"wsgi.url_scheme": "https"}, SCRIPT_NAME=mount, PATH_INFO="/page/a b", QUERY_STRING="q=1"
    )
    try:
        answer = run(app, environ)
    finally:
        app.close()
    assert answer.head.status == 200, (answer.whole, behind.log)
    base = f"https://shop.example{text(mount)}"
    seen = json.loads(answer.whole)
    # Starlette writes addresses for people to read.
    assert {**seen, "url": unquote(seen["url"]), "link": unquote(seen["link"])} == {
        "url": f"{base}/page/a b?q=1",
        "client": "203.0.113.9",
        "root_path": text(mount),
        "link": f"{base}/page/other",
        "name": "a b",
        "verified": "k1",
    }
