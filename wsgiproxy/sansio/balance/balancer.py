"""Choosing one of several upstreams for each request, and learning from how requests end.

It is called by one thread at a time: the caller holds a lock, for which both calls of a request are
short enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance.member import NO_LIMIT, Health, Member, Outcome
from wsgiproxy.sansio.balance.policies import parse_policy
from wsgiproxy.sansio.balance.roster import Roster
from wsgiproxy.sansio.balance.ways import Least, Rendezvous, Rotation, TwoChoices, Way

if TYPE_CHECKING:
    from random import Random

__all__ = ["SESSIONS", "Balancer"]

#: Sessions whose upstream is remembered; the ones that were asked for longest ago are forgotten.
SESSIONS = 10_000
# Characters; the identifiers of MCP have 36.
_LONG = 256

_GOOD = Outcome.GOOD


class Balancer:
    """Chooses an upstream for each request.

    **Passive health.** A member that fails some times in a row (:class:`Health`) is put aside for
    a pause. After it one request, which the policy would have sent there anyway, is its probe: a
    good end brings it back, a failure begins a pause twice as long. While its probe is open it
    gets no other request. This is a circuit breaker, closed, open and half open; there is no second
    one. An answer of 429 is about the client and counts neither way: a breaker that opened on it
    would let one greedy client take an upstream from all. The first end of a request tells how the
    probe went, also if the request is an older one that was in flight before the pause.

    **Panic.** A single member is never put aside. If all of several are, they are chosen as if all
    were up: a try is better than a certain 503, and all the load on one of them would be too much
    for the first that recovers (Envoy does so below a half, and calls it the panic mode). As soon
    as one of them answers, the others get their probe. A request for which all that are up have
    been tried goes to the one that resumes first. Members that fail active checks come last.

    **Room.** A member with *max_in_flight* requests is full and is passed over. With ``sticky``
    and ``session``, a request whose own upstream is up and full has to wait for it, since the
    others do not know its session; if that upstream is put aside, another one is chosen.

    :param policy: ``round-robin``, smooth and weighted; ``least``, the fewest requests in flight
        by weight; ``two-choices``, the better of two drawn; ``hash:client`` and ``hash:HEADER``,
        the same upstream for the same value; ``sticky``, the upstream that a cookie names;
        ``session:HEADER``, the upstream that a session came from. Without a value, the latter
        three choose as ``round-robin``.
    :param members: a key and a weight, from 1 to 256, of each.
    :param health: the limits of passive health.
    :param max_in_flight: requests at each member at a time; None for any number.
    :param random: random numbers: for two-choices, and for where the rotation begins. Without
        it, it begins with the first, and two-choices draws the same numbers each time.
    :raises ConfigurationError: an unknown policy, no members, one twice, or a bad number.

    >>> balancer = Balancer("round-robin", [("a:80", 2), ("b:80", 1)])
    >>> for _ in range(3):
    ...     member = balancer.choose(now=0.0)
    ...     print(member.key)
    ...     balancer.end(member, now=0.1, outcome=Outcome.GOOD)
    a:80
    b:80
    a:80
    """

    def __init__(
        self,
        policy: str,
        members: Sequence[tuple[str, int]],
        *,
        health: Health = Health(),  # noqa: B008 - immutable
        max_in_flight: int | None = None,
        random: Random | None = None,
    ) -> None:
        self._kind, self.wants = parse_policy(policy)
        self.policy = policy
        if not members:
            raise ConfigurationError("an empty list of upstreams: expected at least one")
        if max_in_flight is not None and max_in_flight < 1:
            raise ConfigurationError(
                f"max_in_flight={max_in_flight!r}: expected 1 or more, or None"
            )
        self._room = NO_LIMIT if max_in_flight is None else max_in_flight
        number = _numbers().__next__ if random is None else random.random
        self._way: Way
        self._changed: Callable[[Member, bool], None] | None = None
        if self._kind == "least":
            self._way = least = Least()
            self._changed = least.changed
        elif self._kind == "two-choices":
            self._way = TwoChoices(number)
        else:
            self._way = Rotation(0.0 if random is None else number())
        self._hashed = Rendezvous() if self._kind == "hash" else None
        self._has_owners = self._kind in ("sticky", "session")
        self._sessions: dict[str, str] = {}
        self._roster = Roster(health, self._room, self._fill)
        self.update(members)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, in the order of the list."""
        return self._roster.members

    def choose(self, now: float, value: str = "", tried: Sequence[Member] = ()) -> Member | None:
        """The member for a request, which is counted as in flight there.

        :param now: seconds of a monotonic clock.
        :param value: what *wants* asks for: the client's address, the value of the header field,
            the key that a sticky cookie names, or the session; empty if there is none.
        :param tried: members that have had this request and are not to have it again.
        :return: None if all that are not in *tried* are full, or if there is none.
        """
        if now < self._roster.due and not tried and not value:
            member = self._way.pick("")
            if member is not None and member.in_flight < member.limit:
                member.in_flight += 1
                if self._changed is not None:
                    self._changed(member, True)
                return member
            # It may be due for its probe; a rotation has already passed it.
            if member is not None and self._roster.has_room(member, now):
                return self._taken(member, now)
        return self._search(now, value, tried)

    def end(self, member: Member, now: float, outcome: Outcome) -> None:
        """Count out a request, once for each member that was chosen, and learn from its end.

        :param member: what :meth:`choose` gave; it may have been removed meanwhile.
        :param now: seconds of a monotonic clock.
        :param outcome: how the request ended.
        """
        member.in_flight -= 1
        if self._changed is not None:
            self._changed(member, False)
        # A member that is not up has failed at least once.
        if member.fails or outcome is not _GOOD:
            self._roster.learn(member, now, outcome)

    def answered(self, member: Member, now: float) -> None:
        """Note that the head of a good answer has come, while its body is still to follow.

        For a probe whose answer may last for hours, such as a stream: it need not end first.
        Worth a call only if ``member.fails`` is not 0.

        :param member: what :meth:`choose` gave.
        :param now: seconds of a monotonic clock.
        """
        self._roster.learn(member, now, _GOOD)

    def forget(self) -> None:
        """Note that all requests in progress, and probes, are those of another process."""
        self._roster.forget()

    def begin(self, member: Member) -> None:
        """Count a request for a member that something else has chosen, such as a hook."""
        member.in_flight += 1
        if self._changed is not None:
            self._changed(member, True)

    def rest(self, member: Member, until: float) -> None:
        """Put a member aside that asks for it, as by Retry-After; a single one is not.

        :param until: seconds of a monotonic clock.
        """
        self._roster.rest(member, until)

    def remember(self, session: str, member: Member) -> None:
        """Note that *member* gave a session, for the policy ``session:HEADER``.

        :param session: the value of the header field in its answer.
        """
        session = _short(session)
        self._sessions.pop(session, None)
        self._sessions[session] = member.key
        if len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def checked(
        self, member: Member, now: float, is_good: bool, *, passes: int = 2, fails: int = 3
    ) -> None:
        """Take the result of an active check.

        The last good check of a row also ends a pause: the next request is the probe.

        :param member: one of the members.
        :param now: seconds of a monotonic clock.
        :param is_good: whether the check was answered as it should be.
        :param passes: good checks in a row after which a member is no longer down.
        :param fails: bad checks in a row after which it is down.
        """
        self._roster.checked(member, now, is_good, passes, fails)

    def update(self, members: Sequence[tuple[str, int]]) -> None:
        """Take a new list, such as a new answer of DNS.

        What is known of a key that stays is kept. Requests at a member that goes end as usual.

        :param members: a key and a weight, from 1 to 256, of each; there may be none for now.
        :raises ConfigurationError: a bad weight, or a key twice; the old list stays.
        """
        self._roster.update(members)

    def retry_after(self, now: float) -> float | None:
        """Seconds until the next pause ends; None if no member is paused.

        :param now: seconds of a monotonic clock.
        """
        ends = [member.resumes_at for member in self.members if member.stage == "paused"]
        return max(0.0, min(ends) - now) if ends else None

    def _search(self, now: float, value: str, tried: Sequence[Member]) -> Member | None:
        """Choose where the short way does not do: health, room and *value* count."""
        roster = self._roster
        if not roster.members:
            return None
        roster.wake(now)

        def refuses(member: Member) -> bool:
            return member in tried or not roster.has_room(member, now)

        member = None
        if value and self._has_owners:
            member = self._owner(value)
            if member is not None and member not in tried and member.limit >= 0:
                if member.in_flight >= self._room:
                    return None
                member = None if refuses(member) else member
            else:
                member = None
        elif value and self._hashed is not None:
            member = self._hashed.pick(value)
            if member is not None and refuses(member):
                member = self._hashed.pick(value, refuses)
        if member is None:
            member = self._way.pick(value, refuses) or roster.last(tried)
        return self._taken(member, now)

    def _fill(self, members: Sequence[Member], turn: Sequence[Member]) -> None:
        self._way.fill(members, turn)
        if self._hashed is not None:
            if self._hashed.members is not self._roster.members:
                self._hashed.update(self._roster.members)
            self._hashed.fill()

    def _taken(self, member: Member | None, now: float) -> Member | None:
        if member is not None:
            member.in_flight += 1
            if member.stage == "probing":
                member.asked_at = now
            if self._changed is not None:
                self._changed(member, True)
        return member

    def _owner(self, value: str) -> Member | None:
        """The member that a sticky cookie names, or that a session came from."""
        if self._kind == "sticky":
            return self._roster.get(value)
        value = _short(value)
        key = self._sessions.pop(value, None)
        if key is None:
            return None
        # Now it is the one that was asked for last.
        self._sessions[value] = key
        return self._roster.get(key)


def _short(session: str) -> str:
    """A session, or a digest of a long one, so that a memory of many is bounded in bytes, too."""
    if len(session) <= _LONG:
        return session
    return blake2b(session.encode("utf-8", "surrogateescape"), digest_size=32).hexdigest()


def _numbers() -> Iterator[float]:
    """Random numbers that are the same each time (Knuth's MMIX generator)."""
    state = 0
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        yield (state >> 11) / (1 << 53)
