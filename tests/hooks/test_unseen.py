"""What hooks cannot look at does not pass an application with hooks: trailers and early hints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.hooks.both import EDGES
from tests.hooks.test_swap_credentials import HOLDER, KEY
from tests.support.asgi_calls import LAST, Caller, http_scope
from tests.support.in_process import front_environ, run
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.hooks.swap_credentials import swap_credentials

EXTENSIONS: dict[str, Any] = {"http.response.trailers": {}, "http.response.early_hint": {}}
HINTS = answer(103, [("Link", f"</{KEY}>")])
TRAILED = (
    b"HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Echo\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nX-Sum: abc\r\nX-Echo: %b\r\n\r\n" % KEY.encode()
)


def passes(request):
    yield request


def looks(request):
    response = yield request
    response.body.watch(len)


def shouts(request):
    response = yield request
    response.body.map(bytes.upper)


def messages(edge: str, upstream: RawUpstream, hooks: list[Any]) -> list[Any]:
    """All that the server has got: messages of ASGI; or early hints, fields and body."""
    sent = f"Bearer {HOLDER}"
    if edge == "wsgi":
        hints: list[Any] = []
        environ = front_environ(HTTP_AUTHORIZATION=sent, **{"wsgi.early_hints": hints.append})
        answered = run(WSGIProxyApp(upstream.url, hooks=hooks), environ)
        assert answered.head.status == 200
        return [*hints, answered.head.headers, answered.whole]
    scope = http_scope((b"authorization", sent.encode()), extensions=EXTENSIONS)
    caller = Caller()
    assert asyncio.run(caller(ASGIProxyApp(upstream.url, hooks=hooks), scope)) is None
    assert caller.sent[0].get("status") == 200 or not hooks
    return caller.sent


@pytest.mark.parametrize("pieces", [[TRAILED], [TRAILED[:95], TRAILED[95:]]], ids=["one", "two"])
@pytest.mark.parametrize(
    "hook",
    [passes, looks, shouts, swap_credentials(HOLDER, KEY)],
    ids=["passes", "looks", "shouts", "swaps"],
)
@pytest.mark.parametrize("edge", EDGES)
def test_trailers_end_where_hooks_are(
    edge: str, hook: Any, pieces: list[bytes], upstream: RawUpstream
) -> None:
    upstream.behaviour = [("read",), *(("send", piece) for piece in pieces)]
    found = messages(edge, upstream, [hook])
    assert "hello" in repr(found).lower() and "abc" not in repr(found) and KEY not in repr(found)
    assert "trailers" not in repr(found), "none may be announced that do not come"


@pytest.mark.parametrize("edge", EDGES)
def test_early_hints_end_where_hooks_are(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = HINTS + answer(body=b"hello")
    assert KEY in repr(messages(edge, upstream, [])[0]), "without hooks they pass"
    for hook in (passes, swap_credentials(HOLDER, KEY)):
        found = messages(edge, upstream, [hook])
        assert "hello" in repr(found) and KEY not in repr(found)


def test_trailers_pass_without_hooks(upstream: RawUpstream) -> None:
    upstream.behaviour = TRAILED
    assert messages("asgi", upstream, [])[-1] == {
        "type": "http.response.trailers",
        "headers": [(b"x-sum", b"abc"), (b"x-echo", KEY.encode())],
    }


def test_a_trailer_of_a_request_does_not_bring_back_what_a_hook_removed(
    upstream: RawUpstream,
) -> None:
    """uvicorn with httptools adds trailers to the list of fields that the scope has."""

    def removes(request):
        yield request.read()
        request.headers.popall("X-Role", None)
        yield request

    scope = http_scope((b"transfer-encoding", b"chunked"), method="POST")
    caller = Caller([{"type": "http.request", "body": b"a", "more_body": True}, LAST])

    async def receive() -> Any:
        scope["headers"].append((b"x-role", b"admin"))
        return await Caller.receive(caller)

    app = ASGIProxyApp(upstream.url, hooks=[removes])
    asyncio.run(app(scope, receive, caller.send))
    (request,) = upstream.requests
    assert (caller.sent[0]["status"], request.body) == (200, b"a")
    assert request.values("X-Role") == []
