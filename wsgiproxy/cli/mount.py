"""An application below a prefix, and the page for every other path."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.errors import BadRequest, NotFound
from wsgiproxy.observe.accesslog import ROUTE, Record, asked_in_scope
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.router import Route
from wsgiproxy.sansio.environ.scope import native
from wsgiproxy.sansio.errorpage import Page
from wsgiproxy.sansio.mount import is_bare, outside, path_in, shifted, slash_location

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.asgi.body import Receive, Scope, Send
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = ["ASGIMount", "Mount"]

_NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>404 Not Found</title>
<h1>Nothing is here</h1>
<p>{why}What you look for may be at <a href="{link}">{link}</a>.</p>
</html>
"""


class _Outside(NamedTuple):
    """A request for a path outside the prefix, by either interface."""

    method: str
    mount: str
    path: str
    referer: str
    host: str

    def page(self, prefix: str, record: Record) -> Page:
        """The answer: from the root to the prefix, else a page that links there."""
        link = self.mount + prefix + "/"
        is_read = self.method in ("GET", "HEAD")
        if self.path in ("", "/") and is_read:
            record.end(302)
            return _found(link)
        error = outside(self.path, [prefix], mount=self.mount, referer=self.referer, host=self.host)
        log_failure(error, record)
        record.fail(error)
        why = error.public.removeprefix(NotFound.public).strip()
        text = _NOT_FOUND.format(link=escape(link), why=f"{escape(why)} " if why else "").encode()
        fields = [("Content-Type", "text/html; charset=UTF-8"), ("Content-Length", str(len(text)))]
        body = b"" if self.method == "HEAD" else text
        record.end(404, sent=len(body))
        return Page(404, "Not Found", fields, body)


def _found(location: str) -> Page:
    return Page(302, "Found", [("Location", location), ("Content-Length", "0")], b"")


class Mount:
    """A WSGI application with one :class:`~wsgiproxy.router.Route`."""

    def __init__(
        self, application: WSGIApplication, prefix: str, *, is_folder: bool = False
    ) -> None:
        self._route = Route(prefix, application, is_folder)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        answer = self._route.answer(environ, start_response)
        if answer is not None:
            return answer
        get = environ.get
        request = _Outside(
            environ["REQUEST_METHOD"],
            get("SCRIPT_NAME", ""),
            get("PATH_INFO", ""),
            get("HTTP_REFERER", ""),
            get("HTTP_HOST", ""),
        )
        page = request.page(self._route.prefix, Record(environ))
        start_response(f"{page.status} {page.reason}", page.headers)
        return [page.body] if page.body else []


class ASGIMount:
    """The same for an ASGI application, which gets all that is no request as well."""

    def __init__(
        self, application: ASGIApplication, prefix: str, *, is_folder: bool = False
    ) -> None:
        self._application = application
        self._prefix = prefix
        self._is_folder = is_folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        root, path_info = path_in(scope.get("root_path", ""), scope["path"])
        method = scope.get("method", "")
        place = shifted(root, path_info, self._prefix)
        if place is not None and not (self._is_folder and is_bare(method, *place)):
            inner = {**scope, "root_path": place[0], ROUTE: self._prefix}
            await self._application(inner, receive, send)
            return
        from wsgiproxy.asgi.answers import send_error, send_whole
        from wsgiproxy.asgi.websocket import refuse_websocket

        record = Record(scope, None, asked_in_scope)
        if scope["type"] == "websocket":
            error = outside(path_info, [self._prefix], mount=root, referer="", host="")
            await receive()  # websocket.connect
            await refuse_websocket(error, scope, send, record)
            return
        if place is None:
            request = _Outside(
                method, root, path_info, _field(scope, b"referer"), _field(scope, b"host")
            )
            page = request.page(self._prefix, record)
        else:
            try:
                query = (scope.get("query_string") or b"").decode("latin-1")
                page = _found(slash_location(native(place[0]), query))
            except BadRequest as error:
                await send_error(error, scope, send, record)
                return
            record.end(302)
        await send_whole(page.status, page.headers, page.body, send)


def _field(scope: Scope, name: bytes) -> str:
    values = [value.decode("latin-1") for each, value in scope["headers"] if each == name]
    return ", ".join(values)
