"""What is asked of a proxy of WSGIProxy2, and whether it may be."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from wsgiproxy.errors import MethodNotAllowed, ProxyError

__all__ = ["WEBOB_ERROR", "check_asked", "is_relayed"]

#: The text of the error page for a Content-Length of -1.
WEBOB_ERROR = (
    "The Content-Length of this request is -1: WebOb has already parsed its body. Set it before"
    " you hand the request to a proxy: request.content_length = len(request.body);"
    " request.get_response(proxy)"
)


class _AlreadyParsed(ProxyError):
    """A Content-Length of -1, as WebOb sets it when it has parsed a form."""

    public = WEBOB_ERROR


# Variables that every server sets, also one on a Unix socket, whose clients have no address.
_OF_A_SERVER = ("wsgi.multithread", "wsgi.multiprocess", "SERVER_SOFTWARE")


def check_asked(environ: Mapping[str, Any], allowed_methods: Container[str] | None) -> None:
    """Check what can be checked before the request is read.

    :param allowed_methods: None for all.
    :raises ProxyError: the request cannot be sent.
    """
    method = environ.get("REQUEST_METHOD", "GET")
    if allowed_methods is not None and method not in allowed_methods:
        error = MethodNotAllowed(f"method {method!r:.60} is not among allowed_methods")
        if isinstance(allowed_methods, Iterable):
            error.allowed = tuple(dict.fromkeys(allowed_methods))
        raise error
    if str(environ.get("CONTENT_LENGTH")) == "-1":
        raise _AlreadyParsed("Content-Length is -1")


def is_relayed(environ: Mapping[str, Any]) -> bool:
    """Whether a client has sent the request.

    Without an address, and outside of any server, no client has connected: the program itself
    sends the request, with forwarding fields of its own (WebTest and zope.testbrowser).
    """
    return any(environ.get(key) for key in _OF_A_SERVER) or "REMOTE_ADDR" in environ
