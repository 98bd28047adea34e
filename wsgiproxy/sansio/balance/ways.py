"""Ways of choosing among members that can be chosen; health and limits are not theirs to judge."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from hashlib import blake2b
from itertools import chain
from typing import Protocol

from wsgiproxy.sansio.balance.member import Member

__all__ = ["Least", "Rendezvous", "Rotation", "TwoChoices", "Way", "smooth"]

#: Whether a member is not to be chosen for this request.
Refuses = Callable[[Member], bool]

# Additions to make the order of the rotation in nginx's way, a few milliseconds.
_STEPS = 100_000
# Members for which a look at each is faster than a heap.
_FEW = 8
# Values whose member is remembered, and their characters: clients can make them up.
_KNOWN = 10_000
_LONG = 256
_MASK = (1 << 64) - 1


class Way(Protocol):
    """A way of choosing: it has members, and picks one of them."""

    def fill(self, members: Sequence[Member], turn: Sequence[Member]) -> None:
        """Take these members in place of the old ones.

        :param members: at least one, in any order.
        :param turn: the same, each as often as its weight says, spread out.
        """

    def pick(self, value: str, refuses: Refuses | None = None) -> Member | None:
        """The member for *value*; with *refuses*, one that it does not refuse, or None."""


def smooth(members: Sequence[Member]) -> list[Member]:
    """One turn of the weighted rotation: each member as often as its weight says, spread out.

    The order is that of nginx's smooth weighted round-robin. Where that would take long, each
    place of a member lies at the same distance from its next, which lets equal ones bunch more.

    >>> members = [Member("a", 5), Member("b", 1), Member("c", 1)]
    >>> "".join(member.key for member in smooth(members))
    'aabacaa'
    """
    divisor = reduce(math.gcd, (member.weight for member in members), 0)
    weights = [member.weight // divisor for member in members]
    total = sum(weights)
    if total == len(members):
        return list(members)
    if total * len(members) > _STEPS:
        places = sorted(
            ((place + 0.5) / weight, index)
            for index, weight in enumerate(weights)
            for place in range(weight)
        )
        return [members[index] for _, index in places]
    current = [0] * len(members)
    turn = []
    for _ in range(total):
        current = [now + weight for now, weight in zip(current, weights, strict=True)]
        best = current.index(max(current))
        current[best] -= total
        turn.append(members[best])
    return turn


class Rotation:
    """One after the other, by weight.

    :param start: where in the first turn it begins, from 0 to 1: processes that begin at
        different places do not all send their first request to the first member.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._start = start
        self._turn: Sequence[Member] = ()
        self._next = 0

    def fill(self, members: Sequence[Member], turn: Sequence[Member]) -> None:
        """Take these members; the turn goes on where it was."""
        if self._turn:
            kept = set(members)
            self._next = sum(member in kept for member in self._turn[: self._next])
        else:
            self._next = int(self._start * len(turn))
        self._turn = turn
        self._next %= len(turn)

    def pick(self, value: str, refuses: Refuses | None = None) -> Member | None:
        """The next member."""
        turn = self._turn
        index = self._next
        if refuses is None:
            self._next = index + 1 if index + 1 < len(turn) else 0
            return turn[index]
        for place in chain(range(index, len(turn)), range(index)):
            if not refuses(turn[place]):
                self._next = (place + 1) % len(turn)
                return turn[place]
        return None


class Least:
    """The member with the fewest requests in flight by weight; of equals, the one served least.

    Few members are looked at one by one. Many lie in a heap: one whose load changes gets a new
    entry, and its old ones are skipped, so that a choice takes log n steps.
    """

    def __init__(self) -> None:
        self._few: Sequence[Member] = ()
        self._heap: list[tuple[float, float, int, Member]] = []
        self._stamp = 0
        self._longest = 0
        self._served = 0.0

    def fill(self, members: Sequence[Member], turn: Sequence[Member]) -> None:
        """Take these members. Those that were away have not saved up turns."""
        for member in (*self._few, *(entry[3] for entry in self._heap)):
            member.stamp = 0
        self._few = members if len(members) <= _FEW else ()
        self._longest = 4 * len(members) + 64
        self._heap = []
        for member in members:
            member.served = max(member.served, self._served)
            if not self._few:
                self._stamp = member.stamp = self._stamp + 1
                load = member.in_flight / member.weight
                self._heap.append((load, member.served, member.stamp, member))
        heapq.heapify(self._heap)

    def changed(self, member: Member, is_chosen: bool) -> None:
        """Note that *member* has one more request in flight, or one less."""
        heap = self._heap
        weight = member.weight
        old = member.stamp
        if is_chosen:
            self._served = member.served
            member.served += 1 / weight
        if not old:
            return
        self._stamp = member.stamp = stamp = self._stamp + 1
        entry = (member.in_flight / weight, member.served, stamp, member)
        if heap[0][2] == old:
            heapq.heapreplace(heap, entry)
            return
        heapq.heappush(heap, entry)
        if len(heap) > self._longest:
            self._heap = [entry for entry in heap if entry[2] == entry[3].stamp]
            heapq.heapify(self._heap)

    def pick(self, value: str, refuses: Refuses | None = None) -> Member | None:
        """The member with the least load."""
        if self._few:
            return self._of_few(refuses)
        heap = self._heap
        aside = []
        found = None
        while heap:
            _, _, stamp, member = heap[0]
            if stamp != member.stamp:
                heapq.heappop(heap)
            elif refuses is not None and refuses(member):
                aside.append(heapq.heappop(heap))
            else:
                found = member
                break
        for entry in aside:
            heapq.heappush(heap, entry)
        return found

    def _of_few(self, refuses: Refuses | None) -> Member | None:
        found = None
        least = math.inf
        for member in self._few:
            if refuses is not None and refuses(member):
                continue
            load = member.in_flight / member.weight
            if load < least or (load == least and found and member.served < found.served):
                found, least = member, load
        return found


