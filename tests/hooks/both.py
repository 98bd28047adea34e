"""One request through an application with hooks, on either edge, to a raw upstream."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.support.asgi_calls import Caller, http_scope
from tests.support.in_process import front_environ, run
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

__all__ = ["EDGES", "Answer", "asked"]

EDGES = ("wsgi", "asgi")
Lines = Iterable[tuple[str, str]]


class Answer(NamedTuple):
    """What the client has got."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)


def asked(
    edge: str,
    url: str,
    hooks: Iterable[Any],
    target: str = "/x",
    headers: Lines = (),
    *,
    method: str = "GET",
    body: bytes = b"",
    mount: str = "",
    peer: str = "192.0.2.1",
) -> Answer:
    """The answer to one request of a client."""
    path, mark, query = target.partition("?")
    if edge == "wsgi":
        return _wsgi(url, hooks, (path, query), list(headers), method, body, mount, peer)
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    if body:
        lines.append((b"content-length", str(len(body)).encode()))
    scope = http_scope(
        *lines,
        method=method,
        path=unquote(mount + path),
        raw_path=(mount + path).encode(),
        query_string=query.encode(),
        root_path=mount,
        client=(peer, 40000),
    )
    caller = Caller([{"type": "http.request", "body": body, "more_body": False}])
    error = asyncio.run(_asgi(url, hooks, caller, scope))
    if error is not None:
        raise error
    start, *rest = caller.sent
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], fields, b"".join(each.get("body", b"") for each in rest))


async def _asgi(url: str, hooks: Iterable[Any], caller: Caller, scope: Any) -> BaseException | None:
    return await caller(ASGIProxyApp(url, hooks=hooks), scope)


def _wsgi(
    url: str,
    hooks: Iterable[Any],
    target: tuple[str, str],
    headers: list[tuple[str, str]],
    method: str,
    body: bytes,
    mount: str,
    peer: str,
) -> Answer:
    fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}
    if "HTTP_CONTENT_TYPE" in fields:
        fields["CONTENT_TYPE"] = fields.pop("HTTP_CONTENT_TYPE")
    environ = front_environ(
        body,
        **fields,
        HTTP_HOST="front.example",
        SCRIPT_NAME=mount,
        PATH_INFO=unquote(target[0]),
        REQUEST_URI=mount + target[0] + ("?" + target[1] if target[1] else ""),
        QUERY_STRING=target[1],
        REMOTE_ADDR=peer,
    )
    environ["REQUEST_METHOD"] = method
    environ["wsgi.input"] = io.BytesIO(body)
    answer = run(WSGIProxyApp(url, hooks=hooks), environ)
    return Answer(answer.head.status, answer.head.headers, answer.whole)
