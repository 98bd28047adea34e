"""One connection to an upstream: what an event loop does with its socket."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from wsgiproxy.sansio.message import BLOCK, Origin

__all__ = ["Connection", "Receiver"]


class Receiver(Protocol):
    """What takes the events of a connection while it is in use."""

    def data(self, data: bytes) -> None:
        """Bytes have arrived; none at the end of the connection."""

    def lost(self, error: OSError) -> None:
        """The connection broke, or ended in a way that is no end of a message."""

    def drained(self) -> None:
        """All that was written has gone to the kernel."""


class Connection(asyncio.Protocol):
    """A connected socket with its place in the pool.

    :param sock: what is connected; the transport of the event loop closes it.
    :param origin: what it is connected to.
    :param discard: called when it ends while it is idle.
    :ivar reused: it has served before.
    :ivar idle_since: seconds of the monotonic clock.
    :ivar receiver: takes what happens; None while the connection is idle.
    :ivar is_dead: it has ended.
    :ivar is_stalled: the kernel had no room for all that was written.
    """

    __slots__ = (
        "__weakref__",
        "_discard",
        "_loop",
        "_poll",
        "_sock",
        "idle_since",
        "is_dead",
        "is_stalled",
        "is_tls",
        "origin",
        "receiver",
        "reused",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(
        self, sock: socket.socket, origin: Origin, discard: Callable[[Connection], None]
    ) -> None:
        self._sock = sock
        self.origin = origin
        self._discard = discard
        self.is_tls = origin.scheme == "https" and not origin.unix
        self.reused = self.is_stalled = self.is_dead = False
        self.idle_since = 0.0
        self.receiver: Receiver | None = None
        self._poll: select.poll | None = None

    # What the pool asks

    def is_quiet(self) -> bool:
        """Nothing has arrived, not even an end: what an idle connection must be (RFC 9112, 9.5)."""
        if self.is_dead:
            return False
        # What the loop has not seen yet, since it was busy until now.
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._sock.fileno(), select.POLLIN)
        return not self._poll.poll(0)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.is_dead

    def close(self) -> None:
        """End the connection now."""
        self.is_dead = True
        self.receiver = None
        # A child process may have the descriptor as well, and would keep the connection open.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        # Not close(), which waits for buffers to empty, and in TLS for the other side.
        try:
            if self.is_tls:  # which goes on with it when a callback of ours returns
                self._loop.call_soon(self.transport.abort)
            else:
                self.transport.abort()
        except RuntimeError:  # the loop is closed
            self._sock.close()

    def abandon(self) -> None:
        """Close the descriptor and nothing else: in a child process, the loop is the parent's."""
        self.is_dead = True
        self._sock.close()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport of the event loop is there."""
        self._loop = asyncio.get_running_loop()
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class
        # It says at once when the kernel has no room: there is no second buffer to fill.
        # With TLS, 0 bytes that wait would be as many as 0 allows, and so too many.
        self.transport.set_write_buffer_limits(high=1 if self.is_tls else 0)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self.receiver is not None:
            self.receiver.data(data)
        else:
            self._end_idle()

    def eof_received(self) -> None:
        """The other end has closed its side; in TLS, perhaps without a word."""
        receiver = self.receiver
        if receiver is None:
            self._end_idle()
        elif self.is_tls:
            # A close without close_notify is a cut, not an end (RFC 9112, 9.8); left() tells.
            receiver.lost(BrokenPipeError("the connection ended without close_notify"))
        else:
            receiver.data(b"")

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; what had arrived before is still there to be read."""
        self.is_dead = True
        receiver = self.receiver
        if receiver is None:
            self._discard(self)
            return
        # None if the loop has seen the end, but was not let tell, since reading was paused.
        receiver.lost(error if isinstance(error, OSError) else BrokenPipeError("it was closed"))

    def pause_writing(self) -> None:
        """The kernel has no room."""
        self.is_stalled = True

    def resume_writing(self) -> None:
        """All has gone to the kernel."""
        self.is_stalled = False
        if self.receiver is not None:
            self.receiver.drained()

    def send_now(self, data: bytes | memoryview) -> int:
        """Write what there is room for, past the loop, which has nothing left to write.

        :returns: the number of bytes.
        :raises OSError: the connection is broken for writing.
        """
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def write(self, data: bytes) -> None:
        """Write now what there is room for, and leave the rest to the loop.

        :raises OSError: the connection is broken for writing.
        """
        left: bytes | memoryview = data
        if not self.is_tls and not self.is_stalled:  # then the loop has nothing left to write
            count = self.send_now(data)
            if count == len(data):
                return
            left = memoryview(data)[count:]
        self.transport.write(left)

    def left(self) -> bytes | None:
        """What has arrived unread when all is over; empty at the end, None if there is no more.

        The loop gives a connection up when a write fails, and uvloop one with TLS at its end,
        though the upstream may have answered before.

        :raises OSError: the connection is broken for reading, too.
        """
        tls = self.transport.get_extra_info("ssl_object") if self.is_tls else None
        try:
            return self._sock.recv(BLOCK) if tls is None else bytes(tls.read(BLOCK))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def _end_idle(self) -> None:
        """An idle connection has nothing to say (RFC 9112, 9.5)."""
        self._discard(self)
        self.close()
