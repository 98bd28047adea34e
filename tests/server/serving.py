"""Servers of Paste with our handler, as an application's author starts them."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from paste.httpserver import serve

from wsgiproxy.server import Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Recorder", "connections", "descriptors", "handler", "hello", "serving", "until"]


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for *condition*; AssertionError if it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.01)


def handler(**attributes: object) -> type[Handler]:
    """The handler with other limits."""
    return type("Changed", (Handler,), attributes)


@contextlib.contextmanager
def serving(
    app: WSGIApplication,
    handler: type[Handler] = Handler,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[Any]:
    """A server that accepts connections, until the end of the block."""
    server = serve(app, port=0, handler=handler, start_loop=False, **options)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    # How often it looks whether it has been closed.
    server.socket.settimeout(0.05)
    pooled = hasattr(server, "thread_pool")
    arguments = () if pooled else (0.05,)
    thread = threading.Thread(target=server.serve_forever, args=arguments, name="server")
    thread.start()
    try:
        yield server
    finally:
        if not pooled:
            server.shutdown()  # that of Paste's pool never returns
        server.server_close()
        thread.join(20)
        assert not thread.is_alive()


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with five bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def connections(server: Any) -> int:
    """How many the server has."""
    return len(vars(server).get("wsgiproxy_connections", ()))


class Recorder:
    """An application that keeps the environs it is given, and answers with the body."""

    def __init__(self) -> None:
        self.environs: list[WSGIEnvironment] = []

    @property
    def environ(self) -> WSGIEnvironment:
        """That of the only request."""
        (found,) = self.environs
        return found

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.environs.append(environ)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]


def descriptors() -> list[str]:
    """The sockets of this process."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(name for name in found if name.startswith("socket:"))
