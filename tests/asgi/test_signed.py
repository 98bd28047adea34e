"""What the ASGI edge signs, the middleware at the backend believes, under every server."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.asgi_calls import LAST, Caller, http_scope
from tests.support.client import raw_exchange, request_bytes
from tests.support.fronts import ASGI_FRONTS, Fronts
from tests.support.in_process import PARSERS, key_file, run
from tests.support.messages import RawRequest, answer, chunks
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.secretloader import new_key


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


def restored(request: RawRequest, secret: str, *keys: str) -> dict[str, Any]:
    """The environ that the backend's application gets."""
    seen: dict[str, Any] = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return []

    environ = PARSERS["wsgiref"](request.head)
    environ["wsgi.input"] = io.BytesIO(request.body)
    head = run(WSGIProxyMiddleware(application, secret, accept_keys=keys), environ).head
    assert head.status == 200, head
    return seen


@pytest.mark.parametrize("front", ASGI_FRONTS)
def test_every_server(front: str, fronts: Fronts, secret: str, upstream: RawUpstream) -> None:
    """With a mount, and a chunked body that is covered by the signature."""
    upstream.behaviour = answer(body=b"hello")
    options = json.dumps({"secret_file": secret, "sign_body": True})
    app = "tests.support.asgi_apps:mounted"
    server = fronts.get(front, app, UPSTREAM=upstream.url, OPTIONS=options)
    fields = [("Transfer-Encoding", "chunked"), ("WSGIProxy", "e30"), ("Signature", "a=:b:")]
    body = chunks(b"hel", b"lo")
    response = raw_exchange(server.port, request_bytes("POST /mount/a%2Fb?c", fields, body))
    assert (response.status, response.body) == (200, b"hello"), server.log
    (arrived,) = upstream.requests
    assert arrived.body == b"hello"
    assert len(arrived.values("Content-Digest")) == len(arrived.values("WSGIProxy")) == 1
    seen = restored(arrived, secret)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/mount", "/a/b")
    assert (seen["HTTP_HOST"], seen["QUERY_STRING"]) == ("front.example", "c")
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("place", ["state", "wsgiproxy"])
def test_keys_of_the_scope_are_carried(
    place: str, secret: str, upstream: RawUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = answer(body=b"hello")
    app = ASGIProxyApp(upstream.url, secret, ["tenant"])
    scope = http_scope(**{place: {"tenant": "north", "other": "never"}})
    assert asyncio.run(Caller([LAST])(app, scope)) is None
    seen = restored(upstream.requests[0], secret, "tenant")
    assert seen["tenant"] == "north"
    assert "other" not in seen


def test_a_body_too_large_to_be_signed(secret: str, upstream: RawUpstream) -> None:
    app = ASGIProxyApp(upstream.url, secret, sign_body=True)
    block = {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}
    caller = Caller([block, block])
    scope = http_scope((b"transfer-encoding", b"chunked"), method="POST")
    assert asyncio.run(caller(app, scope)) is None
    assert caller.sent[0]["status"] == 413
    assert upstream.requests == []
