"""A tunnel: bytes both ways between two sockets, each way with an end of its own.

It knows nothing of what the bytes mean, and keeps no more of them than one block each way.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from time import monotonic

from wsgiproxy.transport.threads.tunnel_end import End

__all__ = ["Tunnel", "Watch"]

# Reading or writing then says what it is: an end with bytes before it, or a failure.
_OVER = select.POLLERR | select.POLLHUP | select.POLLNVAL


#: Told of a block that passes.
Watch = Callable[[bytes], object] | None


class _Way:
    """One of the two directions.

    :param source: where the bytes come from.
    :param target: where they go.
    :param first: what has been read of the source already.
    :param head: what is written before it.
    :param watch: told of each block that has been read; None for nothing.
    :ivar passed: bytes that have been read.
    :ivar reads: the end of the source has not been read.
    :ivar pending: bytes that are still to be written.
    :ivar has_ended: the target knows that nothing more comes.
    """

    def __init__(
        self, source: End, target: End, first: bytes, head: bytes = b"", watch: Watch = None
    ) -> None:
        self.source = source
        self.target = target
        self.watch = watch
        if watch is not None and first:
            watch(first)
        self.passed = len(first)
        self.reads = True
        self.pending = memoryview(head + first)
        self.has_ended = False

    def read(self) -> None:
        """Take what is there, and pass it on.

        :raises OSError: one of the two is broken.
        """
        block = self.source.read()
        if block is None:
            return
        size = len(block)
        if not size:
            self.reads = False
            return
        self.passed += size
        if self.watch is not None:
            self.watch(block)
        count = self.target.write(block)
        if count < size:
            self.pending = memoryview(block)[count:]
            self.write()

    def write(self) -> None:
        """Pass on what there is room for.

        :raises OSError: the target is broken.
        """
        # gevent's TLS says 0 where the one of Python raises an error.
        while self.pending and (count := self.target.write(self.pending)):
            self.pending = self.pending[count:]

    @property
    def is_ending(self) -> bool:
        """Whether the source has ended, and the target is still to be told."""
        return not self.reads and not self.pending and not self.has_ended

    def end(self) -> None:
        """Pass on the end of the source (RFC 9110, 9.3.6)."""
        self.has_ended = self.target.end_writing()


class Tunnel:
    """Both ways of a CONNECT, or of a protocol that a request has gone over to.

    :param client: the client's socket.
    :param upstream: that of the other end.
    :param first: what the client has sent behind its head already.
    :param answer: what the other end has sent already.
    :param head: what is sent to the client before all.
    :param watches: told of each block of the client, and of each of the other end.
    :ivar was_silent: it was given up.
    """

    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        first: bytes = b"",
        answer: bytes = b"",
        *,
        head: bytes = b"",
        watches: tuple[Watch, Watch] = (None, None),
    ) -> None:
        self._client = End(client)
        self._upstream = End(upstream)
        self._up = _Way(self._client, self._upstream, first, watch=watches[0])
        self._down = _Way(self._upstream, self._client, answer, head, watches[1])
        self._ways = ((self._up, self._down), (self._down, self._up))
        self._wanted: dict[End, int] = {}
        self._poll = select.poll()
        self.was_silent = False

    @property
    def upstream_broke(self) -> bool:
        """Whether it has ended by a failure of the other end."""
        return self._upstream.is_broken

    @property
    def sent(self) -> int:
        """Bytes from the client."""
        return self._up.passed

    @property
    def received(self) -> int:
        """Bytes for the client, behind the head."""
        return self._down.passed

    def run(self, idle: float) -> None:
        """Pass bytes on until both sides have ended; the sockets are shut down then.

        :param idle: seconds without a byte after which it is given up.
        :raises OSError: one of the two is broken.
        """
        try:
            for end in (self._client, self._upstream):
                end.sock.settimeout(0)
            self._up.write()
            self._down.write()
            limit = monotonic() + idle
            while self._look():
                left = limit - monotonic()
                if left <= 0:
                    self.was_silent = True
                    break
                if self._is_steady and self._pass_blocks(idle):
                    limit = monotonic() + idle
                    continue
                if self._turn(left):
                    limit = monotonic() + idle
        finally:
            for end in (self._client, self._upstream):
                self._want(end, 0)
                with contextlib.suppress(OSError):
                    # Takes TLS off as well: what the server writes now fails as it does without.
                    end.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it, from another thread as well; the sockets stay their owners' to close."""
        self._client.cut()
        self._upstream.cut()

    def _look(self) -> bool:
        """Say what is waited for; False when both ways have ended."""
        for way, _ in self._ways:
            if way.is_ending:
                way.end()
        for way, other in self._ways:
            wanted = way.source.to_read if way.reads and not way.pending else 0
            if other.pending or way.source.has_unsaid:
                wanted |= way.source.to_write
            self._want(way.source, wanted)
        return not (self._up.has_ended and self._down.has_ended)

    def _want(self, end: End, wanted: int) -> None:
        before = self._wanted.get(end, 0)
        self._wanted[end] = wanted
        if wanted and wanted != before:
            self._poll.register(end.sock, wanted)
        elif before and not wanted:
            # Registered for nothing, it would tell of its end again and again.
            self._poll.unregister(end.sock)

    @property
    def _is_steady(self) -> bool:
        """Whether each end sends and takes, and the kernel knows of all bytes."""
        return not (self._client.is_tls or self._upstream.is_tls) and all(
            way.reads and not way.pending for way in (self._up, self._down)
        )

    def _pass_blocks(self, idle: float) -> bool:
        """Pass blocks for as long as that is all there is to do.

        :returns: whether something else has come; False if nothing has come for *idle* seconds.
        """
        ways = {way.source.sock.fileno(): way for way, _ in self._ways}
        poll, milliseconds = self._poll.poll, idle * 1000 + 1
        while events := poll(milliseconds):
            for number, _ in events:  # reading says what it is: bytes, an end, or a failure
                way = ways[number]
                way.read()
                if way.pending or not way.reads:
                    return True
        return False

    def _turn(self, seconds: float) -> bool:
        """Wait for one of the two, and do what can be done; False if nothing has come."""
        events: dict[int, int] = {}
        for way, _ in self._ways:
            if self._wanted[way.source] & way.source.to_read and way.source.holds_bytes:
                events[way.source.sock.fileno()] = way.source.to_read
        if not events:
            events = dict(self._poll.poll(seconds * 1000 + 1))
        for way, other in self._ways:
            source = way.source
            event = events.get(source.sock.fileno(), 0)
            if event & _OVER:
                event |= self._wanted[source]
            if event & source.to_write and other.pending:
                other.write()
            if event & source.to_read and way.reads and not way.pending:
                way.read()
        return bool(events)
