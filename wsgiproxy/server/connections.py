"""The connections of one server: their number, and which of them is closed if there are too many.

It closes those whose request has not arrived, or is answered; those that are being served stay.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
import threading
import time
from typing import Any

from wsgiproxy.server.client import ClientConnection

__all__ = ["Connections", "connections_of"]

# Connections that are refused or served, and not closed yet: a few more than the limit, so that
# their clients have the time to read the response.
_LEAVING = 32
_QUEUE = 1024  # to be accepted; the kernel has a limit of its own
_PAUSE = 0.01  # seconds for descriptors to become free
_lock = threading.Lock()
_log = logging.getLogger("wsgiproxy.error")


class Connections:
    """The connections of one server.

    :param limit: the most that are waiting or served at the same time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        # Each in the order of arrival: the request has not arrived, is being served, is answered.
        self._waiting: dict[ClientConnection, None] = {}
        self._busy: set[ClientConnection] = set()
        self._leaving: dict[ClientConnection, None] = {}
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the server ends."""
        return self._closed

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy) + len(self._leaving)

    def admit(self, connection: ClientConnection) -> bool:
        """Count a new connection; beyond the limit, close the one that waits longest.

        :returns: False if all the others are being served: the new one has to be refused.
        """
        with self._lock:
            has_place = len(self._busy) < self._limit
            (self._waiting if has_place else self._leaving)[connection] = None
            if has_place and len(self) > self._limit:
                _cut_first(self._leaving or self._waiting)
            elif len(self._leaving) > _LEAVING:
                _cut_first(self._leaving)
            if self._closed:
                connection.cut()
            return has_place

    def begin(self, connection: ClientConnection) -> bool:
        """Note that a request has arrived; False if its connection was closed just now."""
        with self._lock:
            stays = connection in self._waiting
            if stays:
                del self._waiting[connection]
                self._busy.add(connection)
            return stays

    def finish(self, connection: ClientConnection) -> None:
        """Note that a connection has its response."""
        with self._lock:
            if connection in self._busy or connection in self._waiting:
                self._busy.discard(connection)
                self._waiting.pop(connection, None)
                self._leaving[connection] = None

    def leave(self, connection: ClientConnection) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._busy.discard(connection)
            self._waiting.pop(connection, None)
            self._leaving.pop(connection, None)

    def make_room(self) -> None:
        """Close the connection that waits longest, if there is one."""
        with self._lock:
            if self._leaving or self._waiting:
                _cut_first(self._leaving or self._waiting)

    def close(self) -> None:
        """Close those that are not being served, and those to come: the server ends."""
        with self._lock:
            self._closed = True
            for connection in (*self._waiting, *self._leaving):
                connection.cut()


def _cut_first(connections: dict[ClientConnection, None]) -> None:
    first = next(iter(connections))
    del connections[first]
    first.cut()


def connections_of(server: Any, limit: int) -> Connections:
    """The connections of a server of Paste, made for the first of them.

    ``paste.httpserver.serve`` takes a class for its handler and none for its server: the server
    gets its subclass here.
    """
    with _lock:
        if not isinstance(server, _LimitedServer):
            server.wsgiproxy_connections = Connections(limit)
            server.__class__ = type("LimitedServer", (_LimitedServer, type(server)), {})
            # Paste lets five clients wait to be accepted. The kernel drops a sixth, which tries
            # again after a second, after three more: one burst would delay all other clients.
            with contextlib.suppress(OSError):
                server.socket.listen(_QUEUE)
            if server.socket.fileno() < 0:  # closed while this connection was in the queue
                server.wsgiproxy_connections.close()
    found: Connections = server.wsgiproxy_connections
    return found


class _LimitedServer:
    """A server of ``socketserver`` whose connections are counted, and end with it.

    Neither Paste nor socketserver tells a handler that its server ends.
    """

    wsgiproxy_connections: Connections
    _has_no_descriptors = False

    def get_request(self) -> Any:
        """Accept a connection; end another one where no descriptor is left.

        The call would fail again and again as long as half-sent requests hold all descriptors.
        """
        try:
            accepted = super().get_request()  # type: ignore[misc]
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if not self._has_no_descriptors:
                    _log.error("no descriptors for more connections; see `ulimit -n`: %s", error)
                self._has_no_descriptors = True
                self.wsgiproxy_connections.make_room()
                time.sleep(_PAUSE)
            raise
        self._has_no_descriptors = False
        return accepted

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error of a connection, unless the end of the server has cut it."""
        is_of_a_socket = isinstance(sys.exc_info()[1], (OSError, ValueError))
        if not (is_of_a_socket and self.wsgiproxy_connections.is_closed):
            super().handle_error(request, client_address)  # type: ignore[misc]

    def server_close(self) -> None:
        """Close the listener, and the connections that have sent no request."""
        self.wsgiproxy_connections.close()
        super().server_close()  # type: ignore[misc]

    def shutdown(self) -> None:
        """End ``serve_forever``, and the connections that have sent no request."""
        self.wsgiproxy_connections.close()
        super().shutdown()  # type: ignore[misc]
