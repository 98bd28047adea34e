"""A site that is browsed through the proxy: http and https, and what it has seen of its clients.

It is Python's own http.server in threads, so that nothing of ours is on both ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from tests.forward import sockets
from tests.forward.pages import ASSETS, PAGE

__all__ = ["BIG", "Seen", "Site", "big_blocks", "big_digest", "site"]

BIG = 50 << 20
_BLOCK = bytes(range(256)) * 256
_WAIT = 20  # seconds, for what the page is to do next


def big_blocks(size: int = BIG) -> Iterator[bytes]:
    """The long download, in blocks of which no two are alike."""
    for number in range(size // len(_BLOCK)):
        yield number.to_bytes(8, "big") + _BLOCK[8:]


def big_digest(size: int = BIG) -> str:
    digest = hashlib.sha256()
    for block in big_blocks(size):
        digest.update(block)
    return digest.hexdigest()


class Seen(NamedTuple):
    """One request, as it has arrived."""

    line: str
    headers: Mapping[str, str]
    peer: tuple[str, int]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


def _lowered(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields}


class Site(ThreadingHTTPServer):
    """One of its two servers.

    :ivar seen: its requests.
    :ivar reports: what the page has said of itself, as JSON.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls = tls
        self.port = self.server_port
        self.authority = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.authority}"
        self.seen: list[Seen] = []
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self.noted = threading.Semaphore(0)

    def forget(self) -> None:
        """Begin anew, for the next test."""
        self.seen.clear()
        self.reports = queue.Queue()
        self.noted = threading.Semaphore(0)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the thread of the connection, with the TLS handshake in it."""
        if self.tls is not None:
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        else:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault, nor is one that wants another certificate."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _serve(self) -> None:
        self.server.seen.append(
            Seen(self.requestline, _lowered(self.headers.items()), self.client_address[:2])
        )
        path = urlsplit(self.path).path
        route = _ROUTES.get(path) or _ROUTES.get(path.rpartition("/")[0] + "/*", _missing)
        route(self)

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def say(self, status: int, kind: str, body: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Cache-Control", "no-store"), *fields):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_json(self, found: object) -> None:
        self.say(200, "application/json", json.dumps(found).encode())

    def body(self) -> Iterator[bytes]:
        """The body of the request, as it comes."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left and (block := self.rfile.read(min(left, 1 << 16))):
            left -= len(block)
            yield block


def _page(handler: _Handler) -> None:
    handler.say(200, "text/html; charset=utf-8", PAGE.encode())


def _asset(handler: _Handler) -> None:
    kind, body = ASSETS[urlsplit(handler.path).path]
    handler.say(200, kind, body)


def _big(handler: _Handler) -> None:
    wanted = handler.headers.get("Range", "")
    if wanted:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = b"".join(big_blocks(1 << 20))[int(first) : int(last) + 1]
        whole = ("Content-Range", f"bytes {first}-{last}/{BIG}")
        handler.say(206, "application/octet-stream", part, whole)
        return
    handler.send_response(200)
    handler.send_header("Content-Type", "application/octet-stream")
    handler.send_header("Content-Length", str(BIG))
    handler.end_headers()
    if handler.command != "HEAD":
        for block in big_blocks():
            handler.wfile.write(block)


def _events(handler: _Handler) -> None:
    """Five events; each is sent only when the page has noted the one before."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Cache-Control", "no-store")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for number in range(1, 6):
        event = f"id: {number}\ndata: event {number}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if not handler.server.noted.acquire(timeout=_WAIT):
            break
    handler.wfile.write(b"0\r\n\r\n")


def _noted(handler: _Handler) -> None:
    handler.server.noted.release()
    handler.say(204, "text/plain", b"")


def _socket(handler: _Handler) -> None:
    handler.close_connection = True
    sockets.echo(cast(socket.socket, handler.connection), _lowered(handler.headers.items()))


def _cookies(handler: _Handler) -> None:
    pair = [("Set-Cookie", "one=1; Path=/"), ("Set-Cookie", "two=a,b; Path=/")]
    handler.say(200, "text/plain", b"", *pair)


def _headers(handler: _Handler) -> None:
    handler.say_json(_lowered(handler.headers.items()))


def _upload(handler: _Handler) -> None:
    digest, size = hashlib.sha256(), 0
    for block in handler.body():
        digest.update(block)
        size += len(block)
    handler.say_json({"size": size, "sha256": digest.hexdigest(), "method": handler.command})


def _form(handler: _Handler) -> None:
    body = b"".join(handler.body()).decode()
    handler.say_json({"kind": handler.headers["Content-Type"], "body": body})


def _redirect(handler: _Handler) -> None:
    handler.say(302, "text/plain", b"", ("Location", "/landed"))


def _landed(handler: _Handler) -> None:
    handler.say(200, "text/plain", b"landed")


def _missing(handler: _Handler) -> None:
    handler.say(404, "text/plain", b"nothing of that name")


def _report(handler: _Handler) -> None:
    handler.server.reports.put(json.loads(b"".join(handler.body())))
    handler.say(204, "text/plain", b"")


_ROUTES: dict[str, Callable[[_Handler], None]] = {
    "/": _page,
    "/assets/*": _asset,
    "/big": _big,
    "/events": _events,
    "/noted": _noted,
    "/socket": _socket,
    "/cookies": _cookies,
    "/headers": _headers,
    "/upload": _upload,
    "/form": _form,
    "/redirect": _redirect,
    "/landed": _landed,
    "/report": _report,
}


@contextlib.contextmanager
def site(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A running one."""
    with Site(tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
