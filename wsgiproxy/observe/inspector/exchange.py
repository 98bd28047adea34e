"""One exchange as it is kept: what the client sent and got, and what each upstream got and sent.

The edges tell it what passes, each in its own thread or event loop; it never waits for a reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from time import monotonic, time
from typing import NamedTuple

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.observe.inspector.kept import ARRIVAL, Kept, Limits, Spool
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.message import Headers, Origin, Request, ResponseHead

__all__ = ["Attempt", "Exchange", "Message", "RequestHead"]

# WebSocket messages of one exchange: the last ones are kept, with so many bytes of each.
_MESSAGES = 1000
_MESSAGE = 16384
# Bytes of them after which they are counted, though the exchange goes on.
_GROWTH = 65536
# Bytes of memory for an exchange without its texts and bodies, measured, and for each field.
_OBJECT, _FIELD = 2500, 150


class RequestHead(NamedTuple):
    """The head of a request at the client's side.

    :param method: token.
    :param target: the request-target.
    :param version: such as ``HTTP/1.1``.
    :param headers: field lines, Host included.
    """

    method: str
    target: str
    version: str
    headers: Headers


class Message(NamedTuple):
    """One message of a WebSocket.

    :param seconds: since the exchange began.
    :param is_from_client: which way it went.
    :param kind: ``text``, ``binary``, ``ping``, ``pong`` or ``close``.
    :param data: its first bytes.
    :param size: all of its bytes.
    """

    seconds: float
    is_from_client: bool
    kind: str
    data: bytes
    size: int


class Attempt:
    """A request to one upstream. All times are seconds since the exchange began; None for not yet.

    :ivar upstream: its name for people.
    :ivar request: as it was sent.
    :ivar is_own: it is one of a hook, and not the client's.
    :ivar began: when it was handed to the transport.
    :ivar connected: when a new connection stood; None for a kept one.
    :ivar sent: when the last block of its body had gone; None if it has none.
    :ivar answered: when the head of its answer had come.
    :ivar ended: when its answer had come to an end, where hooks look at it.
    :ivar answer: the head of its answer.
    :ivar is_reused: the connection had served before.
    :ivar error: why there is no answer.
    :ivar body: what was sent; None if it is that of the client.
    :ivar answer_body: what came; None if the client gets the same.
    """

    __slots__ = (
        "_now",
        "answer",
        "answer_body",
        "answered",
        "began",
        "body",
        "connected",
        "ended",
        "error",
        "is_own",
        "is_reused",
        "request",
        "sent",
        "upstream",
    )

    def __init__(self, origin: Origin, request: Request, now: Callable[[], float]) -> None:
        self.upstream = origin.label
        self.request = request
        self._now = now
        self.began = now()
        self.is_own = self.is_reused = False
        self.connected: float | None = None
        self.sent: float | None = None
        self.answered: float | None = None
        self.ended: float | None = None
        self.answer: ResponseHead | None = None
        self.error = ""
        self.body: Kept | None = None
        self.answer_body: Kept | None = None

    @harmless
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

    @harmless
    def take(self, head: ResponseHead, *, is_reused: bool) -> None:
        """The head of the answer has come."""
        self.answered = self._now()
        self.answer = head
        self.is_reused = is_reused

    @harmless
    def fail(self, error: BaseException) -> None:
        """There is no answer, or it breaks off."""
        self.ended = self._now()
        self.error = self.error or f"{type(error).__name__}: {error}"

    @harmless
    def end(self, *, is_whole: bool) -> None:
        """The answer has ended."""
        self.ended = self._now()
        if self.answer_body is not None:
            self.answer_body.end(is_whole=is_whole)


class Exchange:
    """What is kept of one request of a client.

    :param number: counts from 1.
    :param request: its head.
    :param client: the address of the peer; empty where the server does not know it.
    :param scheme: ``http`` or ``https``; also for WebSocket.
    :param limits: how much is kept.
    :param spool: where long bodies go.
    :param changed: called when there is something new of it.
    :param grown: called when it has got larger, and goes on.
    :ivar began: seconds since the epoch.
    :ivar is_websocket: it is one, or has gone over to another protocol.
    :ivar answer: the head of the answer for the client.
    :ivar answered: when it was given, in seconds since the beginning; None for not yet.
    :ivar ended: when all was over.
    :ivar errors: in full, in the order of their coming.
    :ivar attempts: one for each upstream that was asked.
    :ivar messages: of a WebSocket, the last ones.
    :ivar passed_messages: how many there were.
    :ivar replay_of: the number of the exchange whose request was sent again; 0 for none.
    :ivar source: where it comes from, if it is of a file.
    """

    def __init__(
        self,
        number: int,
        request: RequestHead,
        client: str,
        scheme: str,
        limits: Limits,
        spool: Spool,
        changed: Callable[[Exchange], None],
        grown: Callable[[], None],
    ) -> None:
        self.number = number
        self.request = request
        self.client = client
        self.scheme = scheme
        self.began = time()
        self.started = monotonic()
        self._limits = limits
        self._spool = spool
        self._changed = changed
        self._grown = grown
        self._growth = 0
        self.is_websocket = self.is_forgotten = False
        self.body: Kept | None = None
        self.answer: ResponseHead | None = None
        self.answer_body: Kept | None = None
        self.answered: float | None = None
        self.ended: float | None = None
        self.errors: list[str] = []
        self.attempts: list[Attempt] = []
        self.messages: deque[Message] = deque(maxlen=_MESSAGES)
        self.passed_messages = 0
        #: Bytes of messages that have not come to an end.
        self.held = 0
        self.replay_of = 0
        self.source = ""
        #: The mount of the application, as it stood in the environ or the scope.
        self.mount = ""

    def now(self) -> float:
        """Seconds since it began."""
        return monotonic() - self.started

    def new_body(self) -> Kept:
        """A place for a body that passes."""
        return Kept(0 if self.is_forgotten else self._limits.body, self._spool)

    def add_body(self, block: bytes) -> None:
        """A block of the request's body has been read."""
        if self.body is None:
            self.body = self.new_body()
            if self.is_forgotten:
                self.body.forget()
        self.body.add(block)

    def begin_answer(self, head: ResponseHead) -> None:
        """The head of the answer goes to the client."""
        self.answer = head
        self.answered = self.now()
        if self.answer_body is not None:  # of an answer that never went
            self.answer_body.forget()
        self.answer_body = self.new_body()
        if any(
            len(name) == 12
            and name.lower() == "content-type"
            and value.lower().startswith("text/event-stream")
            for name, value in head.headers
        ):
            self.answer_body.arrivals = []
        self._settle()

    def add_answer(self, block: bytes) -> None:
        """A block of its body goes to the client."""
        body = self.answer_body
        if body is None:
            return
        if body.arrivals is None:
            body.add(block)
        else:
            before = body.size
            body.add(block, self.now())
            self._grow(body.size - before + ARRIVAL)
            self._changed(self)

    def attempt(self, origin: Origin, request: Request, *, is_changed: bool) -> Attempt:
        """The request goes to an upstream.

        :param is_changed: hooks may make other bodies of those that pass.
        """
        attempt = Attempt(origin, request, self.now)
        if is_changed:
            attempt.body, attempt.answer_body = self.new_body(), self.new_body()
        self.attempts.append(attempt)
        self._settle()
        return attempt

    def _settle(self) -> None:
        """There is something new of it; what was made while it was forgotten goes, too."""
        if self.is_forgotten:
            for body in self.bodies:
                body.forget()
        self._changed(self)

    @harmless
    def message(self, kind: str, data: bytes, *, is_from_client: bool, size: int = 0) -> None:
        """A message of a WebSocket passes.

        :param size: all of its bytes, where *data* are its first ones.
        """
        self.is_websocket = True
        self.passed_messages += 1
        if not self.is_forgotten:
            kept = data[:_MESSAGE]
            self.messages.append(Message(self.now(), is_from_client, kind, kept, size or len(data)))
            self._grow(len(kept))
        self._changed(self)

    def hold(self, count: int) -> None:
        """So many bytes are held of messages that have not come to an end."""
        more, self.held = count - self.held, count
        if more > 0:
            self._grow(more)

    def _grow(self, count: int) -> None:
        self._growth += count
        if self._growth > _GROWTH:
            self._growth = 0
            self._grown()

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
        self.ended = self.now()
        if self.body is not None:
            length = value_of(self.request.headers, "content-length")
            self.body.end(is_whole=length == str(self.body.size) if length else is_whole)
        if self.answer_body is not None:
            self.answer_body.end(is_whole=is_whole)
        for attempt in self.attempts:
            for body in (attempt.body, attempt.answer_body):
                if body is not None:
                    body.end(is_whole=False)
        self._changed(self)

    @property
    def bodies(self) -> Iterator[Kept]:
        """All bodies that are kept of it."""
        pairs = [(self.body, self.answer_body)]
        pairs += [(attempt.body, attempt.answer_body) for attempt in self.attempts]
        for pair in pairs:
            yield from filter(None, pair)

    @property
    def in_memory(self) -> int:
        """Bytes of memory that it takes, about."""
        heads = [self.request.headers, self.answer.headers if self.answer else []]
        for attempt in self.attempts:
            heads.append(attempt.request.headers)
            if attempt.answer is not None and attempt.answer is not self.answer:
                heads.append(attempt.answer.headers)
        fields = sum(_FIELD + len(name) + len(value) for head in heads for name, value in head)
        messages = sum(_FIELD + len(each.data) for each in list(self.messages))
        bodies = sum(body.in_memory for body in self.bodies)
        return _OBJECT + len(self.request.target) + fields + messages + bodies + self.held

    def forget(self) -> None:
        """Give up its bodies and messages; what still passes is not kept."""
        self.is_forgotten = True
        self.messages.clear()
        for body in self.bodies:
            body.forget()
