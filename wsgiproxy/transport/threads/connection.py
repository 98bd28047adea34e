"""One connection to an upstream: what a thread does with its socket.

Every wait is a poll with a limit, in threads and in greenlets, and right across signals. Linux
does with fewer calls that give up the interpreter lock: there a read waits by itself where no
signal interrupts it, and the kernel's count of bytes says that an idle connection is quiet.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import sys
import threading

from wsgiproxy.sansio.message import BLOCK, Origin, Request

__all__ = ["SLICE", "Connection", "is_own_request"]

#: Seconds of a single wait, so that a client that has left is noticed within one.
SLICE = 0.5

_IS_LINUX = sys.platform == "linux"
# The same as a struct timeval, for SO_RCVTIMEO.
_SLICE_IN_C = struct.pack("ll", 0, int(SLICE * 1_000_000))
# A wait is a slice, or shorter where a limit is nearer; in milliseconds.
_WHOLE_SLICE = SLICE * 1000
# Of struct tcp_info (linux/tcp.h): tcpi_state, and tcpi_bytes_received as its last part here.
_TCP_INFO_SIZE = 136
_state_and_bytes = struct.Struct("B127xQ").unpack
_TCP_ESTABLISHED = 1

# There is nothing to read, or no room to write, right now.
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Thread(threading.local):
    """Whether this thread is the first of the process, which gets its signals (signal(7))."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> None:
        self.is_first = threading.get_native_id() == os.getpid()


_thread = _Thread()
# The one thread of a forked child is its first, whatever it was to the parent.
os.register_at_fork(after_in_child=_thread.look)


class _Process:
    """This process, whose children have copies of its connections.

    :ivar forks: the number of its forks so far.
    """

    def __init__(self) -> None:
        self.forks = 0


_process = _Process()


def _count_fork() -> None:
    _process.forks += 1


def _begin_child() -> None:
    global _process
    _process = _Process()


os.register_at_fork(after_in_parent=_count_fork, after_in_child=_begin_child)

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

    __slots__ = (
        "__weakref__",
        "_at_once",
        "_forks",
        "_is_counted",
        "_process",
        "_received",
        "_register",
        "_waits",
        "address",
        "idle_since",
        "is_tls",
        "origin",
        "poll",
        "reused",
        "sock",
    )

    def __init__(self, sock: socket.socket, origin: Origin) -> None:
        self.sock = sock
        self.origin = origin
        self.reused = False
        self.idle_since = 0.0
        self._process, self._forks = _process, _process.forks
        # IPv6 addresses have two more parts.
        self.address = sock.getsockname()[:2]
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        sock.settimeout(0)
        self._waits = _IS_LINUX and not self.is_tls and _waits_by_itself(sock)
        self._at_once = int(socket.MSG_DONTWAIT) if self._waits else 0
        # A parent proxy has sent bytes before.
        count = _received_by(sock) if _IS_LINUX and not self.is_tls else None
        self._is_counted = count is not None
        self._received = count or 0
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
        if self._is_counted and not _thread.is_first:
            # Unlike a poll, which costs less where no thread competes, it keeps the interpreter
            # lock. Only good news is believed, since gVisor counts no bytes; an end counts as
            # one, and changes the state.
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            if _state_and_bytes(info) == (_TCP_ESTABLISHED, self._received):
                return True
        return not self.poll(0)

    def has_spoken_first(self) -> bool:
        """Whether a new connection brings bytes before the request; TLS has tickets."""
        return not self.is_tls and bool(self.poll(0))

    def recv(self, *, waits: bool = False) -> bytes | None:
        """What is there already, None if nothing is; TLS may be readable without data.

        :param waits: what comes within a slice; where :meth:`recv_may_wait`.
        """
        try:
            data = self.sock.recv(BLOCK, 0 if waits else self._at_once)
        except _NOT_NOW:
            return None
        self._received += len(data)
        return data

    def recv_may_wait(self, milliseconds: float) -> bool:
        """Whether a read that waits by itself keeps such a limit: here, and in this thread.

        Python begins a read that a signal interrupts anew, with all its time (PEP 475), and the
        kernel gives the signals of a process to its first thread (signal(7)).
        """
        return self._waits and milliseconds >= _WHOLE_SLICE and not _thread.is_first

    def send_now(self, data: bytes | memoryview) -> int:
        """Write what there is room for; the number of bytes."""
        try:
            return self.sock.send(data, self._at_once)
        except _NOT_NOW:
            return 0

    def has_arrived(self) -> bool:
        """Whether there is something to read now, if only an end."""
        # TLS may hold decrypted bytes of which the kernel knows nothing.
        return (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0) or bool(
            self.poll(0)
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

    @property
    def is_open(self) -> bool:
        """Whether it still has its descriptor."""
        return self.sock.fileno() >= 0

    def close(self) -> None:
        """End the connection now."""
        self.end()
        # A child that was forked meanwhile has the descriptor as well, and would keep the
        # connection open. The child itself closes its descriptor and nothing else.
        if self._process is _process and self._forks != _process.forks:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def _waits_by_itself(sock: socket.socket) -> bool:
    """Make each read wait for a slice at most; False where that cannot be had."""
    sock.settimeout(None)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _SLICE_IN_C)
        # The sockets of gevent wait in their own way, whatever they are told.
        if os.get_blocking(sock.fileno()):
            return True
    except OSError:  # a struct timeval of another size
        pass
    sock.settimeout(0)
    return False


def _received_by(sock: socket.socket) -> int | None:
    """The bytes that TCP has received, read or not; None for what is not TCP or is not counted."""
    try:
        # MPTCP counts the bytes of one of its ways alone.
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) != socket.IPPROTO_TCP:
            return None
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if len(info) < _TCP_INFO_SIZE:  # before Linux 4.1
        return None
    count: int = _state_and_bytes(info)[1]
    return count
