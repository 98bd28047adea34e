"""An application with hooks that is held until a condition is true, on either edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from tests.support.asgi_calls import LAST, Caller, http_scope
from tests.support.in_process import front_environ, run
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

__all__ = ["held"]

_LIMIT = 10  # seconds


def held(
    edge: str,
    url: str,
    hooks: Iterable[Any],
    until: Callable[[], object] = lambda: True,
    *,
    target: str = "/x",
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    has_left: bool = False,
    **options: Any,
) -> tuple[int, dict[str, str], bytes]:
    """The answer to one request; the application is closed when *until* is true.

    :param has_left: the client has, as far as the server can tell.
    :param options: of the application.
    """
    path, _, query = target.partition("?")
    if edge == "wsgi":
        environ = front_environ(
            **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers},
            HTTP_HOST="front.example",
            PATH_INFO=unquote(path),
            REQUEST_URI=target,
            QUERY_STRING=query,
        )
        environ |= {
            "REQUEST_METHOD": method,
            "waitress.client_disconnected": lambda: has_left,
        }
        return _held_wsgi(WSGIProxyApp(url, hooks=hooks, **options), environ, until)
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = http_scope(
        *lines,
        method=method,
        path=unquote(path),
        raw_path=path.encode(),
        query_string=query.encode(),
    )
    caller = Caller([LAST, {"type": "http.disconnect"}] if has_left else [LAST])
    error = asyncio.run(_held_asgi(ASGIProxyApp(url, hooks=hooks, **options), scope, caller, until))
    if error is not None:
        raise error
    start, *rest = caller.sent
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], fields, b"".join(each.get("body", b"") for each in rest)


def _held_wsgi(app: WSGIProxyApp, environ: Any, until: Callable[[], object]) -> Any:
    answer = run(app, environ)
    deadline = time.monotonic() + _LIMIT
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    app.close()
    fields = {name.lower(): value for name, value in answer.head.headers}
    return answer.head.status, fields, answer.whole


async def _held_asgi(
    app: ASGIProxyApp, scope: Any, caller: Caller, until: Callable[[], object]
) -> BaseException | None:
    error = await caller(app, scope)
    deadline = time.monotonic() + _LIMIT
    while not until():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)
    app.close()
    return error
