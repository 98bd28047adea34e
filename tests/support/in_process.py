"""A backend without a socket: the proxy's bytes, parsed by a real server's own code.

A transport that writes each request as it would go on the wire, has wsgiref, cheroot or Paste
make an environ of it, and calls an application with that.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.h1.chunks import chunk
from wsgiproxy.sansio.message import Origin, Request, ResponseHead
from wsgiproxy.transport import Call

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

__all__ = ["PARSERS", "PROXY", "Backend", "Whole", "environ_of", "front_environ", "key_file"]
__all__ += ["run", "signed_environ", "wire"]

#: The address of the proxy, as the backend sees it.
PROXY = "10.9.8.7"
_PORT = 8001


def key_file(path: Path, content: str | bytes, mode: int = 0o600) -> str:
    """A file that holds *content*, written as keys are: others may not read it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


def wire(request: Request, body: Iterable[bytes] | None = None) -> bytes:
    """The bytes of a request, as the transport writes them."""
    head = request_head(request, Limits())
    blocks = list(body or ())
    if request.chunked:
        return head + b"".join(map(chunk, blocks)) + b"0\r\n\r\n"
    return head + b"".join(blocks)


def _common(environ: dict[str, Any], body: io.BytesIO) -> WSGIEnvironment:
    # What wsgiref's ServerHandler adds.
    more = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return {**more, **environ}


def _parsed(handler: Any, raw: bytes, server: object) -> None:
    """Let a handler of http.server read *raw*, without a connection."""
    handler.rfile, handler.wfile = io.BytesIO(raw), io.BytesIO()
    handler.connection = handler.request = None
    handler.client_address = (PROXY, 40000)
    handler.server = server
    handler.raw_requestline = handler.rfile.readline(65537)
    if not handler.parse_request():
        raise ValueError(handler.wfile.getvalue())


def _wsgiref(raw: bytes) -> WSGIEnvironment:
    handler = WSGIRequestHandler.__new__(WSGIRequestHandler)
    base = {
        "SERVER_NAME": "backend",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PORT": str(_PORT),
        "REMOTE_HOST": "",
        "CONTENT_LENGTH": "",
        "SCRIPT_NAME": "",
    }
    _parsed(handler, raw, SimpleNamespace(base_environ=base))
    return _common(handler.get_environ(), handler.rfile)


def _paste(raw: bytes) -> WSGIEnvironment:
    from paste.httpserver import WSGIHandler

    handler = WSGIHandler.__new__(WSGIHandler)
    _parsed(handler, raw, SimpleNamespace(server_address=("backend", _PORT)))
    handler.wsgi_setup()
    environ: WSGIEnvironment = handler.wsgi_environ
    return environ


def _cheroot(raw: bytes) -> WSGIEnvironment:
    from cheroot.server import HTTPRequest
    from cheroot.wsgi import Gateway_10, Server

    found: list[WSGIEnvironment] = []

    class Gateway(Gateway_10):
        def respond(self) -> None:
            found.append(self.env)
            self.req.sent_headers = True  # there is no answer to write

    server = Server(("127.0.0.1", _PORT), None, server_name="backend")
    server.gateway = Gateway
    connection = SimpleNamespace(
        rfile=io.BytesIO(raw), wfile=io.BytesIO(), remote_addr=PROXY, remote_port=40000, ssl_env={}
    )
    request = HTTPRequest(server, connection)
    request.parse_request()
    if not request.ready:
        raise ValueError(connection.wfile.getvalue())
    request.respond()
    return found[0]


#: Servers -> from the bytes of a request to the environ that they make of it.
PARSERS: dict[str, Callable[[bytes], WSGIEnvironment]] = {
    "wsgiref": _wsgiref,
    "cheroot": _cheroot,
    "paste": _paste,
}


def environ_of(
    request: Request, body: Iterable[bytes] | None = None, server: str = "wsgiref"
) -> WSGIEnvironment:
    """The environ that a server makes of a request."""
    return PARSERS[server](wire(request, body))


def front_environ(body: bytes = b"", **more: Any) -> WSGIEnvironment:
    """The environ of a request to the front application; GET, or POST if there is a body."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "front",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "shop.example",
        "REMOTE_ADDR": "203.0.113.9",
    }
    if body:
        environ |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))}
    return _common({**environ, **more}, io.BytesIO(body))


class Whole:
    """An answer that has arrived (as `wsgiproxy.transport.Reply`)."""

    reused = False
    complete = True

    def __init__(self, head: ResponseHead, body: bytes) -> None:
        self.head = head
        self.whole = body
        self.received = len(body)

    def close(self) -> None:
        """There is nothing to close."""


def run(app: WSGIApplication, environ: WSGIEnvironment) -> Whole:
    """Call an application as a server does, and close what it returns."""
    started: list[tuple[Any, ...]] = []
    blocks = app(environ, lambda *arguments: started.append(arguments))  # type: ignore[arg-type]
    try:
        body = b"".join(blocks)
    finally:
        if hasattr(blocks, "close"):
            blocks.close()
    status, headers = started[0][:2]
    return Whole(ResponseHead(int(status[:3]), status[4:], list(headers)), body)


class Backend:
    """A transport to an application in this process.

    :param app: what answers; None to answer nothing but 200.
    :param server: one of `PARSERS`.
    :ivar sent: each request with its body, as it was sent.
    """

    def __init__(self, app: WSGIApplication | None = None, server: str = "wsgiref") -> None:
        self.app = app
        self.server = server
        self.sent: list[tuple[Request, bytes]] = []

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        call: Call | None = None,
    ) -> Any:
        """One exchange; see `wsgiproxy.transport.Transport`.

        :raises ProxyError: the server does not understand the request.
        """
        blocks = list(body or ())
        self.sent.append((request, b"".join(blocks)))
        if self.app is None:
            return Whole(ResponseHead(200, "OK", []), b"")
        try:
            environ = environ_of(request, blocks, self.server)
        except ValueError as error:
            raise ProxyError(f"{self.server} refuses {request!r}: {error}") from error
        environ["wsgi.url_scheme"] = origin.scheme
        return run(self.app, environ)


def signed_environ(
    secret: str,
    environ: WSGIEnvironment | None = None,
    *,
    href: str = "http://10.0.0.1:8001/base?key=1",
    server: str = "wsgiref",
    **options: Any,
) -> WSGIEnvironment:
    """The environ of a backend to which `WSGIProxyApp` has sent a signed request.

    :param secret: path of its key file.
    :param environ: what the front application was asked; `front_environ` if not given.
    """
    backend = Backend()
    answer = run(
        WSGIProxyApp(href, secret, transport=backend, **options), environ or front_environ()
    )
    if not backend.sent:
        raise ValueError(f"nothing was sent: {answer.head.status} {answer.whole!r}")
    request, body = backend.sent[0]
    return environ_of(request, [body] if body else [], server)
