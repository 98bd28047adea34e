"""One end of a tunnel: a socket that never waits, plain or with TLS on it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading

__all__ = ["End"]

# Bytes at a time. A browser has a hundred tunnels that are silent: none keeps a buffer.
_BLOCK = 1 << 16
# There is nothing to read, or no room to write, right now.
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class End:
    """One of the two sockets, plain or with TLS on it.

    :ivar to_read: the event to wait for before the next read.
    :ivar to_write: the event to wait for before the next write.
    :ivar is_broken: whether reading or writing has failed.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.to_read, self.to_write = select.POLLIN, select.POLLOUT
        self.is_broken = False
        self._has_ended = self._says_end = False
        self._alert = b""
        self._lock = threading.Lock()

    def read(self) -> bytes | None:
        """The bytes that are there, none at their end; None if there is nothing right now.

        :raises OSError: it is broken.
        """
        if self._has_ended:
            return b""
        self.to_read = select.POLLIN
        try:
            return self.sock.recv(_BLOCK)
        except ssl.SSLWantWriteError:  # TLS 1.2 agrees on new keys
            self.to_read = select.POLLOUT
        except _NOT_NOW:
            pass
        except ssl.SSLZeroReturnError:  # Python's word for an end, once ours has been said
            return b""
        except OSError:
            self.is_broken = True
            raise
        return None

    def write(self, data: bytes | memoryview) -> int:
        """Write what there is room for; the number of bytes.

        :raises OSError: it is broken.
        """
        self.to_write = select.POLLOUT
        try:
            return self.sock.send(data)
        except ssl.SSLWantReadError:
            self.to_write = select.POLLIN
        except _NOT_NOW:
            pass
        except OSError:
            self.is_broken = True
            raise
        return 0

    @property
    def is_tls(self) -> bool:
        """Whether there is TLS on it."""
        return isinstance(self.sock, ssl.SSLSocket)

    def end_writing(self) -> bool:
        """Say that nothing more is written; False if that cannot be said right now.

        :raises OSError: the process may open no more files.
        """
        if not isinstance(self.sock, ssl.SSLSocket):
            with contextlib.suppress(OSError):  # it has ended both ways already
                self.sock.shutdown(socket.SHUT_WR)
            return True
        if not self._says_end:
            if self.sock.pending():  # to be read first: see _close_notify
                return False
            self._says_end = True
            self._alert = self._close_notify(self.sock)
        try:
            self._alert = self._alert[os.write(self.sock.fileno(), self._alert) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended both ways already
            self._alert = b""
        return not self._alert

    def _close_notify(self, sock: ssl.SSLSocket) -> bytes:
        """The record by which TLS ends one way (RFC 8446, 6.1).

        OpenSSL writes it, and Python has it read then: bytes that have come from the other side
        meanwhile are an error to it, and all that follows is lost. So it reads and writes a pair of
        sockets that stands in for the connection.
        """
        number = sock.fileno()
        inside, outside = socket.socketpair()
        with inside, outside, self._lock:
            inside.setblocking(False)
            kept = os.dup(number)
            try:
                os.dup2(inside.fileno(), number, inheritable=False)
                sock.unwrap()
                # Both ends have said so. What came now would not be encrypted.
                self._has_ended = True
            except (OSError, ValueError):  # the other end has not said so, or it is broken
                pass
            finally:
                os.dup2(kept, number, inheritable=False)
                os.close(kept)
            inside.shutdown(socket.SHUT_WR)
            return outside.recv(_BLOCK)

    @property
    def has_unsaid(self) -> bool:
        """Whether a part of the end of writing waits for room."""
        return bool(self._alert)

    @property
    def holds_bytes(self) -> bool:
        """Whether there is something to read of which the kernel knows nothing."""
        return self._has_ended or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0)

    def cut(self) -> None:
        """End it both ways, from another thread as well; the socket stays open."""
        cut = self.sock.shutdown
        if isinstance(self.sock, ssl.SSLSocket):
            # Its own takes TLS off the socket, which the tunnel's thread may be using.
            cut = super(ssl.SSLSocket, self.sock).shutdown
        with self._lock, contextlib.suppress(OSError):
            cut(socket.SHUT_RDWR)
