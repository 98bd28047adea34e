"""The connections of one server: how many there are, and which of them has to go.

It ends those that have asked for nothing; whoever is being served stays.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from wsgiproxy.server.client import ClientConnection

__all__ = ["Connections", "connections_of"]

# Turned away or served already, and not gone yet: a few more than the limit, so that they
# have the time to read their answer.
_LEAVING = 32
_QUEUE = 1024  # to be accepted; the kernel has a limit of its own
_NAME = "_wsgiproxy_connections"
_PAUSE = 0.01  # seconds for descriptors to become free
_lock = threading.Lock()
_log = logging.getLogger("wsgiproxy.error")


class Connections:
    """Those of one server.

    :param limit: how many there may be.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        # In the order of their arrival. Their requests have not arrived, are being served,
        # have been answered.
        self._waiting: dict[ClientConnection, None] = {}
        self._busy: set[ClientConnection] = set()
        self._leaving: dict[ClientConnection, None] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy) + len(self._leaving)

    def admit(self, wire: ClientConnection) -> bool:
        """Count a new connection. If there are too many, the longest wait ends.

        :returns: False if all the others are being served: there is no place.
        """
        with self._lock:
            welcome = len(self._busy) < self._limit
            (self._waiting if welcome else self._leaving)[wire] = None
            if welcome and len(self) > self._limit:
                _cut_first(self._leaving or self._waiting)
            elif len(self._leaving) > _LEAVING:
                _cut_first(self._leaving)
            if self._closed:
                wire.cut()
            return welcome

    def begin(self, wire: ClientConnection) -> bool:
        """Its request has arrived; False if it had to go just now."""
        with self._lock:
            stays = wire in self._waiting
            if stays:
                del self._waiting[wire]
                self._busy.add(wire)
            return stays

    def finish(self, wire: ClientConnection) -> None:
        """It has its answer."""
        with self._lock:
            if wire in self._busy or wire in self._waiting:
                self._busy.discard(wire)
                self._waiting.pop(wire, None)
                self._leaving[wire] = None

    def leave(self, wire: ClientConnection) -> None:
        """It is closed."""
        with self._lock:
            self._busy.discard(wire)
            self._waiting.pop(wire, None)
            self._leaving.pop(wire, None)

    def make_room(self) -> None:
        """End the longest wait, if there is one."""
        with self._lock:
            if self._leaving or self._waiting:
                _cut_first(self._leaving or self._waiting)

    def close(self) -> None:
        """The server ends: so do those that have asked for nothing yet, and those to come."""
        with self._lock:
            self._closed = True
            for wire in (*self._waiting, *self._leaving):
                wire.cut()


def _cut_first(wires: dict[ClientConnection, None]) -> None:
    first = next(iter(wires))
    del wires[first]
    first.cut()


def connections_of(server: Any, limit: int) -> Connections:
    """The connections of a server of ``socketserver``, made for the first of them."""
    with _lock:
        found: Connections | None = vars(server).get(_NAME)
        if found is None:
            found = Connections(limit)
            setattr(server, _NAME, found)
            _close_with(server, found)
            _lengthen_queue(server)
            server.get_request = _accepting(found, server.get_request)
    return found


def _lengthen_queue(server: Any) -> None:
    # Paste has five wait to be accepted. A sixth is dropped, and tries again after a second,
    # after three more: one burst would do for all others what the half-sent requests must not.
    with contextlib.suppress(OSError):
        server.socket.listen(_QUEUE)


def _accepting(connections: Connections, accept: Callable[[], Any]) -> Callable[[], Any]:
    """*accept*, which makes room where no descriptor is left.

    It would fail at once, again and again, as long as half-sent requests hold them all.
    """
    failing = False

    def accepting() -> Any:
        nonlocal failing
        try:
            found = accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if not failing:
                    _log.error("no descriptors for more connections; see `ulimit -n`: %s", error)
                failing = True
                connections.make_room()
                time.sleep(_PAUSE)
            raise
        failing = False
        return found

    return accepting


def _close_with(server: Any, connections: Connections) -> None:
    # Neither Paste nor socketserver tells a handler that its server ends.
    for name in ("server_close", "shutdown"):
        setattr(server, name, _closing(connections, getattr(server, name)))
    if server.socket.fileno() < 0:  # it was closed while this one was in the queue
        connections.close()


def _closing(connections: Connections, method: Any) -> Any:
    def closing() -> Any:
        connections.close()
        return method()

    return closing
