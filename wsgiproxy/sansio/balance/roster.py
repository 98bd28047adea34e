"""The members of a balancer and their health: who can be chosen, and until when that holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from wsgiproxy.sansio.balance.member import Health, Member, Outcome
from wsgiproxy.sansio.balance.policies import checked_members
from wsgiproxy.sansio.balance.ways import smooth

__all__ = ["Roster"]


class Roster:
    """Members, and what their requests and checks say of them.

    :param health: the limits of passive health.
    :param room: requests in flight at each member at most.
    :param fill: gets those that can be chosen, whenever they change, and the turn that they make.
    :ivar members: all of them, in the order of the list.
    :ivar due: when the next pause ends; ``-inf`` if there are no members.
    """

    def __init__(
        self,
        health: Health,
        room: int,
        fill: Callable[[Sequence[Member], Sequence[Member]], None],
    ) -> None:
        self.members: tuple[Member, ...] = ()
        self.due = -math.inf
        self._health = health.checked()
        self._room = room
        self._fill = fill
        self._by_key: dict[str, Member] = {}
        self._turn: Sequence[Member] = ()

    def get(self, key: str) -> Member | None:
        """The member of that key."""
        return self._by_key.get(key)

    def update(self, members: Sequence[tuple[str, int]]) -> None:
        """Take a new list; see :meth:`.Balancer.update`."""
        checked_members(members)
        for member in self.members:
            member.limit = -1
        found = {}
        for key, weight in members:
            member = self._by_key.get(key) or Member(key, weight)
            member.weight = weight
            found[key] = member
        self._by_key = found
        self.members = tuple(found.values())
        self._turn = smooth(self.members)
        if len(self.members) == 1:
            self.members[0].stage = "up"
            self.members[0].fails = 0
        self._refresh()

    def wake(self, now: float) -> None:
        """Let those whose pause is over have their probe."""
        if now < self.due:
            return
        for member in self.members:
            if member.stage == "paused" and member.resumes_at <= now:
                member.stage = "probing"
                member.asked_at = -math.inf
        self._refresh()

    def has_room(self, member: Member, now: float) -> bool:
        """Whether *member* can be chosen: by its state, and by its requests in flight."""
        if member.limit:
            return member.in_flight < member.limit
        # A probe without an end, such as a stream, does not keep a member aside for ever.
        is_asked = now - member.asked_at < self._health.longest
        return not is_asked and member.in_flight < self._room

    def last(self, tried: Sequence[Member]) -> Member | None:
        """The member that resumes first, if all that are up are in *tried*."""
        left = [member for member in self.members if member not in tried]
        if any(member.limit > 0 for member in left):
            return None
        left = [member for member in left if member.in_flight < self._room]
        return min(left, key=lambda member: (member.is_down, member.resumes_at), default=None)

    def learn(self, member: Member, now: float, outcome: Outcome) -> None:
        """Take how a request at *member* ended."""
        if self._by_key.get(member.key) is not member:
            return
        if outcome is Outcome.NEUTRAL:
            # A probe that says nothing is made again.
            member.asked_at = -math.inf
        elif outcome is Outcome.GOOD:
            self._succeed(member, now)
        elif member.stage == "probing":
            self._pause(member, now)
        elif member.stage == "up":
            self._fail(member, now)

    def forget(self) -> None:
        """No member has requests in progress."""
        for member in self.members:
            member.in_flight = 0
            member.asked_at = -math.inf
        self._refresh()

    def rest(self, member: Member, until: float) -> None:
        """Put a member aside that asks for it; a single one is not."""
        if len(self.members) > 1 and self.get(member.key) is member:
            member.stage = "paused"
            # Its next good answer is looked at, as with all that are not up.
            member.fails = max(member.fails, 1)
            member.resumes_at = max(until, member.resumes_at)
            member.asked_at = -math.inf
            self._refresh()

    def checked(self, member: Member, now: float, is_good: bool, passes: int, fails: int) -> None:
        """Take the result of an active check; see :meth:`.Balancer.checked`."""
        if self._by_key.get(member.key) is not member:
            return
        if is_good:
            member.checks = max(member.checks, 0) + 1
            if member.checks < passes or not (member.is_down or member.stage == "paused"):
                return
            if member.stage == "paused":
                member.resumes_at = now
        else:
            member.checks = min(member.checks, 0) - 1
            if -member.checks < fails or member.is_down:
                return
        member.checks = 0
        member.is_down = not is_good
        self._refresh()

    def _fail(self, member: Member, now: float) -> None:
        if now - member.failing_since > self._health.window:
            member.fails = 0
        if not member.fails:
            member.failing_since = now
        member.fails += 1
        if member.fails >= self._health.max_fails and len(self.members) > 1:
            self._pause(member, now)

    def _succeed(self, member: Member, now: float) -> None:
        if member.stage == "up":
            member.fails = 0
            return
        if member.stage == "paused" and member.limit < 0:
            # An older request: an upstream that has too much to do still ends some of them well.
            return
        is_panic = member.limit > 0
        member.stage = "up"
        member.fails = 0
        member.resumed_at = now
        for other in self.members if is_panic else ():
            other.resumes_at = min(other.resumes_at, now)
        self._refresh()

    def _pause(self, member: Member, now: float) -> None:
        if member.stage == "up" and now - member.resumed_at > self._health.longest:
            member.pauses = 0
        member.resumes_at = now + self._health.length(member.pauses)
        member.pauses += 1
        member.stage = "paused"
        member.asked_at = -math.inf
        self._refresh()

    def _refresh(self) -> None:
        """Work out from the states who can be chosen."""
        checked = [member for member in self.members if not member.is_down] or self.members
        is_panic = not any(member.state == "up" for member in checked)
        for member in self.members:
            member.limit = -1
        for member in checked:
            if is_panic or member.stage == "up":
                member.limit = self._room
            elif member.stage == "probing":
                member.limit = 0
        self.due = min(
            (member.resumes_at for member in checked if member.stage == "paused"),
            default=math.inf if self.members else -math.inf,
        )
        ready = [member for member in self.members if member.limit >= 0]
        if ready:
            self._fill(ready, [member for member in self._turn if member.limit >= 0])
