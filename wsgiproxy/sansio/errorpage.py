"""What a client sees of an error: a status, a sentence, and nothing of the inside."""

from __future__ import annotations

import warnings
from functools import cache
from string import Template
from typing import Any, NamedTuple

from wsgiproxy.errors import (
    Busy,
    ClientGone,
    LoopDetected,
    MethodNotAllowed,
    Misdirected,
    NotReady,
    NotStarted,
    ProxyError,
    TooManyRequests,
)
from wsgiproxy.sansio.message import ALLOWED, Headers

__all__ = ["Page", "error_page", "load_pages"]


class Page(NamedTuple):
    """A whole answer.

    :param body: empty for HEAD.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes


@cache
def load_pages() -> dict[int, Any]:
    """Status -> class of WebOb; loaded before a server may have no descriptor left."""
    with warnings.catch_warnings():
        # WebOb 1.8 imports cgi, which Python 3.11 and 3.12 deprecate; no program that runs with
        # warnings as errors should lose the error page for it.
        warnings.simplefilter("ignore", DeprecationWarning)
        from webob import exc

    class _LoopDetected(exc.HTTPServerError):
        code = LoopDetected.status
        title = "Loop Detected"  # RFC 5842, 7.2; webob has no class for it

    class _Misdirected(exc.HTTPClientError):
        code = Misdirected.status
        title = "Misdirected Request"  # RFC 9110, 15.5.20; webob has no class for it

    class _ClientGone(exc.HTTPClientError):
        code = ClientGone.status
        title = "Client Closed Request"

    others = (_LoopDetected, _Misdirected, _ClientGone)
    return {**exc.status_map, **{page.code: page for page in others}}


_WITH_DETAIL = Template("${explanation}\n\n<pre>${detail}</pre>")

# RFC 7617, 2.1: browsers encode names and passwords as it says.
_CHALLENGE = 'Basic realm="wsgiproxy", charset="UTF-8"'


def _show_detail(page: Any, error: NotStarted) -> None:
    page.body_template_obj = _WITH_DETAIL
    page.detail = error.detail
    # WebOb's own takes out what looks like a tag, and joins the lines.
    page.plain_body = lambda environ: f"{page.status}\n\n{error.public}\n\n{error.detail}\n"


def error_page(
    error: ProxyError, method: str, accept: str | None, *, challenges: bool = False
) -> Page:
    """The page for *error*; HTML, JSON or text as the client's Accept says.

    :param method: of the request.
    :param accept: its Accept; None for none.
    :param challenges: ask for credentials with 407, which PEP 3333 counts as hop-by-hop.

    >>> error_page(ProxyError(), "GET", None)[:2]
    (500, 'Internal Server Error')
    """
    page = load_pages()[error.status](body_template="${explanation}")
    page.explanation = error.public
    if isinstance(error, (Busy, NotReady, TooManyRequests)):
        page.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotStarted) and error.detail:
        _show_detail(page, error)
    if isinstance(error, MethodNotAllowed):
        page.headers["Allow"] = ", ".join(error.allowed or ALLOWED)
    if error.status == 407 and challenges:
        page.headers["Proxy-Authenticate"] = _CHALLENGE
    found: list[tuple[str, Headers]] = []
    environ = {"REQUEST_METHOD": method} | ({} if accept is None else {"HTTP_ACCEPT": accept})
    body = b"".join(
        page(environ, lambda status, headers, exc_info=None: found.append((status, headers)))
    )
    status, _, reason = found[0][0].partition(" ")
    return Page(int(status), reason, found[0][1], body)
