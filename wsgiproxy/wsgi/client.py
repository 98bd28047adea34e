"""Whether the client is still there, from the few servers that let one look.

PEP 3333 has no word for it: without one of these keys it cannot be known.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ClientWatch", "client_socket", "client_watch", "looks_at_blocks"]

# The peer's end of the connection is closed: Linux says so even behind unread bytes. A client
# that has only ended its own side looks the same, as it does to nginx.
_ENDED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def client_watch(environ: Mapping[str, Any]) -> Callable[[], bool] | None:
    """A question for waits: has the client gone? None where the server does not tell.

    :param environ: with ``waitress.client_disconnected``, or a socket.
    """
    watch: Callable[[], bool] | None = environ.get("waitress.client_disconnected")
    if watch is not None:
        return watch
    sock = client_socket(environ)
    return None if sock is None else lambda: _has_gone(sock)


def looks_at_blocks(environ: Mapping[str, Any]) -> bool:
    """Whether the server closes an answer at the next block, even an empty one.

    That is how granian tells that the client has gone, and the only way in which it does.
    """
    return environ.get("SERVER_SOFTWARE") == "Granian"


class ClientWatch:
    """Whether the client has gone; false where the server does not tell.

    How the server tells is looked for at the first question. Most requests are never asked about.
    """

    __slots__ = ("_environ", "_has_gone")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ: Mapping[str, Any] | None = environ
        self._has_gone: Callable[[], bool] | None = None

    def __call__(self) -> bool:
        """Look."""
        environ, self._environ = self._environ, None
        if environ is not None:
            self._has_gone = client_watch(environ)
        return self._has_gone is not None and self._has_gone()


# Ours first: who serves under Werkzeug and hands us on has one of both.
_SOCKETS = ("wsgiproxy.socket", "gunicorn.socket", "werkzeug.socket")


def client_socket(environ: Mapping[str, Any]) -> socket.socket | None:
    """The client's socket; None where the server does not give it."""
    for name in _SOCKETS:
        sock = environ.get(name)
        if isinstance(sock, socket.socket):
            return sock
    return None


def _has_gone(sock: socket.socket) -> bool:
    # gevent's own poll knows nothing of ends; the real one does not wait here.
    patched = sys.modules.get("gevent.monkey")
    poll = patched.get_original("select", "poll")() if patched else select.poll()
    try:
        poll.register(sock, _ENDED)
    except ValueError:  # closed by the server itself
        return True
    return bool(poll.poll(0))
