"""Asking an application with hooks as a server does, on either edge; nothing may be left open."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any, NamedTuple

from tests.support.asgi_calls import LAST, Caller, http_scope, judged
from tests.support.in_process import front_environ
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.sansio.fields.names import words
from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.aio.transport import AsyncPooledTransport

__all__ = ["EDGES", "EVIL", "HELLO", "LONG", "REMOVED", "Asked", "Got", "passes"]

EDGES = ("wsgi", "asgi")
REMOVED = sorted(
    words(
        "Content-Length Content_Length content.length Transfer-Encoding Transfer_Encoding "
        "transfer.encoding Connection Keep-Alive Proxy-Connection TE Trailer Trailers "
        "Upgrade HTTP2-Settings Proxy-Authorization Host HOST Expect Proxy proxy "
        "Forwarded FORWARDED X-Forwarded-For X_Forwarded_For x.forwarded.for X-Forwarded- "
        "Host X-Forwarded-Proto X-Forwarded-Prefix X-Forwarded-Anything X-Real-IP "
        "X_Real_IP True-Client-IP X-Script-Name Remote-User X-WSGIProxy-Version "
        "X_WSGIProxy_Path X-WSGIProxy-Secret "
    )
)
EVIL = "evil"
HELLO = answer(200, [("ETag", '"a"')], b"hello")
LONG = b"x" * 400_000


class Got(NamedTuple):
    """What the client has got.

    :ivar error: why the answer has broken off, if it has.
    """

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    error: BaseException | None

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name]


class Keeping:
    """A transport that keeps all replies, so that none is closed by the collection of garbage."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.replies: list[Any] = []

    def _kept(self, reply: Any) -> Any:
        self.replies.append(reply)
        return reply


class SyncKeeping(Keeping):
    def send(self, *arguments: Any) -> Any:
        return self._kept(self.transport.send(*arguments))


class AsyncKeeping(Keeping):
    async def send(self, *arguments: Any) -> Any:
        return self._kept(await self.transport.send(*arguments))


class Asked:
    """Asks an application with hooks on one edge, and looks whether a connection is left."""

    def __init__(self, edge: str, upstream: RawUpstream) -> None:
        self.edge, self.upstream = edge, upstream

    def __call__(
        self,
        *hooks: Any,
        behaviour: Any = HELLO,
        method: str = "",
        target: str = "/x",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
        leaves: str = "",
        base: str = "",
        **options: Any,
    ) -> Got:
        """One answer.

        :param leaves: when the client does: ``sending`` or ``reading`` its body, or ``waiting``.
        """
        self.upstream.behaviour = behaviour
        method = method or ("GET" if body is None else "POST")
        options |= {"hooks": hooks}
        ask = self._wsgi if self.edge == "wsgi" else self._asgi
        got = ask(self.upstream.url + base, options, (method, target, headers, body), leaves)
        assert self.upstream.wait_closed(2), "a connection is left open"
        self._check(got, method, leaves)
        return got

    @staticmethod
    def _check(got: Got, method: str, leaves: str) -> None:
        """A legal answer, and a length that is that of the body."""
        for name, value in got.fields:
            assert type(name) is str and re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
            assert type(value) is str and re.fullmatch("[\t -~\x80-\xff]*", value)
        lengths = [int(value) for value in got.values("content-length")]
        assert len(lengths) <= 1
        if method == "HEAD" or got.status in (204, 304):
            assert not got.body
        elif lengths and got.error is None and leaves != "reading":
            assert lengths == [len(got.body)], "a length that is not that of the body"

    def _wsgi(self, url: str, options: Any, asked: Any, leaves: str) -> Got:
        method, target, headers, body = asked
        transport = SyncKeeping(PooledTransport())
        app = WSGIProxyApp(url, transport=transport, **options)
        fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}
        path, _, query = target.partition("?")
        environ = front_environ(body or b"", **fields, PATH_INFO=path, QUERY_STRING=query)
        environ |= {"REQUEST_METHOD": method, "REQUEST_URI": target}
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))
        if leaves == "sending":
            environ["wsgi.input"] = io.BytesIO((body or b"")[:-1])
        if leaves == "waiting":
            environ["waitress.client_disconnected"] = lambda: True
        calls: list[Any] = [("0", [])]
        result, blocks, error = None, [], None
        try:
            result = app(environ, lambda *arguments: calls.append(arguments))
            for block in result:
                blocks.append(block)
                if leaves == "reading" and block:
                    break
        except BaseException as failure:
            error = failure
        finally:
            if hasattr(result, "close"):
                result.close()
            app.close()
            transport.transport.close()
        line, lines = calls[-1][:2]
        return Got(int(line[:3]), lines, b"".join(blocks), error)

    def _asgi(self, url: str, options: Any, asked: Any, leaves: str) -> Got:
        method, target, headers, body = asked
        lines = [(name.lower().encode(), value.encode()) for name, value in headers]
        events: list[Any] = [LAST]
        if body is not None:
            lines.append((b"content-length", str(len(body)).encode()))
            events = [{"type": "http.request", "body": body, "more_body": True}, LAST]
        if leaves in ("sending", "waiting"):
            events[-1:] = (
                [{"type": "http.disconnect"}] if body else [LAST, {"type": "http.disconnect"}]
            )
        path, _, query = target.partition("?")
        scope = http_scope(
            *lines, method=method, path=path, raw_path=path.encode(), query_string=query.encode()
        )
        caller = Caller(events, fails_at=2 if leaves == "reading" else None)

        async def main() -> BaseException | None:
            transport = AsyncKeeping(AsyncPooledTransport())
            app = ASGIProxyApp(url, transport=transport, **options)
            try:
                return await asyncio.wait_for(caller(app, scope), 10)
            finally:
                app.close()
                transport.transport.close()
                await asyncio.sleep(0)

        error: BaseException | None
        try:
            error = asyncio.run(main())
        except BaseException as failure:
            error = failure
        is_whole = judged(caller.sent, scope)
        if not is_whole and error is None and leaves != "reading":
            error = AssertionError("no end")
        if not caller.sent:
            return Got(0, [], b"", error)
        start, *rest = caller.sent
        fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]]
        data = b"".join(each.get("body", b"") for each in rest)
        return Got(start["status"], fields, data, error)


def passes(request):
    return (yield request)
