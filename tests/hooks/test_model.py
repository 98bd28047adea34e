"""Random chains of random hooks against a model, on both edges.

Whatever hooks do, a client gets one legal answer, the one that the model says, and no reply is left
open.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.asgi_calls import LAST, Caller, http_scope, judged
from tests.test_exactproxy import Called
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.errors import ContentTooLarge, Forbidden, ProxyError, UpstreamLost
from wsgiproxy.hooks import Beside, InThread, Response, Wait
from wsgiproxy.sansio.message import ResponseHead

BODY, ANSWER = b"request", b"answer"


class Failed(Exception):
    """In the model: the status of an error page."""


ACTS = [
    "pass", "tag", "map request", "map response", "read request", "read response", "read too much",
    "set request", "set response", "answer", "raise before", "raise after", "forbid", "nonsense",
    "return nonsense", "swallow", "catch", "twice", "status 204", "bad field", "never yield",
    "watch request", "watch response", "wait", "beside", "thread", "thread fails",
]  # fmt: skip


def beside() -> Any:
    yield Wait(0)
    raise ValueError("beside")


def hook_of(act: str) -> Any:  # noqa: C901 (a list of things that hooks do)
    """A hook that does one thing."""

    def hook(request):  # noqa: C901 (as above)
        if act == "answer":
            return Response(299, body=b"early")
        if act == "never yield":
            return None
        if act == "raise before":
            raise ValueError(act)
        if act == "forbid":
            raise Forbidden(act)
        if act == "wait":
            yield Wait(0)
        if act == "beside":
            yield Beside(beside())
        if act in ("thread", "thread fails"):
            yield InThread(int, "5" if act == "thread" else "x")
        if act == "read request":
            yield request.read()
        if act == "read too much":
            yield request.read(limit=1)
        if act == "set request":
            request.body = b"set"
        if act == "map request":
            request.body.map(bytes.swapcase)
        if act == "watch request":
            request.body.watch(len, dict)
        if act == "nonsense":
            yield 5
        if act == "swallow":
            try:
                yield 5
            except GeneratorExit:
                yield request
        try:
            response = yield request
            if act == "twice":
                response = yield request
        except ProxyError:
            if act != "catch":
                raise
            return Response(298, body=b"caught")
        if act == "raise after":
            raise ValueError(act)
        if act == "return nonsense":
            return 5
        if act == "read response":
            yield response.read()
        if act == "set response":
            response.body = b"Set"
        if act == "map response":
            response.body.map(bytes.swapcase)
        if act == "watch response":
            response.body.watch(len, dict)
        if act == "status 204":
            response.status = 204
        if act == "tag":
            response.headers.add("X-Tag", "1")
        if act == "bad field":
            response.headers["X-Bad"] = "a\nb"
        return response

    hook.__qualname__ = act
    return hook


class Model:
    """What a chain has to give.

    :ivar sent: the bodies that reach the upstream.
    """

    def __init__(self, acts: list[str], fails: bool) -> None:
        self.acts, self.fails = acts, fails
        self.body, self.mapped, self.is_here, self.is_gone = BODY, 0, False, False
        self.sent: list[bytes] = []

    def upstream(self) -> tuple[int, bytes, int]:
        if not self.is_here:
            if self.is_gone:
                raise Failed(500)
            self.is_gone = True
        self.sent.append(self._current())
        if self.fails:
            raise Failed(UpstreamLost.status)
        return 200, ANSWER, 0

    def _current(self) -> bytes:
        body = self.body.swapcase() if self.mapped % 2 else self.body
        if self.is_here:
            self.body, self.mapped = body, 0
        return body

    def run(self, at: int = 0) -> tuple[int, bytes, int]:  # noqa: C901 (as above)
        if at == len(self.acts):
            return self.upstream()
        act = self.acts[at]
        if act == "answer":
            return 299, b"early", 0
        if act in ("raise before", "never yield", "nonsense", "swallow", "thread fails"):
            raise Failed(500)
        if act == "forbid":
            raise Failed(403)
        self.before(act)
        try:
            status, body, tags = self.run(at + 1)
            if act == "twice":
                status, body, tags = self.run(at + 1)
        except Failed:
            if act != "catch":
                raise
            return 298, b"caught", 0
        if act in ("raise after", "return nonsense", "bad field"):
            raise Failed(500)
        if act == "set response":
            body = b"Set"
        if act == "map response":
            body = body.swapcase()
        return 204 if act == "status 204" else status, body, tags + (act == "tag")

    def before(self, act: str) -> None:
        if act in ("read request", "read too much"):
            if not self.is_here and self.is_gone:
                raise Failed(500)
            if act == "read too much":
                self.is_gone = True
                raise Failed(ContentTooLarge.status)
            self.body, self.mapped, self.is_here = self._current(), 0, True
        if act == "set request":
            self.body, self.mapped, self.is_here = b"set", 0, True
        if act == "map request":
            self.mapped += 1


class FakeReply:
    """An answer in blocks."""

    def __init__(self, is_whole: bool) -> None:
        self.head = ResponseHead(200, "OK", [("Content-Length", str(len(ANSWER)))])
        self.whole = ANSWER if is_whole else None
        self.received = len(ANSWER) if is_whole else 0
        self.reused = False
        self.trailers: list[Any] = []
        self.closed = 0
        self._blocks = [ANSWER[:2], ANSWER[2:]]

    @property
    def complete(self) -> bool:
        return not self._blocks or self.whole is not None

    def __iter__(self) -> FakeReply:
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        if not self._blocks:
            raise StopIteration
        self.received += len(self._blocks[0])
        return self._blocks.pop(0)

    async def __anext__(self) -> bytes:
        for block in self:
            return block
        raise StopAsyncIteration

    def pulse(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class FakeTransport:
    def __init__(self, fails: bool, is_whole: bool) -> None:
        self.fails, self.is_whole = fails, is_whole
        self.bodies: list[bytes] = []
        self.replies: list[FakeReply] = []

    def _answer(self, request: Any, body: bytes) -> FakeReply:
        self.bodies.append(body)
        assert request.chunked or (request.content_length or 0) == len(body)
        if self.fails:
            raise UpstreamLost("gone")
        self.replies.append(FakeReply(self.is_whole))
        return self.replies[-1]

    def check(self, model: Model) -> None:
        assert self.bodies == model.sent
        assert all(reply.closed or reply.complete for reply in self.replies)


class SyncTransport(FakeTransport):
    def send(self, origin: Any, request: Any, body: Any = None, call: Any = None) -> Any:
        return self._answer(request, b"".join(body or ()))


class AsyncTransport(FakeTransport):
    async def send(self, origin: Any, request: Any, body: Any = None, call: Any = None) -> Any:
        return self._answer(request, b"".join([each async for each in body] if body else ()))


CHAINS = st.lists(st.sampled_from(ACTS), max_size=6)


def expected(model: Model) -> tuple[int, bytes | None, int]:
    try:
        status, body, tags = model.run()
    except Failed as failed:
        return failed.args[0], None, 0
    return status, b"" if status == 204 else body, tags


@given(CHAINS, st.booleans(), st.booleans())
def test_wsgi(acts: list[str], fails: bool, is_whole: bool) -> None:
    model = Model(acts, fails)
    status, body, tags = expected(model)
    transport = SyncTransport(fails, is_whole)
    app = WSGIProxyApp("http://a.example", hooks=map(hook_of, acts), transport=transport)
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/x", "QUERY_STRING": "",
        "SERVER_NAME": "a.example", "SERVER_PORT": "80", "HTTP_HOST": "a.example",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "CONTENT_LENGTH": str(len(BODY)), "wsgi.input": io.BytesIO(BODY),
    }  # fmt: skip
    called = Called(app, environ)
    assert called.status == status
    found = called.read()
    fields = called.calls[0][1]
    if body is not None:
        assert found == body
        lengths = [int(value) for name, value in fields if name == "Content-Length"]
        assert lengths in ([], [len(body)])
        assert [name for name, _ in fields].count("X-Tag") == tags
    transport.check(model)


@given(CHAINS, st.booleans(), st.booleans())
def test_asgi(acts: list[str], fails: bool, is_whole: bool) -> None:
    model = Model(acts, fails)
    status, body, tags = expected(model)
    transport = AsyncTransport(fails, is_whole)
    app = ASGIProxyApp("http://a.example", hooks=map(hook_of, acts), transport=transport)
    length = (b"content-length", str(len(BODY)).encode())
    scope = http_scope(length, method="POST")
    caller = Caller([{"type": "http.request", "body": BODY, "more_body": True}, LAST])
    assert asyncio.run(caller(app, scope)) is None
    assert judged(caller.sent, scope)
    assert caller.sent[0]["status"] == status
    if body is not None:
        assert b"".join(each["body"] for each in caller.sent[1:]) == body
        assert [name for name, _ in caller.sent[0]["headers"]].count(b"x-tag") == tags
    transport.check(model)
