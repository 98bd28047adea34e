"""A balancer under requests, ends, checks, times and new lists in any order."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsgiproxy.sansio.balance import Balancer, Health, Member, Outcome

POLICIES = (
    *("round-robin", "least", "two-choices"),
    *("hash:client", "sticky", "session:Mcp-Session-Id"),
)
KEYS = ("a:80", "b:80", "c:80", "d:80", "e:80")
HEALTH = Health(max_fails=2, window=10.0, pause=1.0, longest=8.0)

lists = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(1, 4)),
    max_size=len(KEYS),
    unique_by=lambda member: member[0],
)


class Balancing(RuleBasedStateMachine):
    """What is open at each member is counted beside the balancer, and compared."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 1
        self.open: list[Member] = []
        #: Members with a probe on its way, and when it was sent.
        self.probes: dict[Member, float] = {}

    @initialize(
        policy=st.sampled_from(POLICIES),
        members=lists.filter(bool),
        limit=st.none() | st.integers(1, 3),
        seed=st.none() | st.integers(0, 9),
    )
    def begin(
        self, policy: str, members: list[tuple[str, int]], limit: int | None, seed: int | None
    ) -> None:
        numbers = None if seed is None else random.Random(seed)
        self.limit = limit
        self.balancer = Balancer(
            policy, members, health=HEALTH, max_in_flight=limit, random=numbers
        )

    def has_room(self, member: Member) -> bool:
        return self.limit is None or self.open.count(member) < self.limit

    @rule(
        value=st.sampled_from(["", *KEYS, "other"]),
        tried=st.just(set()) | st.sets(st.sampled_from(KEYS), max_size=3),
    )
    def choose(self, value: str, tried: set[str]) -> None:
        balancer = self.balancer
        left = [member for member in balancer.members if member.key not in tried]
        out = [member for member in balancer.members if member.key in tried]
        up = [member for member in left if member.state == "up"]
        due = [
            member
            for member in left
            if member.state in ("paused", "probing") and member.resumes_at <= self.now
        ]
        chosen = balancer.choose(self.now, value, out)
        if chosen is None:
            if not (value and balancer.policy.startswith(("sticky", "session"))):
                best = up or [member for member in left if member.state != "down"] or left
                assert not any(map(self.has_room, best))
            return
        assert chosen in left
        assert self.has_room(chosen)
        if up:
            assert chosen in up or chosen in due, "put aside, while others are up"
        if chosen in due and any(member.state == "up" for member in balancer.members) and up:
            asked = self.probes.get(chosen)
            assert asked is None or self.now - asked >= HEALTH.longest, "a second probe"
            self.probes[chosen] = self.now
        self.open.append(chosen)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        member = data.draw(st.sampled_from(self.open))
        self.open.remove(member)
        self.balancer.end(member, self.now, outcome)
        self.probes.pop(member, None)
        if self.balancer.policy.startswith("session") and outcome is Outcome.GOOD:
            self.balancer.remember(member.key, member)

    @precondition(lambda self: len(self.balancer.members) > 1)
    @rule(data=st.data())
    def one_fails_until_it_is_put_aside(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.balancer.members))
        others = [other for other in self.balancer.members if other is not member]
        for _ in range(HEALTH.max_fails):
            if self.balancer.choose(self.now, "", others) is None:
                return
            self.balancer.end(member, self.now, Outcome.FAILED)
        self.probes.pop(member, None)
        assert member.state in ("paused", "down")

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_head_comes(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.open))
        self.balancer.answered(member, self.now)
        self.probes.pop(member, None)

    @precondition(lambda self: self.balancer.members)
    @rule(data=st.data(), is_good=st.booleans())
    def check(self, data: st.DataObject, is_good: bool) -> None:
        member = data.draw(st.sampled_from(self.balancer.members))
        self.balancer.checked(member, self.now, is_good, passes=2, fails=2)
        if member.state == "paused":
            self.probes.pop(member, None)

    @precondition(lambda self: self.turns % 16 == 0)
    @rule(members=lists)
    def take_a_new_list(self, members: list[tuple[str, int]]) -> None:
        before = {member.key: member for member in self.balancer.members}
        self.balancer.update(members)
        assert [(member.key, member.weight) for member in self.balancer.members] == members
        for member in self.balancer.members:
            assert before.get(member.key, member) is member

    @rule(seconds=st.sampled_from([0.125, 1.0, 3.0, 8.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.turns += 1

    @invariant()
    def open_requests_are_in_flight(self) -> None:
        for member in {*self.open, *self.balancer.members}:
            assert member.in_flight == self.open.count(member)
            assert self.limit is None or member.in_flight <= self.limit

    @invariant()
    def pauses_are_limited(self) -> None:
        for member in self.balancer.members:
            if member.state == "paused":
                assert member.resumes_at <= self.now + HEALTH.longest
        left = self.balancer.retry_after(self.now)
        assert left is None or 0 <= left <= HEALTH.longest

    @invariant()
    def a_single_member_is_never_put_aside(self) -> None:
        if len(self.balancer.members) == 1:
            assert self.balancer.members[0].state in ("up", "down")


class TestBalancing(Balancing.TestCase):  # type: ignore[misc, valid-type]
    """Room, health and counts hold, whatever happens."""


TestBalancing.settings = settings(
    stateful_step_count=60,
    # To make a history of sixty steps shorter takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
