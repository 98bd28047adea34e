"""The handler: one connection, one request, in a thread of its own."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from io import BufferedReader
from time import monotonic
from typing import TYPE_CHECKING, Any

from paste.httpserver import WSGIHandler

from wsgiproxy.errors import BadRequest, ProxyError, RequestTimeout, Unavailable
from wsgiproxy.sansio.environ.server import variables
from wsgiproxy.sansio.h1 import Limits, RequestReader
from wsgiproxy.sansio.message import BLOCK
from wsgiproxy.server.client import ClientConnection
from wsgiproxy.server.connections import connections_of
from wsgiproxy.server.request_body import RequestBody
from wsgiproxy.server.response import ServerResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Handler"]

_log = logging.getLogger("wsgiproxy.error")


class Handler(WSGIHandler):  # type: ignore[misc]  # Paste has no types
    """Serves WSGI applications: ``paste.httpserver.serve(app, handler=Handler)``.

    The limits are attributes of the class, for a subclass to change. What of Paste's handler
    may be overridden here too: ``wsgi_setup``, ``wsgi_execute``, ``wsgi_start_response``
    and ``wsgi_connection_drop``.

    Each connection serves one request, and the answer says ``Connection: close``: so bytes
    behind a request, which a client in front of us may have taken for a part of it, never
    are a request of another client (RFC 9112, 11.2), and a tunnel has its socket for itself.
    """

    #: Seconds for the whole head of a request, however it drips in.
    head_timeout = 30.0
    #: Seconds between two reads of a body, and without progress of a write. Paste's option
    #: ``socket_timeout`` takes its place.
    idle_timeout = 60.0
    #: Beyond so many, the connection that has waited longest for the rest of a head is closed; if
    #: all are being served, the new one gets a 503.
    max_connections = 1000
    #: Seconds for which the rest of a request is read, and dropped, after its response.
    linger_timeout = 2.0
    #: What the head may cost.
    limits = Limits()

    wsgi_environ: WSGIEnvironment

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.client_address = client_address
        self.server = server
        # Paste's pool has ten workers, and closes the socket when its worker returns: the
        # one that it knows is left empty. TLS cannot be moved: it stays in the worker.
        moves = type(request) is socket.socket
        self.request = self.connection = _moved(request) if moves else request
        self._client = ClientConnection(self.request)
        self._connections = connections_of(server, self.max_connections)
        self._idle = getattr(server, "wsgi_socket_timeout", None) or self.idle_timeout
        self._reader = RequestReader(self.limits)
        self._response = ServerResponse(self._client, None, self._idle)
        has_place = self._connections.admit(self._client)
        if not has_place:
            # Nothing is on the way yet, so this does not wait, and needs no thread.
            self._refuse(Unavailable(f"max_connections={self.max_connections} are served"))
        if not moves:
            self._run(has_place)
            return
        name = f"wsgiproxy-{client_address[0]}-{client_address[1]}"
        try:
            threading.Thread(target=self._run, args=[has_place], name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            _log.error("no thread for a connection: %s", error)
            self._connections.leave(self._client)
            self._client.reset()

    def _run(self, has_place: bool) -> None:
        try:
            if has_place:
                self.handle()
        finally:
            self._connections.finish(self._client)
            self._close()
            self._connections.leave(self._client)

    def _close(self) -> None:
        response, lost = self._response, self._response.lost
        # A tunnel that took the socket has ended it, and its last bytes may be on their way.
        gone = isinstance(lost, ConnectionError)
        if response.begun and not response.complete and not gone:
            self._client.reset()
            return
        unread = response.begun and not self._reader.complete
        self._client.close(unread=unread, seconds=self.linger_timeout)

    def handle(self) -> None:
        """Read one request, and have it served."""
        try:
            self._local = self._client.local_address()
            self._first = self._receive_head()
        except OSError as error:
            return self.wsgi_connection_drop(error)
        except ProxyError as error:
            return self._refuse(error)
        if self._reader.head is None or not self._connections.begin(self._client):
            return None
        self._response = ServerResponse(self._client, self._reader.head, self._idle)
        try:
            self.wsgi_execute()
        except ProxyError as error:  # a target that has no form
            self._refuse(error)
        return None

    def _receive_head(self) -> bytes:
        """The first bytes of the body; no head if the client has left before its end.

        :raises ProxyError: it is not one.
        """
        end = monotonic() + self.head_timeout
        received = 0
        while True:
            left = end - monotonic()
            try:
                data = self._client.receive(max(0.0, left))
            except TimeoutError:
                if not received:
                    raise
                left = 0
            if left <= 0:
                raise RequestTimeout(
                    f"{received} bytes of a head in head_timeout={self.head_timeout:g} s"
                )
            received += len(data)
            body = self._reader.feed(data)
            if self._reader.head is not None or not data:
                return body

    def _refuse(self, error: ProxyError) -> None:
        _log.info("%s: %s: %s", self.client_address[0], type(error).__name__, error)
        try:
            self._response.refuse(error, is_head=self._reader.is_head)
        except OSError as lost:
            self.wsgi_connection_drop(lost)

    # The interface of Paste's handlers

    def wsgi_setup(self, environ: WSGIEnvironment | None = None) -> None:
        """Make ``wsgi_environ``; *environ* overrides what is in it.

        :raises BadRequest: the request has no environ.
        """
        head = self._reader.head
        assert head is not None
        self.command, self.path = head.method, head.target
        self.request_version = f"HTTP/{head.version}"
        self._body = RequestBody(
            self._client, self._reader, self._first, self._idle, lambda: not self._response.begun
        )
        made: WSGIEnvironment = {
            **variables(head),
            **self._addresses(),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BufferedReader(self._body, BLOCK),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if self._client.socket is None:
            made["wsgi.url_scheme"] = "https"
        else:
            self._client.limit(self._idle)
            made["wsgiproxy.socket"] = self._client.socket
        if head.method == "CONNECT" or "HTTP_UPGRADE" in made:  # a tunnel, perhaps
            made["wsgiproxy.unread"] = self._reader.surplus
        if hasattr(self.server, "thread_pool"):
            made["paste.httpserver.thread_pool"] = self.server.thread_pool
        made.update(environ or {})
        if environ and environ.get("HTTPS") == "on":
            made["wsgi.url_scheme"] = "https"
        self.wsgi_environ = made

    def _addresses(self) -> WSGIEnvironment:
        """The variables of both ends of the connection."""
        (name, port), peer = self._local, self.client_address
        server = {"SERVER_NAME": name, "SERVER_PORT": str(port)}
        return server | {"REMOTE_ADDR": str(peer[0]), "REMOTE_PORT": str(peer[1])}

    def wsgi_start_response(self, status: str, response_headers: Any, exc_info: Any = None) -> Any:
        """As PEP 3333 says."""
        return self._response.start_response(status, response_headers, exc_info)

    def wsgi_execute(self, environ: WSGIEnvironment | None = None) -> None:
        """Have the application serve the request.

        :raises BadRequest: there is no environ for it.
        """
        self.wsgi_setup(environ)
        try:
            self._call()
        except Exception as error:
            if self._response.lost is not None:
                self.wsgi_connection_drop(self._response.lost, environ)
            else:
                self._fail(error)

    def _call(self) -> None:
        response = self._response
        result = self.server.wsgi_application(self.wsgi_environ, self.wsgi_start_response)
        try:
            for block in result:
                response.write(block)
                if response.is_over:
                    break
            response.end()
        finally:
            if hasattr(result, "close"):
                result.close()

    def _fail(self, error: Exception) -> None:
        """Answer for an application that has failed, or did not handle a broken request body."""
        body_error: BadRequest | None = self._body.error
        if not self._response.begun:
            self._refuse(body_error or ProxyError(f"unexpected {type(error).__name__}"))
        if body_error is None and self._response.lost is None:
            _log.error("%s %r failed", self.command, self.path, exc_info=error)

    def wsgi_connection_drop(
        self, exce: BaseException, environ: WSGIEnvironment | None = None
    ) -> None:
        """The client has left, or takes nothing; for subclasses."""


def _moved(sock: socket.socket) -> socket.socket:
    family, kind, proto = sock.family, sock.type, sock.proto
    return socket.socket(family, kind, proto, fileno=sock.detach())