class TwoChoices:
    """The less loaded of two members drawn by weight.

    Nearly as good as the least of all, and better where many proxies choose at once: they do not
    all run to the same member (Mitzenmacher, "The power of two choices", 2001).

    :param number: the next random number, from 0 to below 1.
    """

    def __init__(self, number: Callable[[], float]) -> None:
        self._number = number
        self._places: Sequence[Member] = ()

    def fill(self, members: Sequence[Member], turn: Sequence[Member]) -> None:
        """Take these members."""
        self._places = turn

    def pick(self, value: str, refuses: Refuses | None = None) -> Member | None:
        """The better of two."""
        places = self._places
        if refuses is not None:
            places = [member for member in places if not refuses(member)]
        count = len(places)
        if count < 2:
            return places[0] if places else None
        first = int(self._number() * count)
        second = int(self._number() * (count - 1))
        one, other = places[first], places[second + (second >= first)]
        if other.in_flight * one.weight < one.in_flight * other.weight:
            return other
        return one


class Rendezvous:
    """The member that a value belongs to, the same in every process: the highest of the scores
    that value and member have together (Thaler and Ravishankar, 1996), by weight.

    A member that goes takes only its own values along, and one that comes takes its share alone.
    Values are not secret, and the scores are no defence against a client that makes them up.
    """

    def __init__(self) -> None:
        self.members: Sequence[Member] = ()
        self._all: list[tuple[Member, int]] = []
        self._home: dict[str, Member] = {}
        self._ready: list[tuple[Member, int]] = []
        self._away: dict[str, Member] = {}

    def update(self, members: Sequence[Member]) -> None:
        """Take a new list of all members, also of those that cannot be chosen now."""
        self.members = members
        self._all = [(member, _number(member.key)) for member in members]
        self._home = {}

    def fill(self) -> None:
        """Note who can be chosen, which those with a limit of 0 or more are."""
        self._ready = [pair for pair in self._all if pair[0].limit >= 0]
        self._away = {}

    def pick(self, value: str, refuses: Refuses | None = None) -> Member | None:
        """The member of *value*, or the next in its order."""
        if refuses is None:
            found = self._home.get(value)
            if found is None:
                found = self._known(self._home, value, self._all)
            if found.limit < 0:
                found = self._away.get(value) or self._known(self._away, value, self._ready)
            return found
        left = [pair for pair in self._ready if not refuses(pair[0])]
        return self._best(value, left) if left else None

    def _known(
        self, known: dict[str, Member], value: str, pairs: Sequence[tuple[Member, int]]
    ) -> Member:
        found = self._best(value, pairs)
        if len(value) <= _LONG:
            if len(known) >= _KNOWN:
                known.clear()
            known[value] = found
        return found

    def _best(self, value: str, pairs: Sequence[tuple[Member, int]]) -> Member:
        return min(self._scores(value, pairs))[2]

    @staticmethod
    def _scores(
        value: str, seeds: Sequence[tuple[Member, int]]
    ) -> Iterator[tuple[float, str, Member]]:
        number = _number(value)
        for member, seed in seeds:
            # The mixing function of SplitMix64: every bit of its result hangs on every bit.
            mixed = number ^ seed
            mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
            mixed ^= mixed >> 31
            # The least of exponential variables belongs to each with a chance like its rate.
            yield -math.log((mixed + 1) / (_MASK + 2)) / member.weight, member.key, member


def _number(text: str) -> int:
    data = text.encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
