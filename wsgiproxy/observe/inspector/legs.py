"""The heads of one exchange: the client's leg, and one for each upstream that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from wsgiproxy.observe.inspector import heads
from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.harmless import made
from wsgiproxy.sansio.message import ResponseHead

if TYPE_CHECKING:
    from typing_extensions import Self

    from wsgiproxy.observe.inspector.ring import Ring

__all__ = ["Facts", "Legs"]


# What is made when it is looked at.
_MADE = frozenset(("_asking", "_answer"))


class Facts:
    """What all exchanges have, while they go on and when they are over.

    :param number: counts from 1.
    :param world: which facts those of the request are; see :data:`.heads.READERS`.
    :param facts: of the request, as the server has given them.
    :param scheme: ``http`` or ``https``; also for WebSocket.
    :param mount: of the application, as it stood in the environ or the scope.
    :param ring: what keeps it, and is told when there is something new of it.
    :ivar began: seconds since the epoch.
    :ivar answered: seconds until the head of the answer was given; None for not yet.
    :ivar ended: seconds until all was over.
    :ivar cost: bytes of memory that were counted for it.
    """

    # Each object more, and each dictionary, would cost a request as much as all that is done.
    __slots__ = (
        "_answer_facts",
        "_attempts",
        "_facts",
        "_has_kept",
        "_is_over",
        "_is_whole",
        "_ring",
        "_whole",
        "_world",
        "answered",
        "began",
        "cost",
        "ended",
        "is_forgotten",
        "mount",
        "number",
        "scheme",
        "started",
    )
    # Status and field lines of the answer, as the application has given them.
    _answer_facts: tuple[Any, Any] | None
    _attempts: Sequence[Attempt]
    # A small body that has passed in one block is put into its place when it is looked at.
    _whole: bytes | None
    _is_whole: bool
    answered: float | None
    ended: float | None

    def __init__(
        self, number: int, world: int, facts: Any, scheme: str, mount: str, ring: Ring
    ) -> None:
        self.number = number
        self.scheme = scheme
        self.mount = mount
        self.began = time()
        self.started = monotonic()
        self._ring = ring
        self._world = world
        self._facts = facts
        self.answered = self.ended = self._answer_facts = self._whole = None
        self._attempts = ()
        self._has_kept = self._is_over = self.is_forgotten = False
        self.cost = 0

    def packed(self) -> bytes | None:
        """All of it as one block of bytes; None if there is more of it than heads and a whole body.

        See :meth:`unpack`.
        """
        asked = self._world, self._facts, self._answer_facts
        attempts = [each.facts() for each in self._attempts]
        times = self.began, self.answered, self.ended
        rest = self._whole, self._is_whole, self.scheme, self.mount
        # Not before: one that looks at it may just be giving the body a place.
        if self._has_kept or not _MADE.issuperset(self.__dict__):
            return None
        return heads.packed((asked, attempts, times, rest))

    @classmethod
    def unpack(cls, number: int, packed: bytes, ring: Ring) -> Self:
        """The exchange of that block."""
        asked, attempts, times, rest = heads.unpacked(packed)
        world, facts, answer = asked
        whole, is_whole, scheme, mount = rest
        exchange = cls(number, world, facts, scheme, mount, ring)
        exchange.began, exchange.answered, exchange.ended = times
        exchange._answer_facts = answer
        exchange._attempts = [Attempt.of(each) for each in attempts]
        exchange._whole, exchange._is_whole = whole, is_whole
        exchange._is_over = True
        return exchange


class Legs(Facts):
    """What is made of them when they are looked at."""

    # In the dictionary of the few that are.
    _asking: heads.Asking | None = None
    _answer: ResponseHead | None = None

    @property
    def _asked(self) -> heads.Asking:
        if self._asking is None:
            read, facts = heads.READERS[self._world], self._facts
            unknown = heads.Asking(heads.RequestHead("?", "/", "", []), "")
            self._asking = made(lambda: read(facts)) or unknown
        return self._asking

    @property
    def request(self) -> heads.RequestHead:
        """The head of the request."""
        return self._asked.head

    @property
    def client(self) -> str:
        """The address of the peer; empty where the server does not know it."""
        return self._asked.client

    @property
    def answer(self) -> ResponseHead | None:
        """The head of the answer for the client; None for none yet."""
        facts = self._answer_facts
        if self._answer is None and facts is not None:
            self._answer = made(lambda: heads.answer_head(*facts)) or ResponseHead(0, "", [])
        return self._answer

    @property
    def attempts(self) -> list[Attempt]:
        """One for each upstream that was asked."""
        return [*self._attempts]

    @property
    def weight(self) -> int:
        """Bytes of memory that they take when they are looked at, about."""
        size = heads.weight((self._facts, self._answer_facts))
        return size + sum(heads.weight(each.facts()) for each in self._attempts)
