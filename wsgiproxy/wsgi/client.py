"""Whether the client is still there, from the few servers that let one look.

PEP 3333 has no word for it: without one of these keys it cannot be known.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ClientWatch", "client_socket", "client_watch", "looks_at_blocks", "reset", "unread"]

# The peer's end of the connection is closed: Linux says so even behind unread bytes. A client
# that has only ended its own side looks the same, as it does to nginx.
_ENDED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)

# A struct linger: on, and no second.
_AT_ONCE = struct.pack("ii", 1, 0)


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
    if str(environ.get("SERVER_SOFTWARE")).startswith("gevent/"):  # None under waitress
        # pywsgi gives the file that it reads the request from. Unless the process is patched, its
        # sockets are of another class, and a wait of ours would stop all of its greenlets.
        sock = getattr(getattr(_file_of_pywsgi(environ), "raw", None), "_sock", None)
        if isinstance(sock, socket.socket):
            return sock
    return None


def reset(environ: Mapping[str, Any]) -> None:
    """Break the client's connection by a TCP reset (RFC 9293, 3.5.2), if there is its socket.

    The server keeps a socket with the same number, at which it fails to write as it does when a
    client has left. It could not keep one that is closed: the number might be another's by then.
    """
    client = client_socket(environ)
    if client is None:
        return
    here, there = socket.socketpair()
    there.close()
    with here, contextlib.suppress(OSError):
        # Closed by dup2(2), for this is its only descriptor, and without waiting (socket(7)).
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        os.dup2(here.fileno(), client.fileno(), inheritable=False)


def _file_of_pywsgi(environ: Mapping[str, Any]) -> Any:
    # The file itself in a handshake of WebSocket, else it is in the object for the body.
    body = environ.get("wsgi.input")
    return getattr(body, "rfile", body)


def _has_gone(sock: socket.socket) -> bool:
    # gevent's own poll knows nothing of ends; the real one does not wait here.
    patched = sys.modules.get("gevent.monkey")
    poll = patched.get_original("select", "poll")() if patched else select.poll()
    try:
        poll.register(sock, _ENDED)
    except ValueError:  # closed by the server itself
        return True
    return bool(poll.poll(0))


def unread(environ: Mapping[str, Any], client: socket.socket) -> bytes:
    """The bytes behind the head that the server has read already, and has not taken for a body."""
    found = environ.get("wsgiproxy.unread")
    if found is not None:
        return bytes(found)
    body = environ.get("wsgi.input")
    # gunicorn's body is behind a buffer of its own, in which the bytes stay.
    buffer = getattr(getattr(getattr(body, "reader", None), "unreader", None), "buf", None)
    if buffer is not None:
        return bytes(buffer.getvalue())
    peek = getattr(_file_of_pywsgi(environ), "peek", None)
    if peek is not None:
        # That of Werkzeug and pywsgi is a buffered file: it returns the bytes that are there,
        # without waiting.
        client.settimeout(0)
        with contextlib.suppress(OSError, ValueError):
            return bytes(peek())
    return b""
