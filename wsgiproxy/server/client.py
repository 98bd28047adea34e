"""The client's connection: every wait has a limit; it is reset, cut or closed with care.

It knows nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from time import monotonic
from typing import Any

from wsgiproxy.sansio.message import BLOCK

__all__ = ["ClientConnection"]

# Bytes of a refused upload that are read and dropped, so that the client reads the response.
_LINGER_BYTES = 1 << 24
_AT_ONCE = 0.001  # seconds; a limit of 0 would make the socket non-blocking
_RESET = struct.pack("ii", 1, 0)


class ClientConnection:
    """A connection that has been accepted.

    :param sock: a socket; with TLS, that of ``ssl`` or a connection of pyOpenSSL.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        #: The socket, for a tunnel; None if there is TLS on it.
        self.socket: socket.socket | None = sock if type(sock) is socket.socket else None
        # A time limit makes pyOpenSSL fail where the others wait.
        self._has_limits = isinstance(sock, socket.socket)
        with contextlib.suppress(OSError):  # gone already
            # A small block goes out though the one before is not acknowledged yet.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def local_address(self) -> tuple[str, int]:
        """Host and port that the client has connected to.

        :raises OSError: it has left.
        """
        host, port = self._sock.getsockname()[:2]
        return str(host), int(port)

    def receive(self, seconds: float) -> bytes:
        """Wait for bytes; none at the end of what the client sends.

        :raises TimeoutError: nothing has come for so long.
        :raises OSError: the connection is broken.
        """
        self.limit(seconds)
        return bytes(self._sock.recv(BLOCK))

    def send(self, data: bytes, seconds: float) -> None:
        """Write all of *data*.

        :raises TimeoutError: the client has taken nothing for so long.
        :raises OSError: the connection is broken.
        """
        self.limit(seconds)
        left = memoryview(data)
        while left:  # sendall's limit would be one for the whole
            left = left[self._sock.send(left) :]

    def limit(self, seconds: float) -> None:
        """Set the longest wait again: the application may have set another one.

        :raises OSError: the socket is closed.
        """
        seconds = max(seconds, _AT_ONCE)
        if self._has_limits and self._sock.gettimeout() != seconds:
            self._sock.settimeout(seconds)

    def cut(self) -> None:
        """End both directions; a thread that waits for bytes sees the end."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        # pyOpenSSL's own shutdown is that of TLS.
        shutdown = getattr(self._sock, "sock_shutdown", self._sock.shutdown)
        with contextlib.suppress(OSError):
            shutdown(how)

    def reset(self) -> None:
        """Close with RST, so that no response looks complete; undelivered bytes are lost."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def close(self, *, unread: bool, seconds: float) -> None:
        """Close so that the client can read all that was written (RFC 9112, 9.6).

        With unread bytes the kernel would send RST, and bytes on their way would be lost.

        :param unread: the client has more to send.
        :param seconds: the longest wait for the client to close its end.
        """
        self._shut(socket.SHUT_WR)
        if self._sock.fileno() >= 0:  # else the application has closed it
            with contextlib.suppress(OSError):
                if unread or self._is_readable():
                    self._drain(seconds)
        self._sock.close()

    def _is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def _drain(self, seconds: float) -> None:
        end, left = monotonic() + seconds, _LINGER_BYTES
        while left > 0 and (now := monotonic()) < end and (data := self.receive(end - now)):
            left -= len(data)
