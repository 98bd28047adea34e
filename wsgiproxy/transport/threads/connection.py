"""One connection to an upstream, as the thread driver of the codec uses it.

The socket never blocks; every wait is a poll with a limit, the same for TCP, Unix sockets and
TLS, in threads and in greenlets, and right across signals.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Callable
from time import monotonic

from wsgiproxy.errors import ClientGone, UpstreamTimeout
from wsgiproxy.sansio.message import BLOCK, Origin, Request
from wsgiproxy.transport.base import Timeouts

__all__ = ["Deadline", "Connection", "is_own_request"]

# A wait is cut into slices, so that a client that has left is noticed within a second.
_SLICE = 0.5
# There is nothing to read, or no room to write, right now.
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# What this process is asking for, by the local end of the connection: a request that comes
# from there and asks for the same is our own. In flight only, since the kernel gives the same
# port to connections with different destinations.
_in_flight: dict[object, Request] = {}
os.register_at_fork(after_in_child=_in_flight.clear)


def is_own_request(address: str, port: int, method: str, target: str) -> bool:
    """Whether a request that a server sees coming from there is one of this process."""
    request = _in_flight.get((address, port))
    return request is not None and (request.method, request.target) == (method, target)


class Deadline:
    """How long one exchange goes on waiting, and for whom."""

    __slots__ = ("_seconds", "_setting", "_until", "abandoned", "first", "pulses", "timeouts")

    def __init__(self, timeouts: Timeouts, abandoned: Callable[[], bool] | None) -> None:
        self.timeouts = timeouts
        self.abandoned = abandoned
        self._seconds = self._until = self.first = 0.0
        #: Give a wait back after each slice, so that the server can look at its client.
        self.pulses = False

    def start(self, seconds: float, setting: str) -> None:
        """Wait for *seconds* from now on.

        :param setting: the name of what sets them, for the message.
        """
        self._seconds = seconds
        self._setting = setting
        self._until = monotonic() + seconds
        #: The milliseconds of the first single wait; one more, since poll counts whole ones.
        self.first = (seconds if seconds < _SLICE else _SLICE) * 1000 + 1

    def slice(self) -> float:
        """The milliseconds of a further single wait.

        :raises ClientGone: nobody is waiting for the answer any more.
        :raises UpstreamTimeout: the time is over.
        """
        left = self._until - monotonic()
        if left <= 0:
            raise UpstreamTimeout(
                f"the upstream was silent for {self._setting}={self._seconds:g} s"
            )
        if self.abandoned is not None and left < self._seconds - _SLICE / 2 and self.abandoned():
            raise ClientGone("the client left while the upstream was silent")
        return min(_SLICE, left) * 1000 + 1


class Connection:
    """A connected socket with its place in the pool."""

    __slots__ = ("_poll", "_tls", "address", "idle_since", "origin", "reused", "sock")

    def __init__(self, sock: socket.socket, origin: Origin) -> None:
        sock.settimeout(0)
        self.sock = sock
        self.origin = origin
        self.reused = False
        self.idle_since = 0.0
        # IPv6 addresses have two more parts.
        self.address = sock.getsockname()[:2]
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @property
    def writes_whole(self) -> bool:
        """Whether a write that fails has written nothing; TLS may have sent some records."""
        return not self._tls

    def begin(self, request: Request) -> None:
        """Note what is being asked for on this connection."""
        _in_flight[self.address] = request

    def end(self) -> None:
        """The answer is complete, or nobody wants it."""
        _in_flight.pop(self.address, None)

    def is_quiet(self) -> bool:
        """Nothing to read, not even an end: what an idle connection must be (RFC 9112, 9.5)."""
        return not self._poll.poll(0)

    def has_spoken_first(self) -> bool:
        """Whether a new connection brings bytes before anybody asked; TLS has tickets."""
        return not self._tls and not self.is_quiet()

    def recv(self, patience: Deadline) -> bytes | None:
        """Wait for bytes; none at the end. None after a slice without any, if patience pulses.

        :raises OSError: the connection is broken.
        """
        # TLS may hold decrypted bytes of which the kernel knows nothing.
        ready = self._tls or self._poll.poll(patience.first)
        while True:
            if ready:
                data = self.recv_now()
                if data is not None:
                    return data
            elif patience.pulses:
                return None
            ready = self._poll.poll(patience.slice())

    def recv_now(self) -> bytes | None:
        """What is there already, None if nothing is; TLS may be readable without data."""
        try:
            return self.sock.recv(BLOCK)
        except _NOT_NOW:
            return None

    def send_now(self, data: bytes | memoryview) -> int:
        """Write what there is room for; the number of bytes."""
        try:
            return self.sock.send(data)
        except _NOT_NOW:
            return 0

    def has_arrived(self) -> bool:
        """Whether there is something to read now, if only an end."""
        # TLS may hold decrypted bytes of which the kernel knows nothing.
        return (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0) or (
            not self.is_quiet()
        )

    def wait(self, patience: Deadline) -> tuple[bool, bool]:
        """Wait for one slice: whether there is something to read, and room to write."""
        if self._tls and self.has_arrived():
            return True, False
        self._poll.modify(self.sock, select.POLLIN | select.POLLOUT)
        try:
            found = self._poll.poll(patience.slice())
        finally:
            self._poll.modify(self.sock, select.POLLIN)
        events = found[0][1] if found else 0
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)

    def close(self) -> None:
        """End the connection now."""
        self.end()
        self.sock.close()
