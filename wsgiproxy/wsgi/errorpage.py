"""The page for an error, as a WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.errorpage import error_page as rendered
from wsgiproxy.sansio.errorpage import load_pages
from wsgiproxy.wsgi.client import client_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["error_page"]

load_pages()


def error_page(error: ProxyError) -> WSGIApplication:
    """The page for *error*; HTML, JSON or text as the client's Accept says.

    >>> list(error_page(ProxyError())({}, lambda status, headers: print(status)))[0][:3]
    500 Internal Server Error
    b'500'
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # An environ may lack even its method; that is perhaps why there is an error.
        page = rendered(
            error,
            environ.get("REQUEST_METHOD", "GET"),
            environ.get("HTTP_ACCEPT"),
            # waitress and wsgiref answer 500 to it, since it is hop-by-hop.
            challenges=error.status == 407 and client_socket(environ) is not None,
        )
        start_response(f"{page.status} {page.reason}", page.headers)
        return [page.body] if page.body else []

    return application
