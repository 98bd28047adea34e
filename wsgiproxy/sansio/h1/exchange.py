"""What one request does on one connection, step by step, for any driver.

The driver waits, reads and writes, and reports what has happened: ``sent``, ``send_failed``,
``received``, ``receive_failed``, ``tick``. The exchange decides: what is to be written next,
whether the answer is whole, and whether the connection was dead, may be kept, or is to be closed.
"""

from __future__ import annotations

from math import inf

from wsgiproxy.errors import UpstreamLost, UpstreamTimeout
from wsgiproxy.sansio.h1.limits import Timeouts
from wsgiproxy.sansio.h1.request_writer import BodyWriter
from wsgiproxy.sansio.h1.response_reader import ResponseReader
from wsgiproxy.sansio.message import Headers, ResponseHead

__all__ = ["Exchange", "Stale"]


_USUAL = Timeouts()


class Stale(Exception):
    """A kept connection was dead, and the request can go out again unchanged."""


class Exchange:
    """One request on one connection.

    :param reader: reads the response.
    :param data: the head of the request, and what of its body is at hand.
    :param body: frames the rest of the body; None if there is none.
    :param timeouts: how long to wait.
    :param reused: the connection has served before.
    :param replayable: the request may go out a second time (RFC 9110, 9.2.2).
    :param writes_whole: a write that fails has written nothing; not so with TLS.
    :ivar pending: bytes to write next.
    :ivar sending: more of the request is to be written.
    :ivar head: the final head; None until it is whole.
    :ivar complete: the whole response has arrived.

    >>> from wsgiproxy.sansio.h1.limits import Limits
    >>> exchange = Exchange(ResponseReader("GET", Limits()), b"GET / HTTP/1.1...")
    >>> exchange.sent(len(exchange.pending), now=0.0)
    >>> exchange.received(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nab")
    b'ab'
    >>> exchange.head.status, exchange.complete, exchange.keeps_connection()
    (200, True, True)
    """

    __slots__ = (
        "_body",
        "_fresh",
        "_interims",
        "_reader",
        "_replayable",
        "_reset",
        "_timeouts",
        "_until",
        "_uploaded",
        "_writes_whole",
        "complete",
        "head",
        "pending",
        "sending",
    )

    def __init__(
        self,
        reader: ResponseReader,
        data: bytes,
        body: BodyWriter | None = None,
        timeouts: Timeouts = _USUAL,
        reused: bool = False,
        replayable: bool = False,
        writes_whole: bool = True,
    ) -> None:
        self._reader = reader
        self._body = body
        self._timeouts = timeouts
        # Nothing was written, or nothing that could not be written again, and nothing came.
        self._fresh = reused
        self._replayable = reused and replayable
        self._writes_whole = writes_whole
        self._interims = 0
        # The connection broke in such a way that its end proves nothing.
        self._reset = False
        self._uploaded = False
        self._until = inf
        self.pending: bytes | memoryview = data
        self.sending = True
        self.head: ResponseHead | None = None
        self.complete = False

    # The request

    def sent(self, count: int, now: float) -> None:
        """So many of the pending bytes are written.

        :param count: bytes; 0 at the beginning of an exchange starts its clock.
        :param now: of a monotonic clock, in seconds.
        """
        if count:
            self._fresh = False
        pending = self.pending
        if count == len(pending):
            self.pending = b""
            if self._body is None or self._body.complete:
                self._end_sending(now, uploaded=True)
                return
        else:
            self.pending = memoryview(pending)[count:]
        self._until = now + self._timeouts.idle

    @property
    def raw_head(self) -> bytes:
        """The bytes of the final head."""
        return self._reader.raw

    @property
    def wants_body(self) -> bool:
        """Whether :meth:`supply` is to be called with the next block of the request's body."""
        return self.sending and not self.pending and self._body is not None

    def supply(self, block: bytes, now: float) -> None:
        """Take the next block of the request's body; an empty one is its end.

        :raises BadRequest: the body is shorter or longer than its length (RFC 9112, 8).
        """
        assert self._body is not None
        self.pending = self._body.frame(block)
        # However long the client took for the block, the upstream is not to blame.
        self._until = now + self._timeouts.idle
        if self._body.complete and not self.pending:  # a body of no bytes
            self._end_sending(now, uploaded=True)

    def send_failed(self, error: OSError, now: float) -> None:
        """A write has failed: the upstream takes no more, and may have answered before.

        :raises Stale: it was the first write on a connection that was dead.
        """
        # The first write has failed, and with it went nothing, unless TLS had sent some.
        if self._fresh and (self._replayable or self._writes_whole):
            raise Stale from error
        # A broken pipe is the kernel's word for an upstream that had closed in order. After
        # anything else the end of the connection is no longer the end of a message.
        self._reset = not isinstance(error, BrokenPipeError)
        self._end_sending(now, uploaded=False)

    def _end_sending(self, now: float, *, uploaded: bool) -> None:
        self.sending = False
        self._uploaded = uploaded
        self.pending = b""
        self._until = now + (self._timeouts.head if self.head is None else self._timeouts.idle)

    # The response

    def received(self, data: bytes) -> bytes:
        """Take bytes of the response, none at the end of the connection; give those of its body.

        :raises Stale: the connection was dead.
        :raises BadResponse: they are no legal response.
        :raises UpstreamLost: the response breaks off.
        """
        if not data:
            self._end()
            return b""
        self._fresh = self._replayable = False
        reader = self._reader
        block = reader.feed(data)
        self.head, self.complete = reader.head, reader.complete
        # What is complete, or says that the connection closes, asks for no more (RFC 9112, 9.5).
        if self.sending and self.head is not None and (reader.complete or not reader.reusable):
            self.sending = False
        return block

    def _end(self) -> None:
        if self._replayable:
            raise Stale
        if self._reset and not self.complete:
            raise UpstreamLost("the upstream broke the connection")
        self.sending = False
        self._reader.end()
        self.complete = True

    def receive_failed(self, error: OSError) -> None:
        """A read has failed.

        :raises Stale: the connection was dead.
        :raises UpstreamLost: otherwise.
        """
        if self._replayable:
            raise Stale from error
        part = "head" if self.head is None else "body"
        raise UpstreamLost(f"reading the {part}: {error}") from error

    def new_interims(self) -> list[ResponseHead]:
        """The interim heads (1xx) that have come since the last call."""
        found = self._reader.interims[self._interims :]
        self._interims += len(found)
        return found

    @property
    def trailers(self) -> Headers:
        """The fields behind the body of the response, when it is whole (RFC 9110, 6.5)."""
        return self._reader.trailers

    def keeps_connection(self) -> bool:
        """Whether the connection may serve another request of any client (RFC 9112, 9.3)."""
        reader = self._reader
        return self._uploaded and self.complete and reader.reusable and not reader.bound

    # Time

    def resume(self, now: float) -> None:
        """The next read of the body begins; the time between two of them is the client's."""
        self._until = now + self._timeouts.idle

    @property
    def shortest_limit(self) -> float:
        """Seconds; whatever happens next has no limit in time below it."""
        return min(self._timeouts.head, self._timeouts.idle)

    def tick(self, now: float) -> float:
        """Look at the clock.

        :returns: seconds until the next look is due.
        :raises UpstreamTimeout: the time is over.
        """
        left = self._until - now
        if left <= 0:
            at_head = self.head is None and not self.sending
            setting = "head_timeout" if at_head else "idle_timeout"
            seconds = self._timeouts.head if at_head else self._timeouts.idle
            raise UpstreamTimeout(f"the upstream was silent for {setting}={seconds:g} s")
        return left
