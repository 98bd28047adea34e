"""One connection to an upstream: what a thread does with its socket.

The socket never blocks; every wait is a poll with a limit, the same for TCP, Unix sockets and
TLS, in threads and in greenlets, and right across signals.
"""

from __future__ import annotations

import os
import select
import socket
import ssl

from wsgiproxy.sansio.message import BLOCK, Origin, Request

__all__ = ["Connection", "is_own_request"]

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


class Connection:
    """A connected socket with its place in the pool.

    :param sock: plain or of :mod:`ssl`.
    :param origin: what it is connected to.
    :ivar reused: it has served before.
    :ivar idle_since: seconds of the monotonic clock.
    """

    __slots__ = ("_register", "address", "idle_since", "is_tls", "origin", "poll", "reused", "sock")

    def __init__(self, sock: socket.socket, origin: Origin) -> None:
        sock.settimeout(0)
        self.sock = sock
        self.origin = origin
        self.reused = False
        self.idle_since = 0.0
        # IPv6 addresses have two more parts.
        self.address = sock.getsockname()[:2]
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        self._register = poll.modify
        #: Waits until there is something to read, for so many milliseconds; empty if there is not.
        self.poll = poll.poll

    def begin(self, request: Request) -> None:
        """Note what is being asked for on this connection."""
        _in_flight[self.address] = request

    def end(self) -> None:
        """The answer is complete, or is not wanted any more."""
        _in_flight.pop(self.address, None)

    def is_quiet(self) -> bool:
        """Nothing to read, not even an end: what an idle connection must be (RFC 9112, 9.5)."""
        return not self.poll(0)

    def has_spoken_first(self) -> bool:
        """Whether a new connection brings bytes before the request; TLS has tickets."""
        return not self.is_tls and not self.is_quiet()

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

    def wait(self, milliseconds: float) -> tuple[bool, bool]:
        """Wait for one of two: whether there is something to read, and room to write."""
        if self.is_tls and self.has_arrived():
            return True, False
        self._register(self.sock, select.POLLIN | select.POLLOUT)
        try:
            found = self.poll(milliseconds)
        finally:
            self._register(self.sock, select.POLLIN)
        events = found[0][1] if found else 0
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)

    def close(self) -> None:
        """End the connection now."""
        self.end()
        self.sock.close()
