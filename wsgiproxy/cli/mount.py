"""An application below a prefix, and the page for every other path."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from webob import Response

from wsgiproxy.errors import NotFound
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.router import Route, not_found
from wsgiproxy.wsgi.gateway import log_failure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Mount"]

_NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>404 Not Found</title>
<h1>Nothing is here</h1>
<p>{why}What you look for may be at <a href="{link}">{link}</a>.</p>
</html>
"""


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
        prefix, path_info = self._route.prefix, environ.get("PATH_INFO", "")
        link = environ.get("SCRIPT_NAME", "") + prefix + "/"
        record = Record(environ)
        if path_info in ("", "/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            # WebOb would make an absolute address of it, from the Host of the client.
            start_response("302 Found", [("Location", link), ("Content-Length", "0")])
            record.end(302)
            return []
        error = not_found(environ, [prefix])
        log_failure(error, record)
        record.fail(error)
        why = error.public.removeprefix(NotFound.public).strip()
        text = _NOT_FOUND.format(link=escape(link), why=f"{escape(why)} " if why else "")
        page = Response(text, status=404)(environ, start_response)
        record.end(404, sent=sum(map(len, page)))
        return page
