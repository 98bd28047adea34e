"""What was asked of one upstream, and what came back.

The edges tell it what passes, each in its own thread or event loop; it never waits for a reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from time import monotonic
from typing import Any

from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.observe.inspector.kept import Kept
from wsgiproxy.sansio.h1.head_lines import head_lines
from wsgiproxy.sansio.message import Origin, Request, ResponseHead

__all__ = ["Attempt"]


class _Hot:
    """What all attempts have."""

    __slots__ = (
        "_came",
        "_request",
        "_sent",
        "_started",
        "answered",
        "began",
        "is_reused",
        "origin",
    )
    answered: float | None
    # The heads: their bytes, which need no other objects, where the transport has shown them.
    _request: Request | None
    _sent: bytes
    _came: ResponseHead | bytes | None


class Attempt(_Hot):
    """A request to one upstream. All times are seconds since the exchange began; None for not yet.

    :param origin: the upstream.
    :param started: when the exchange began, by the clock of :func:`time.monotonic`.
    :param began: when it was handed to the transport.
    :ivar is_own: it is one of a hook, and not the client's.
    :ivar connected: when a new connection stood; None for a kept one.
    :ivar sent: when the last block of its body had gone; None if it has none.
    :ivar answered: when the head of its answer had come.
    :ivar ended: when its answer had come to an end, where hooks look at it.
    :ivar is_reused: the connection had served before.
    :ivar error: why there is no answer.
    :ivar body: what was sent; None if it is that of the client.
    :ivar answer_body: what came; None if the client gets the same.
    """

    # In the dictionary of the few that have them.
    is_own = False
    connected: float | None = None
    sent: float | None = None
    ended: float | None = None
    error = ""
    body: Kept | None = None
    answer_body: Kept | None = None

    def __init__(
        self, origin: Origin, request: Request | None, started: float, began: float
    ) -> None:
        self.origin = origin
        self.began = began
        self._started = started
        self._request = request
        self._sent = b""
        self._came = self.answered = None
        self.is_reused = False

    def facts(self) -> tuple[Any, ...]:
        """All of it; see :meth:`of`."""
        rest = self.__dict__
        asked: Any = self._sent or (*(self._request or ()),)
        told: Any = self._came
        if type(told) is ResponseHead:
            told = (*told,)
        times = self.began, self.answered
        return (*self.origin,), asked, told, times, self.is_reused, rest or None

    @classmethod
    def of(cls, facts: tuple[Any, ...]) -> Attempt:
        """The attempt of these facts."""
        origin, asked, told, (began, answered), is_reused, rest = facts
        attempt = cls(Origin(*origin), None, 0.0, began)
        if isinstance(asked, bytes):
            attempt._sent = asked
        else:
            attempt._request = Request(*asked)
        attempt._came = ResponseHead(*told) if isinstance(told, tuple) else told
        attempt.answered, attempt.is_reused = answered, is_reused
        attempt.__dict__.update(rest or {})
        return attempt

    @property
    def request(self) -> Request:
        """What was sent; its framing is among its fields, where it is known byte for byte."""
        if self._sent:
            (method, target, _), headers = head_lines(self._sent)
            return Request(method, target, headers)
        return self._request or Request("?", "/", [])

    @property
    def answer(self) -> ResponseHead | None:
        """The head of its answer; None for none."""
        came = self._came
        if not isinstance(came, bytes):
            return came
        (_, status, reason), headers = head_lines(came)
        return ResponseHead(int(status) if status.isdecimal() else 0, reason, headers)

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

    def send(self, head: bytes) -> None:
        """The bytes of the head that is sent."""
        self._sent = head

    def take(self, head: ResponseHead, is_reused: bool, raw: bytes = b"") -> None:
        """The head of the answer has come.

        :param raw: its bytes; empty if only the head is known.
        """
        self.answered = monotonic() - self._started
        self._came = raw if raw and type(raw) is bytes else head
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
