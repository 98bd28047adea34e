"""One exchange as it is kept: what the client sent and got, and what each upstream got and sent.

The edges tell it what passes, each in its own thread or event loop; it never waits for a reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import TYPE_CHECKING

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.inspector import heads
from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.harmless import harmless, made
from wsgiproxy.observe.inspector.kept import ARRIVAL, IN_MEMORY, Kept
from wsgiproxy.observe.inspector.message import Message
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.message import Origin, Request, ResponseHead

if TYPE_CHECKING:
    from wsgiproxy.observe.inspector.ring import Ring

__all__ = ["Exchange"]

# WebSocket messages of one exchange: the last ones are kept, with so many bytes of each.
_MESSAGES = 1000
_MESSAGE = 16384
# Bytes of them after which they are counted, though the exchange goes on.
_GROWTH = 65536
# Bytes of memory for an exchange without its texts and bodies, measured.
_OBJECT = 2500


class Exchange:
    """What is kept of one request of a client.

    :param number: counts from 1.
    :param source: what its head is made of, when it is looked at.
    :param scheme: ``http`` or ``https``; also for WebSocket.
    :param ring: what keeps it, and is told when there is something new of it.
    :ivar began: seconds since the epoch.
    :ivar is_websocket: it is one, or has gone over to another protocol.
    :ivar answered: seconds until the head of the answer was given; None for not yet.
    :ivar ended: seconds until all was over.
    :ivar errors: in full, in the order of their coming.
    :ivar attempts: one for each upstream that was asked.
    :ivar messages: of a WebSocket, the last of *passed_messages*.
    :ivar replay_of: the number of the exchange whose request was sent again; 0 for none.
    :ivar source: where it comes from, if it is of a file.
    :ivar mount: of the application, as it stood in the environ or the scope.
    """

    # Most exchanges change few of them.
    is_websocket = is_forgotten = False
    body: Kept | None = None
    answered: float | None = None
    ended: float | None = None
    messages: Sequence[Message] = ()
    passed_messages = replay_of = _growth = 0
    source = mount = ""
    _request: heads.RequestHead | None = None
    _answer: ResponseHead | None = None
    _make_answer: Callable[[], ResponseHead] | None = None
    _answer_fields: heads.Packed | None = None
    # A small body that has passed in one block is put into its place when it is looked at.
    _whole: bytes | None = None
    _answer_body: Kept | None = None
    _is_whole = _has_kept = False
    #: Bytes that were counted for it.
    cost = 0
    #: Bytes of messages that have not come to an end.
    held = 0

    def __init__(
        self,
        number: int,
        source: heads.Source,
        scheme: str,
        ring: Ring,
    ) -> None:
        self.number = number
        self.scheme = scheme
        self._source = source
        self._ring = ring
        self.began = time()
        self.started = monotonic()
        self.errors: list[str] = []
        self.attempts: list[Attempt] = []

    @property
    def request(self) -> heads.RequestHead:
        """The head of the request."""
        if self._request is None:
            self._request = made(self._source.request) or heads.RequestHead("?", "/", "", [])
        return self._request

    @property
    def client(self) -> str:
        """The address of the peer; empty where the server does not know it."""
        return self._source.client()

    @property
    def answer(self) -> ResponseHead | None:
        """The head of the answer for the client; None for none yet."""
        make = self._make_answer
        if self._answer is None and make is not None:
            self._answer = made(make) or ResponseHead(0, "", [])
        return self._answer

    @property
    def answer_body(self) -> Kept | None:
        """The body of the answer for the client; None if there is none yet."""
        whole, self._whole = self._whole, None
        if whole is not None:
            body = self.new_body()
            body.add(whole)
            if self.ended is not None:
                body.end(is_whole=self._is_whole)
            self._answer_body = body
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
        body = Kept(self._ring.limits.body, self._ring.spool)
        if self.is_forgotten:
            body.forget()
        return body

    def add_body(self, block: bytes) -> None:
        """A block of the request's body has been read."""
        if self.body is None:
            self.body = self.new_body()
        self.body.add(block)

    def begin_answer(self, head: ResponseHead | heads.AnswerSource) -> None:
        """The head of the answer goes to the client.

        :param head: or what makes it, when it is looked at.
        """
        if isinstance(head, ResponseHead):
            self._answer, self._answer_fields = head, heads.Packed(head.headers)
        else:
            self._answer, self._make_answer = None, head.answer
            self._answer_fields = head.fields
        self.answered = monotonic() - self.started
        if self._answer_body is not None:  # of an answer that never went
            self._answer_body.forget()
        self.answer_body = None
        self._tell()

    def add_answer(self, block: bytes, *, is_all: bool = False) -> None:
        """A block of its body goes to the client.

        :param is_all: there is no other one.
        """
        body = self.answer_body
        if body is None:
            if (
                is_all
                and type(block) is bytes
                and len(block) <= IN_MEMORY
                and not self.is_forgotten
            ):
                self._whole = block
                return
            self._answer_body = body = self.new_body()
            if not is_all and self._is_stream():
                body.arrivals = []
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

    def attempt(self, origin: Origin, request: Request, *, is_changed: bool) -> Attempt:
        """The request goes to an upstream.

        :param is_changed: hooks may make other bodies of those that pass.
        """
        attempt = Attempt(origin, request, self.started)
        if is_changed:
            attempt.body, attempt.answer_body = self.new_body(), self.new_body()
        self.attempts.append(attempt)
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
            self.messages.append(Message(at, is_from_client, kind, kept, size or len(data)))
            self._grow(len(kept))
        self._tell()

    def hold(self, count: int) -> None:
        """So many bytes are held of messages that have not come to an end."""
        more, self.held = count - self.held, count
        if more > 0:
            self._grow(more)

    def _grow(self, count: int) -> None:
        self._growth += count
        if self._growth > _GROWTH:
            self._growth = 0
            self._ring.settle()

    @harmless
    def fail(self, error: BaseException) -> None:
        """Note an error in full."""
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, ProxyError) and error.__cause__ is not None:
            text += f" (from {type(error.__cause__).__name__}: {error.__cause__})"
        if text not in self.errors:
            self.errors.append(text)

    @harmless
    def end(self, *, is_whole: bool = True) -> None:
        """All is over; a second call does nothing.

        :param is_whole: the client got a whole answer, as far as we know.
        """
        if self.ended is not None:
            return
        self._is_whole = is_whole
        self.ended = monotonic() - self.started
        if self._has_kept:
            self._end_bodies(is_whole)
        self._ring.ended.append(self)
        self._tell()

    def _end_bodies(self, is_whole: bool) -> None:
        if self.body is not None:
            # Of a request that the application has not read to its end, less has passed.
            length = value_of(self.request.headers, "content-length")
            self.body.end(is_whole=length == str(self.body.size) if length else is_whole)
        if self._answer_body is not None:
            self._answer_body.end(is_whole=is_whole)
        for attempt in self.attempts:
            if attempt.body is not None:
                attempt.body.end(is_whole=False)
            if attempt.answer_body is not None:
                attempt.answer_body.end(is_whole=False)

    @property
    def bodies(self) -> list[Kept]:
        """All bodies that have a place of their own."""
        found = [self.body, self._answer_body]
        for attempt in self.attempts:
            found += (attempt.body, attempt.answer_body)
        return [each for each in found if each is not None]

    @property
    def in_memory(self) -> int:
        """Bytes of memory that it takes, about."""
        size = _OBJECT + self.held + self._source.size
        if self._answer_fields is not None:
            size += self._answer_fields.size
        for attempt in self.attempts:
            size += attempt.size
        if self._whole is not None:
            size += len(self._whole)
        if self.messages:
            size += sum(heads.FIELD + len(each.data) for each in list(self.messages))
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
