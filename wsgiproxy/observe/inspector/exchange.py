"""One exchange as it is kept: what the client sent and got, and what each upstream got and sent.

The edges tell it what passes, each in its own thread or event loop; it never waits for a reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.observe.inspector.kept import ARRIVAL, IN_MEMORY, Kept
from wsgiproxy.observe.inspector.legs import Legs
from wsgiproxy.observe.inspector.message import Message
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.message import Origin, Request

__all__ = ["Exchange"]

# WebSocket messages of one exchange: the last ones are kept, with so many bytes of each.
_MESSAGES = 1000
_MESSAGE = 16384
# Bytes of memory for one of them without its data, about.
_NEXT_MESSAGE = 150
# Bytes of them after which they are counted, though the exchange goes on.
_GROWTH = 65536
# Bytes of memory for an exchange without its heads and bodies, measured.
_OBJECT = 1500


class Exchange(Legs):
    """What is kept of one request of a client; parameters and times are those of :class:`.Facts`.

    :ivar is_websocket: it is one, or has gone over to another protocol.
    :ivar errors: in full, in the order of their coming.
    :ivar messages: of a WebSocket, the last of *passed_messages*.
    :ivar replay_of: the number of the exchange whose request was sent again; 0 for none.
    :ivar source: where it comes from, if it is of a file.
    """

    # In the dictionary of the few that have them. Each store into an object costs all of them.
    is_websocket = False
    body: Kept | None = None
    errors: Sequence[str] = ()
    messages: Sequence[Message] = ()
    passed_messages = replay_of = _growth = 0
    source = ""
    _answer_body: Kept | None = None
    #: Bytes of messages that have not come to an end.
    held = 0

    @property
    def answer_body(self) -> Kept | None:
        """The body of the answer for the client; None if there is none yet."""
        whole = self._whole
        if whole is not None:
            body = self.new_body()
            body.add(whole)
            if self.ended is not None:
                body.end(is_whole=self._is_whole)
            # Last: another thread may pack the exchange meanwhile.
            self._answer_body, self._whole = body, None
        return self._answer_body

    @answer_body.setter
    def answer_body(self, body: Kept | None) -> None:
        self._answer_body, self._whole = body, None

    def now(self) -> float:
        """Seconds since it began."""
        return monotonic() - self.started

    def new_body(self) -> Kept:
        """A place for a body that passes."""
        self._has_kept = True
        self._grows()
        body = Kept(self._ring.limits.body, self._ring.spool)
        if self.is_forgotten:
            body.forget()
        return body

    def add_body(self, block: bytes) -> None:
        """A block of the request's body has been read."""
        if self.body is None:
            self.body = self.new_body()
        if self._is_over:
            self._ring.keep_whole(self)
        self.body.add(block)

    def begin_answer(self, status: Any, headers: Any) -> None:
        """The head of the answer goes to the client.

        :param status: as :func:`.answer_head` takes it; the same for *headers*.
        """
        # The application may change its list, and the server has to have what an iterator gives.
        self._answer_facts = status, [*headers] if isinstance(headers, (list, tuple)) else ()
        self.answered = monotonic() - self.started
        if self._has_kept or self._whole is not None:
            if self._answer_body is not None:  # of an answer that never went
                self._answer_body.forget()
            self.answer_body = None
            self._tell()
        elif self._ring.listeners:
            self._tell()
        if self._answer is not None:
            self._answer = None

    def add_answer(self, block: bytes, *, is_all: bool = False) -> None:
        """A block of its body goes to the client.

        :param is_all: there is no other one.
        """
        if (
            is_all
            and self._whole is None
            and not self._has_kept
            and type(block) is bytes
            and len(block) <= IN_MEMORY
            and not self.is_forgotten
            and not self._is_over
        ):
            self._whole = block
            return
        body = self.answer_body
        if body is None:
            self._answer_body = body = self.new_body()
            if not is_all and self._is_stream():
                body.arrivals = []
        if self._is_over:
            self._ring.keep_whole(self)
        if body.arrivals is None:
            body.add(block)
        else:
            before = body.size
            body.add(block, self.now())
            self._grow(body.size - before + ARRIVAL)
            self._tell()

    def _is_stream(self) -> bool:
        answer = self.answer
        kind = value_of(answer.headers, "content-type") if answer is not None else ""
        return kind.lower().startswith("text/event-stream")

    def attempt(
        self, origin: Origin, request: Request, is_changed: bool = False, is_own: bool = False
    ) -> Attempt:
        """A request goes to an upstream.

        :param is_changed: hooks may make other bodies of those that pass.
        :param is_own: it is one of a hook, and not the client's; so are its bodies.
        """
        attempt = Attempt(origin, request, self.started, monotonic() - self.started)
        self._attempts = (*self._attempts, attempt)
        if is_changed or is_own:
            attempt.is_own = is_own
            attempt.body, attempt.answer_body = self.new_body(), self.new_body()
            if self._is_over:  # beside
                self._ring.keep_whole(self)
        if self._ring.listeners or self._has_kept:
            self._tell()
        return attempt

    def _tell(self) -> None:
        """There is something new of it; what was made while it was forgotten goes, too."""
        if self.is_forgotten:
            self._forget_bodies()
        if self._ring.listeners:
            self._ring.tell(self.number)

    @harmless
    def message(
        self,
        kind: str,
        data: bytes,
        *,
        is_from_client: bool,
        size: int = 0,
        seconds: float | None = None,
    ) -> None:
        """A message of a WebSocket passes.

        :param size: all of its bytes, where *data* are its first ones.
        :param seconds: since the exchange began; None for now.
        """
        self.is_websocket = True
        self.passed_messages += 1
        if not self.is_forgotten:
            kept, at = data[:_MESSAGE], self.now() if seconds is None else seconds
            if not isinstance(self.messages, deque):
                self.messages = deque(maxlen=_MESSAGES)
                self._grows()
            self.messages.append(Message(at, is_from_client, kind, kept, size or len(data)))
            self._grow(len(kept))
        self._tell()

    def hold(self, count: int) -> None:
        """So many bytes are held of messages that have not come to an end."""
        more, self.held = count - self.held, count
        if more > 0:
            self._grows()
            self._grow(more)

    def _grows(self) -> None:
        """Count it already while it is under way."""
        if not self.is_forgotten and not self._is_over:
            self._ring.growing[self.number] = self

    def _grow(self, count: int) -> None:
        self._growth += count
        if self._growth > _GROWTH:
            self._growth = 0
            self._ring.relieve()

    @harmless
    def fail(self, error: BaseException) -> None:
        """Note an error in full."""
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, ProxyError) and error.__cause__ is not None:
            text += f" (from {type(error.__cause__).__name__}: {error.__cause__})"
        if text not in self.errors:
            self.errors = [*self.errors, text]
            if self._is_over:
                self._ring.keep_whole(self)

    def end(self, *, is_whole: bool = True) -> None:
        """All is over; a second call does nothing.

        :param is_whole: the client got a whole answer, as far as we know.
        """
        if self._is_over:
            return
        self._is_over = True
        self._is_whole = is_whole
        ended = monotonic() - self.started
        if self._has_kept:
            self._end_bodies(is_whole)
        self.ended = ended
        self._ring.ended.append(self)
        if self._has_kept or self._ring.listeners:
            self._tell()

    @harmless
    def _end_bodies(self, is_whole: bool) -> None:
        if self.body is not None:
            # Of a request that the application has not read to its end, less has passed.
            length = value_of(self.request.headers, "content-length")
            self.body.end(is_whole=length == str(self.body.size) if length else is_whole)
        if self._answer_body is not None:
            self._answer_body.end(is_whole=is_whole)
        for attempt in self._attempts:
            if attempt.body is not None:
                attempt.body.end(is_whole=False)
            if attempt.answer_body is not None:
                attempt.answer_body.end(is_whole=False)

    @property
    def bodies(self) -> list[Kept]:
        """All bodies that have a place of their own."""
        found = [self.body, self._answer_body]
        for attempt in self._attempts:
            found += (attempt.body, attempt.answer_body)
        return [each for each in found if each is not None]

    @property
    def in_memory(self) -> int:
        """Bytes of memory that it takes, about."""
        size = _OBJECT + self.held + self.weight
        if self._whole is not None:
            size += len(self._whole)
        if self.messages:
            size += sum(_NEXT_MESSAGE + len(each.data) for each in list(self.messages))
        if self._has_kept:
            size += sum(body.in_memory for body in self.bodies)
        return size

    def forget(self) -> None:
        """Give up its bodies and messages; what still passes is not kept."""
        self.is_forgotten = True
        self.messages = ()
        self._whole = None
        self._forget_bodies()

    def _forget_bodies(self) -> None:
        if self._has_kept:
            for body in self.bodies:
                body.forget()
