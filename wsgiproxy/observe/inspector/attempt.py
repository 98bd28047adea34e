"""What was asked of one upstream, and what came back.

The edges tell it what passes, each in its own thread or event loop; it never waits for a reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from time import monotonic

from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.observe.inspector.heads import Packed
from wsgiproxy.observe.inspector.kept import Kept
from wsgiproxy.sansio.message import Origin, Request, ResponseHead

__all__ = ["Attempt"]


class Attempt:
    """A request to one upstream. All times are seconds since the exchange began; None for not yet.

    :ivar origin: the upstream.
    :ivar is_own: it is one of a hook, and not the client's.
    :ivar began: when it was handed to the transport.
    :ivar connected: when a new connection stood; None for a kept one.
    :ivar sent: when the last block of its body had gone; None if it has none.
    :ivar answered: when the head of its answer had come.
    :ivar ended: when its answer had come to an end, where hooks look at it.
    :ivar is_reused: the connection had served before.
    :ivar error: why there is no answer.
    :ivar body: what was sent; None if it is that of the client.
    :ivar answer_body: what came; None if the client gets the same.
    """

    # Most attempts change few of them.
    is_own = is_reused = False
    connected: float | None = None
    sent: float | None = None
    answered: float | None = None
    ended: float | None = None
    error = ""
    _answer: tuple[int, str, Packed] | None = None
    body: Kept | None = None
    answer_body: Kept | None = None

    def __init__(self, origin: Origin, request: Request, started: float) -> None:
        self.origin = origin
        headers = Packed(request.headers)
        framing = request.content_length, request.chunked, request.upgrade
        self._asked = request.method, request.target, headers, framing
        #: Bytes of memory for its heads, about.
        self.size = headers.size
        self._started = started
        self.began = monotonic() - started

    @property
    def request(self) -> Request:
        """What was sent."""
        method, target, headers, (length, is_chunked, upgrade) = self._asked
        return Request(method, target, headers.pairs(), length, is_chunked, upgrade=upgrade)

    @property
    def answer(self) -> ResponseHead | None:
        """The head of its answer; None for none."""
        if self._answer is None:
            return None
        status, reason, headers = self._answer
        return ResponseHead(status, reason, headers.pairs())

    @property
    def upstream(self) -> str:
        """Its name for people."""
        return self.origin.label

    def _now(self) -> float:
        return monotonic() - self._started

    def connect(self) -> None:
        """A new connection stands."""
        self.connected = self._now()

    def blocks(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The blocks of the body that is sent."""
        for block in body:
            if self.body is not None:
                self.body.add(block)
            yield block
        self._end_body()

    async def async_blocks(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same in an event loop."""
        async for block in body:
            if self.body is not None:
                self.body.add(block)
            yield block
        self._end_body()

    def _end_body(self) -> None:
        self.sent = self._now()
        if self.body is not None:
            self.body.end()

    def take(self, head: ResponseHead, *, is_reused: bool) -> None:
        """The head of the answer has come."""
        self.answered = self._now()
        headers = Packed(head.headers)
        self._answer = head.status, head.reason, headers
        self.size += headers.size
        self.is_reused = is_reused

    @harmless
    def fail(self, error: BaseException) -> None:
        """There is no answer, or it breaks off."""
        self.ended = self._now()
        self.error = self.error or f"{type(error).__name__}: {error}"

    def end(self, *, is_whole: bool) -> None:
        """The answer has ended."""
        self.ended = self._now()
        if self.answer_body is not None:
            self.answer_body.end(is_whole=is_whole)
