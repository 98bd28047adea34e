"""An application under a prefix, and what is said of everything beside it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from webob import Response

from wsgiproxy.errors import NotFound
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.router import is_bare, not_found, shifted, with_slash
from wsgiproxy.wsgi.gateway import log_failure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Mount", "shifted"]

_NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>404 Not Found</title>
<h1>Nothing is here</h1>
<p>{why}What you look for may be at <a href="{link}">{link}</a>.</p>
</html>
"""


class Mount:
    """A WSGI application that passes *prefix* and all below it on.

    The raw target is left as it is: it holds the prefix, as ``SCRIPT_NAME`` does.

    :param application: what is mounted.
    :param prefix: a path without a slash at its end; empty for the root.
    :param is_folder: whether a GET of the prefix alone is sent to the prefix with a slash, as
        :class:`~wsgiproxy.router.Route` has it.
    """

    def __init__(
        self, application: WSGIApplication, prefix: str, *, is_folder: bool = False
    ) -> None:
        self._application = application
        self._prefix = prefix
        self._is_folder = is_folder

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        script_name, path_info = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        place = shifted(script_name, path_info, self._prefix)
        if place is not None:
            inner = {**environ, "SCRIPT_NAME": place[0], "PATH_INFO": place[1]}
            if self._is_folder and is_bare(inner):
                return with_slash(inner, start_response)
            return self._application(inner, start_response)
        link = script_name + self._prefix + "/"
        record = Record(environ)
        if path_info in ("", "/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            # WebOb would make an absolute address of it, from what the client calls us.
            start_response("302 Found", [("Location", link), ("Content-Length", "0")])
            record.end(302)
            return []
        error = not_found(environ, [self._prefix])
        log_failure(error, record)
        record.fail(error)
        why = error.public.removeprefix(NotFound.public).strip()
        text = _NOT_FOUND.format(link=escape(link), why=f"{escape(why)} " if why else "")
        page = Response(text, status=404)(environ, start_response)
        record.end(404, sent=sum(map(len, page)))
        return page
