"""What a client sees of an error: a status, a sentence, and nothing of the inside."""

from __future__ import annotations

import warnings
from string import Template
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    # WebOb 1.8 imports cgi, which Python 3.11 and 3.12 deprecate; no program that runs with
    # warnings as errors should lose the error page for it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webob import exc

from wsgiproxy.errors import (
    ClientGone,
    LoopDetected,
    MethodNotAllowed,
    Misdirected,
    NotReady,
    NotStarted,
    ProxyError,
)
from wsgiproxy.sansio.message import ALLOWED
from wsgiproxy.wsgi.client import client_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["error_page"]


class _LoopDetected(exc.HTTPServerError):
    code = LoopDetected.status
    title = "Loop Detected"  # RFC 5842, 7.2; webob has no class for it


class _Misdirected(exc.HTTPClientError):
    code = Misdirected.status
    title = "Misdirected Request"  # RFC 9110, 15.5.20; webob has no class for it


class _ClientGone(exc.HTTPClientError):
    code = ClientGone.status
    title = "Client Closed Request"


_WITH_DETAIL = Template("${explanation}\n\n<pre>${detail}</pre>")

# RFC 7617, 2.1: browsers encode names and passwords as it says.
_CHALLENGE = 'Basic realm="wsgiproxy", charset="UTF-8"'

_OTHERS = (_LoopDetected, _Misdirected, _ClientGone)
_PAGES = {**exc.status_map, **{page.code: page for page in _OTHERS}}


def _show_detail(page: Any, error: NotStarted) -> None:
    page.body_template_obj = _WITH_DETAIL
    page.detail = error.detail
    # WebOb's own takes out what looks like a tag, and joins the lines.
    page.plain_body = lambda environ: f"{page.status}\n\n{error.public}\n\n{error.detail}\n"


def error_page(error: ProxyError) -> WSGIApplication:
    """The page for *error*; HTML, JSON or text as the client's Accept says.

    >>> list(error_page(ProxyError())({}, lambda status, headers: print(status)))[0][:3]
    500 Internal Server Error
    b'500'
    """
    page = _PAGES[error.status](body_template="${explanation}")
    page.explanation = error.public
    if isinstance(error, NotReady):
        page.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotStarted) and error.detail:
        _show_detail(page, error)
    if isinstance(error, MethodNotAllowed):
        page.headers["Allow"] = ", ".join(error.allowed or ALLOWED)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if error.status == 407 and client_socket(environ) is not None:
            # PEP 3333 counts it as hop-by-hop: waitress and wsgiref answer 500 to it.
            page.headers["Proxy-Authenticate"] = _CHALLENGE
        # An environ may lack even its method; that is perhaps why there is an error.
        return page({"REQUEST_METHOD": "GET", **environ}, start_response)

    return application
