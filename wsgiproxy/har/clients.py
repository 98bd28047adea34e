"""WSGI applications as the other end of requests and httpx, in one process and without a socket.

Neither of them is needed before it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from http.client import HTTPMessage
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.sansio.message import Headers, default_port

if TYPE_CHECKING:
    import httpx
    import requests
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

__all__ = ["httpx_transport", "mount"]


def httpx_transport(application: WSGIApplication) -> httpx.WSGITransport:
    """A transport for :class:`httpx.Client` that asks a WSGI application.

    :raises ImportError: httpx is not installed.
    """
    import httpx

    return httpx.WSGITransport(app=application)


def mount(session: requests.Session, application: WSGIApplication) -> None:
    """Have a session ask a WSGI application, whatever host it is asked for, by HTTPS as well."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """An adapter that opens no connection."""

        def send(
            self, request: requests.PreparedRequest, *arguments: object, **options: object
        ) -> requests.Response:
            status, headers, body = _called(application, _environ(request))
            return self.build_response(request, _raw(status, headers, body))

    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())


def _environ(request: requests.PreparedRequest) -> WSGIEnvironment:
    """The environ of a request that a session has prepared."""
    parts = urlsplit(str(request.url))
    path, query = parts.path or "/", parts.query
    body = _body(request.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or default_port(parts.scheme)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc.rpartition("@")[2],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        environ[environ_key(name)] = text
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole
    environ.pop("HTTP_CONNECTION", None)
    if (mime := environ.pop("HTTP_CONTENT_TYPE", None)) is not None:
        environ["CONTENT_TYPE"] = mime
    if environ.pop("HTTP_CONTENT_LENGTH", None) is not None or body:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _body(body: Any) -> bytes:
    """A body as requests may have it: nothing, a text, bytes, a file or an iterator."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8")
    if hasattr(body, "read"):
        body = body.read()
        return body.encode("utf-8") if isinstance(body, str) else bytes(body)
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    return b"".join(each.encode("utf-8") if isinstance(each, str) else each for each in body)


def _called(application: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
    """The whole answer of an application."""
    heads: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
        heads.append((status, headers))
        return written.append

    blocks: Iterable[bytes] = application(environ, start_response)
    try:
        body = b"".join(blocks)
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
    status, headers = heads[-1]
    return status, headers, b"".join(written) + body


class _Original:
    """What the cookies of requests look at."""

    def __init__(self, headers: Headers) -> None:
        self.msg = HTTPMessage()
        for name, value in headers:
            self.msg.add_header(name, value)

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """There is nothing to close."""


def _raw(status: str, headers: Headers, body: bytes) -> Any:
    from urllib3 import HTTPHeaderDict, HTTPResponse

    code, _, reason = status.partition(" ")
    return HTTPResponse(
        body=BytesIO(body),
        headers=HTTPHeaderDict(headers),
        status=int(code),
        reason=reason,
        preload_content=False,
        original_response=_Original(headers),  # type: ignore[arg-type]  # what is used of it
    )
