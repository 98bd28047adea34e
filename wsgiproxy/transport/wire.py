"""One connection to an upstream, as the thread driver of the codec uses it."""

from __future__ import annotations

import _socket
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from time import monotonic

from wsgiproxy.errors import ClientGone, UpstreamTimeout
from wsgiproxy.sansio.message import Origin

__all__ = ["BLOCK", "TIMED_OUT", "Patience", "Timeouts", "Wire", "is_own_connection"]

#: What one recv may bring, in bytes: a long answer is never held beyond it.
BLOCK = 65536
# What a call that has waited for its slice raises, by the two ways of waiting.
TIMED_OUT = (TimeoutError, BlockingIOError)
_PLAIN_RECV = _socket.socket.recv

# A wait is cut into slices, so that a client that has left is noticed within a second.
_SLICE = 0.5


# The local ends of the connections of this process: a request that arrives from one of
# them is our own.
_own: set[object] = set()


def is_own_connection(address: str, port: int) -> bool:
    """Whether a connection that a server sees coming from there was made by this process."""
    return (address, port) in _own


class Timeouts:
    """How long to wait, in seconds; there is no total.

    :param connect: for one address, TLS included.
    :param head: for the whole final head, from the end of the request on.
    :param idle: between two reads or two writes.
    """

    __slots__ = ("connect", "head", "idle", "slice")

    def __init__(self, connect: float = 10.0, head: float = 60.0, idle: float = 60.0) -> None:
        self.connect = connect
        self.head = head
        self.idle = idle
        #: The longest single wait.
        self.slice = min(_SLICE, head, idle)


class Patience:
    """How long one exchange goes on waiting, and for whom."""

    __slots__ = ("abandoned", "timeouts", "until")

    def __init__(self, timeouts: Timeouts, abandoned: Callable[[], bool] | None) -> None:
        self.timeouts = timeouts
        self.abandoned = abandoned
        self.until = 0.0

    def start(self, seconds: float) -> None:
        """Wait for *seconds* from now on."""
        self.until = monotonic() + seconds

    def check(self) -> None:
        """Go on, or not.

        :raises ClientGone: nobody is waiting for the answer any more.
        :raises UpstreamTimeout: the time is over.
        """
        if self.abandoned is not None and self.abandoned():
            raise ClientGone("the client left while the upstream was silent")
        if monotonic() >= self.until:
            raise UpstreamTimeout("the upstream was silent for too long")


class Wire:
    """A connected socket with its place in the pool."""

    __slots__ = (
        "_kernel_waits",
        "_poll",
        "_slice",
        "address",
        "idle_since",
        "origin",
        "recv",
        "reused",
        "sock",
    )

    def __init__(self, sock: socket.socket, origin: Origin) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.origin = origin
        self.reused = False
        self.idle_since = 0.0
        # IPv6 addresses have two more parts.
        self.address = sock.getsockname()[:2]
        _own.add(self.address)
        self._slice = 0.0
        # Python polls before each call on a socket with a timeout; the kernel's own limits
        # save two system calls per exchange. Not for TLS, which retries by itself, and not
        # for the sockets of gevent, which never block.
        self._kernel_waits = sys.platform == "linux" and type(sock).recv is _PLAIN_RECV
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def use(self, slice_: float) -> None:
        """Make every single wait last at most *slice_* seconds."""
        if slice_ == self._slice:
            return
        self._slice = slice_
        if not self._kernel_waits:
            self.sock.settimeout(slice_)
            return
        timeval = struct.pack("ll", int(slice_), int(slice_ % 1 * 1e6) or 1)
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

    def is_quiet(self) -> bool:
        """Nothing to read, not even an end: what an idle connection must be (RFC 9112, 9.5)."""
        return not self._poll.poll(0)

    def has_spoken_first(self) -> bool:
        """Whether a new connection brings bytes before anybody asked; TLS has tickets."""
        return not isinstance(self.sock, ssl.SSLSocket) and not self.is_quiet()

    def wait(self) -> tuple[bool, bool]:
        """Wait for one slice: whether there is something to read, and room to write."""
        self._poll.modify(self.sock, select.POLLIN | select.POLLOUT)
        try:
            found = self._poll.poll(self._slice * 1000)
        finally:
            self._poll.modify(self.sock, select.POLLIN)
        events = found[0][1] if found else 0
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)

    def recv_now(self) -> bytes | None:
        """What is there already, None if nothing is; TLS may be readable without data."""
        self.sock.settimeout(0)
        try:
            return self.sock.recv(BLOCK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        finally:
            self.sock.settimeout(None if self._kernel_waits else self._slice)

    def send_some(self, view: memoryview) -> int:
        """Write what there is room for, without waiting for more; the number of bytes."""
        try:
            if self._kernel_waits:
                return self.sock.send(view, socket.MSG_DONTWAIT)
            return self.sock.send(view)
        except TIMED_OUT:
            return 0

    def send_all(self, data: bytes, patience: Patience) -> bool:
        """Write *data*; whether it went out whole, False if the upstream has hung up at once.

        :raises OSError: after a part of it was written.
        """
        try:
            sent = self.sock.send(data)
        except TIMED_OUT:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], patience)
        return True

    def _send_rest(self, view: memoryview, patience: Patience) -> None:
        patience.start(patience.timeouts.idle)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except TIMED_OUT:
                patience.check()

    def close(self) -> None:
        """End the connection now."""
        _own.discard(self.address)
        self.sock.close()
