"""A tunnel: bytes both ways between two sockets, each way with an end of its own.

It knows nothing of what the bytes mean, and keeps no more of them than one block each way.
"""

from __future__ import annotations

import contextlib
import select
import socket
from time import monotonic

__all__ = ["Tunnel"]

# Bytes at a time. A browser has a hundred tunnels that are silent: none keeps a buffer.
_BLOCK = 1 << 16
# Reading or writing then says what it is: an end with bytes before it, or a failure.
_OVER = select.POLLERR | select.POLLHUP | select.POLLNVAL


class _Way:
    """One of the two directions.

    :param source: where the bytes come from.
    :param target: where they go.
    :param first: what has been read of the source already.
    """

    def __init__(self, source: socket.socket, target: socket.socket, first: bytes) -> None:
        self.source = source
        self.target = target
        self.passed = len(first)
        self.reads = True
        self.broken: socket.socket | None = None
        self.pending = memoryview(first)

    def read(self) -> None:
        """Take what is there, and pass it on.

        :raises OSError: one of the two is broken.
        """
        try:
            block = self.source.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            self.broken = self.source
            raise
        self.passed += len(block)
        self.reads = bool(block)
        self.pending = memoryview(block)
        self.write()

    def write(self) -> None:
        """Pass on what there is room for; the end of the source, too (RFC 9110, 9.3.6).

        :raises OSError: the target is broken.
        """
        try:
            while self.pending:
                self.pending = self.pending[self.target.send(self.pending) :]
        except BlockingIOError:
            return
        except OSError:
            self.broken = self.target
            raise
        if not self.reads:
            with contextlib.suppress(OSError):  # it has ended both ways already
                self.target.shutdown(socket.SHUT_WR)


class Tunnel:
    """Both ways of a CONNECT.

    :param client: the client's socket.
    :param upstream: that of the other end.
    :param first: what the client has sent behind its head already.
    :ivar was_silent: it was given up.
    """

    def __init__(self, client: socket.socket, upstream: socket.socket, first: bytes = b"") -> None:
        self._client = client
        self._upstream = upstream
        self._up = _Way(client, upstream, first)
        self._down = _Way(upstream, client, b"")
        self._wanted: dict[socket.socket, int] = {}
        self._poll = select.poll()
        self.was_silent = False

    @property
    def upstream_broke(self) -> bool:
        """Whether it has ended by a failure of the other end."""
        return self._upstream in (self._up.broken, self._down.broken)

    @property
    def sent(self) -> int:
        """Bytes from the client."""
        return self._up.passed

    @property
    def received(self) -> int:
        """Bytes for the client."""
        return self._down.passed

    def run(self, idle: float) -> None:
        """Pass bytes on until both sides have ended; the sockets are shut down then.

        :param idle: seconds without a byte after which it is given up.
        :raises OSError: one of the two is broken.
        """
        client, upstream = self._client, self._upstream
        try:
            for sock in (client, upstream):
                sock.settimeout(0)
            self._up.write()
            while self._look():
                if not self._turn(idle):
                    self.was_silent = True
                    break
        finally:
            self.close()

    def close(self) -> None:
        """End it, from another thread as well; the sockets stay their owners' to close."""
        for sock in (self._client, self._upstream):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _look(self) -> bool:
        """Say what is waited for; False when both ways have ended."""
        waits = False
        for way, other in ((self._up, self._down), (self._down, self._up)):
            wanted = select.POLLIN if way.reads and not way.pending else 0
            wanted |= select.POLLOUT if other.pending else 0
            waits = waits or bool(wanted)
            self._want(way.source, wanted)
        return waits

    def _want(self, sock: socket.socket, wanted: int) -> None:
        before = self._wanted.get(sock, 0)
        self._wanted[sock] = wanted
        if wanted and wanted != before:
            self._poll.register(sock, wanted)
        elif before and not wanted:
            # Registered for nothing, it would tell of its end again and again.
            self._poll.unregister(sock)

    def _turn(self, idle: float) -> bool:
        """Wait for one of them, and do what can be done; False if there was nothing."""
        end = monotonic() + idle
        events: dict[int, int] = {}
        while not events:
            left = end - monotonic()
            if left <= 0:
                return False
            events = dict(self._poll.poll(left * 1000 + 1))
        for way, other in ((self._up, self._down), (self._down, self._up)):
            event = events.get(way.source.fileno(), 0)
            if event & _OVER:
                event |= self._wanted[way.source]
            if event & select.POLLOUT and other.pending:
                other.write()
            if event & select.POLLIN:
                way.read()
        return True
