"""A small server beside what a process serves, in threads that do not keep it alive.

It is for figures and pages that a few clients of this machine ask for, and for nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import ErrorStream, WSGIApplication

__all__ = ["SideServer"]

# Seconds in which a client has to say something, or to take a block.
_PATIENCE = 10
_LONGEST_LINE = 65536
# Seconds in which the thread of a connection that has to go ends.
_LEAVING = 1


class _Serving(ServerHandler):
    """Blocks go out at once; that a client has left is no fault."""

    http_version = "1.0"
    server_software = "wsgiproxy"

    def log_exception(self, exc_info: Any) -> None:
        if not isinstance(exc_info[1], OSError):
            super().log_exception(exc_info)


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE
    server: SideServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: it is asked several times a minute."""

    def get_stderr(self) -> ErrorStream:
        return sys.stderr or io.StringIO()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no HTTP, without repeating it."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle(self) -> None:
        """Serve one request; the handler of the standard library would report each lost client."""
        self.raw_requestline = self.rfile.readline(_LONGEST_LINE + 1)
        if len(self.raw_requestline) > _LONGEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        self.server.has_asked(self.connection)
        # They are of another type in the stubs.
        reader, writer = cast("tuple[Any, Any]", (self.rfile, self.wfile))
        serving = _Serving(reader, writer, self.get_stderr(), self.get_environ())
        serving.request_handler = self  # type: ignore[attr-defined]
        application = self.server.get_app()
        assert application is not None
        serving.run(application)


class SideServer(ThreadingMixIn, WSGIServer):
    """A server of a WSGI application on a socket that listens already.

    After a fork the child has no thread that serves: the parent goes on, and :meth:`close` in the
    child closes its copy of the listening socket alone.

    :param listener: a socket that listens.
    :param application: called in a thread for each request.
    :param threads: how many there may be; for a further connection the oldest one goes that has
        asked for nothing yet, and if there is none, the new one is closed at once.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, listener: socket.socket, application: WSGIApplication, *, threads: int = 32
    ) -> None:
        address = listener.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = address
        self.setup_environ()
        self.set_app(application)
        self._room = threading.BoundedSemaphore(threads)
        self._connections: set[socket.socket] = set()
        self._silent: dict[socket.socket, None] = {}  # the oldest first
        self._lock = threading.Lock()
        self._is_closed = False
        self._process = os.getpid()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread for a connection, if there is room."""
        if not self._room.acquire(blocking=False) and not self._has_made_room():
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be had
            self._room.release()
            self.shutdown_request(request)

    def _has_made_room(self) -> bool:
        """A browser opens connections ahead, and a page may make it open many."""
        with self._lock:
            oldest = next(iter(self._silent), None)
            if oldest is None:
                return False
            del self._silent[oldest]
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return self._room.acquire(timeout=_LEAVING)

    def has_asked(self, request: socket.socket) -> None:
        """The head of a request has come."""
        with self._lock:
            self._silent.pop(request, None)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        with self._lock:
            self._connections.add(request)
            self._silent[request] = None
            is_closed = self._is_closed
        try:
            if is_closed:
                self.shutdown_request(request)
            else:
                super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._connections.discard(request)
                self._silent.pop(request, None)
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: the client has left."""

    def close(self) -> None:
        """End the server and all connections at once; it must be serving, or never have begun."""
        if os.getpid() != self._process:  # the connections, and the lock, are the parent's
            self.server_close()
            return
        with self._lock:
            self._is_closed = True
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
