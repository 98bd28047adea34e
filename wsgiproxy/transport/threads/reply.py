"""An answer of an upstream: its head, and a body that streams.

Failure in the middle of a body raises from the iterator, so that the client's connection
breaks and a cut answer never looks complete.
"""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.h1 import ResponseReader
from wsgiproxy.sansio.message import ResponseHead
from wsgiproxy.transport.threads.connection import Connection, Deadline
from wsgiproxy.transport.threads.upload import Upload

__all__ = ["PooledReply"]


class PooledReply:
    """One response.

    :ivar head: status, reason and field lines as the upstream sent them.
    :ivar whole: the whole body, if it has arrived already; else None, and iterate.
    :ivar received: bytes of the body so far.
    :ivar reused: whether the connection had served before.
    """

    __slots__ = (
        "_done",
        "_first",
        "_patience",
        "_reader",
        "_silent",
        "_upload",
        "_wire",
        "head",
        "received",
        "reused",
        "whole",
    )

    def __init__(
        self,
        wire: Connection,
        reader: ResponseReader,
        first: bytes,
        upload: Upload | None,
        patience: Deadline,
        done: Callable[[Connection], None],
    ) -> None:
        assert reader.head is not None
        self.head: ResponseHead = reader.head
        self.received = len(first)
        self.reused = wire.reused
        self._wire: Connection | None = wire
        self._reader = reader
        self._patience = patience
        self._done = done
        self._first = first
        self._upload = upload
        self._silent = False
        self.whole: bytes | None = None
        if reader.complete:
            self._finish()
            self.whole = first

    def __iter__(self) -> PooledReply:
        return self

    def __next__(self) -> bytes:
        """The next block, as it arrives; empty after a silence, if :meth:`pulse` was called.

        :raises ProxyError: the body breaks off, or the upstream is silent for too long.
        """
        block = self._first
        if block:
            self._first = b""
            return block
        if self._wire is None:
            raise StopIteration
        try:
            block = self._read(self._wire)
        except BaseException:
            self.close()
            raise
        if self._silent:
            return b""
        if not block:
            raise StopIteration
        self.received += len(block)
        return block

    def _read(self, wire: Connection) -> bytes:
        reader, patience = self._reader, self._patience
        if self._silent:  # one silence, however often we have looked up from it
            patience.first = patience.slice()
            self._silent = False
        else:
            patience.start(patience.timeouts.idle, "idle_timeout")
        while not reader.complete:
            data = self._receive(wire)
            if data is None:
                if patience.pulses:
                    self._silent = True
                    return b""
                continue
            if not data:
                self._end()
                break
            block = reader.feed(data)
            if block:
                if reader.complete:
                    self._finish()
                return block
        self._finish()
        return b""

    def pulse(self) -> None:
        """Give an empty block after each half second of silence (PEP 3333: nothing yet)."""
        self._patience.pulses = True

    def _receive(self, wire: Connection) -> bytes | None:
        """Bytes of the answer, none at its end; None if some of the request was sent instead."""
        upload = self._upload
        try:
            if upload is None or upload.ended:
                return wire.recv(self._patience)
            return upload.step(wire, self._patience)
        except OSError as error:
            raise UpstreamLost(f"reading the body: {error}") from error

    def _end(self) -> None:
        if self._upload is not None and self._upload.reset:
            raise UpstreamLost("the upstream broke the connection")
        self._reader.end()

    def _finish(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        wire.end()
        reader, upload = self._reader, self._upload
        if reader.reusable and not reader.bound and (upload is None or upload.whole):
            self._done(wire)
        else:
            wire.close()

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._reader.complete

    def close(self) -> None:
        """Give up the rest of the body; at any time, and more than once.

        A connection with an unread rest is closed, so that the upstream stops at once.
        """
        wire, self._wire = self._wire, None
        self._first = b""
        if wire is not None:
            wire.close()

    def read(self) -> bytes:
        """The whole body, for answers that are known to be small."""
        if self.whole is not None:
            return self.whole
        return b"".join(self)
