"""What a balancer learns from requests and checks, and who is chosen then."""

from __future__ import annotations

import pytest

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance import Balancer, Health, Outcome
from wsgiproxy.sansio.balance.balancer import SESSIONS

GOOD, FAILED, NEUTRAL = Outcome.GOOD, Outcome.FAILED, Outcome.NEUTRAL
HEALTH = Health(max_fails=2, window=10.0, pause=1.0, longest=8.0)


def balanced(count=3, policy="round-robin", **options):
    members = [("abcdefgh"[number], 1) for number in range(count)]
    return Balancer(policy, members, health=HEALTH, **options)


def ask(balancer, now=0.0, outcome=GOOD, value="", tried=()):
    """The key of the member of one request, which ends at once; None if there is none."""
    member = balancer.choose(now, value, tried)
    if member is None:
        return None
    balancer.end(member, now, outcome)
    return member.key


def fail(balancer, member, now=0.0, times=HEALTH.max_fails):
    """Let requests at one member fail."""
    others = [other for other in balancer.members if other is not member]
    for _ in range(times):
        assert ask(balancer, now, FAILED, tried=others) == member.key


class TestPassiveHealth:
    def test_failures_in_a_row_pause_a_member(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a, times=1)
        assert a.state == "up"
        fail(balancer, a, times=1)
        assert a.state == "paused"
        assert balancer.retry_after(0.25) == 0.75
        assert {ask(balancer, 0.9) for _ in range(6)} == {"b", "c"}

    def test_others_take_its_turns_evenly(self):
        balancer = balanced(4)
        fail(balancer, balancer.members[1])
        assert "".join(ask(balancer, 0.5) for _ in range(6)) in ("acdacd", "cdacda", "dacdac")

    @pytest.mark.parametrize(
        ("outcomes", "state"),
        [
            ([FAILED, GOOD, FAILED], "up"),
            ([FAILED, NEUTRAL, FAILED], "paused"),
            ([NEUTRAL] * 9, "up"),
        ],
    )
    def test_a_good_answer_starts_the_count_again(self, outcomes, state):
        balancer = balanced()
        a, *others = balancer.members
        for outcome in outcomes:
            ask(balancer, 0.0, outcome, tried=others)
        assert a.state == state

    def test_failures_outside_the_window_are_forgotten(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a, now=0.0, times=1)
        fail(balancer, a, now=10.1, times=1)
        assert a.state == "up"
        fail(balancer, a, now=20.0, times=1)
        assert a.state == "paused"

    def test_one_request_is_the_probe(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a)
        chosen = [balancer.choose(1.0) for _ in range(7)]
        assert chosen.count(a) == 1
        assert a.state == "probing"
        balancer.end(a, 1.5, GOOD)
        assert a.state == "up"
        assert {ask(balancer, 1.6) for _ in range(3)} == {"a", "b", "c"}

    def test_a_probe_that_says_nothing_is_made_again(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a)
        assert [ask(balancer, 1.0, NEUTRAL) for _ in range(9)].count("a") == 3
        assert a.state == "probing"

    def test_the_head_of_a_stream_is_enough_for_a_probe(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a)
        while balancer.choose(1.0) is not a:
            pass
        balancer.answered(a, 1.1)
        assert (a.state, a.in_flight) == ("up", 1)

    def test_a_probe_without_an_end_is_made_again(self):
        balancer = balanced()
        a, *_ = balancer.members
        fail(balancer, a)
        while balancer.choose(1.0) is not a:
            pass
        assert a not in [balancer.choose(8.9) for _ in range(6)]
        assert [balancer.choose(9.0) for _ in range(6)].count(a) == 1

    def test_pauses_double_up_to_the_longest(self):
        balancer = balanced()
        a, *others = balancer.members
        fail(balancer, a)
        pauses, now = [1.0], 0.0
        for _ in range(6):
            now = a.resumes_at
            assert ask(balancer, now, FAILED, tried=others) == "a"
            pauses.append(a.resumes_at - now)
        assert pauses == [1, 2, 4, 8, 8, 8, 8]

    @pytest.mark.parametrize(("up_for", "pause"), [(7.0, 2.0), (8.5, 1.0)])
    def test_after_being_up_for_long_pauses_are_short_again(self, up_for, pause):
        balancer = balanced()
        a, *others = balancer.members
        fail(balancer, a)
        assert ask(balancer, 1.0, GOOD, tried=others) == "a"
        fail(balancer, a, 1.0 + up_for)
        assert a.resumes_at - (1.0 + up_for) == pause

    def test_an_older_request_does_not_end_a_pause(self):
        balancer = balanced()
        a, *others = balancer.members
        assert balancer.choose(0.0, "", others) is a
        fail(balancer, a)
        balancer.end(a, 0.5, GOOD)
        assert a.state == "paused"
        assert a.in_flight == 0

    def test_failures_of_older_requests_do_not_make_a_pause_longer(self):
        balancer = balanced()
        a, *others = balancer.members
        for _ in range(9):
            balancer.choose(0.0, "", others)
        for _ in range(9):
            balancer.end(a, 0.5, FAILED)
        assert a.resumes_at == 1.5

    def test_one_that_has_rested_is_up_with_its_first_good_answer(self):
        balancer = balanced()
        a, *_ = balancer.members
        balancer.rest(a, 1.0)
        assert {ask(balancer, 0.5) for _ in range(4)} == {"b", "c"}
        assert [ask(balancer, 1.0) for _ in range(9)].count("a") == 3
        assert (a.state, a.fails) == ("up", 0)


class TestPanic:
    def test_a_single_member_is_never_put_aside(self):
        balancer = balanced(1)
        fail(balancer, balancer.members[0], times=50)
        assert balancer.members[0].state == "up"
        assert balancer.retry_after(0.0) is None

    def test_the_last_one_of_a_list_is_up_again(self):
        balancer = balanced(2)
        fail(balancer, balancer.members[1])
        balancer.update([("b", 1)])
        assert balancer.members[0].state == "up"

    def test_if_all_are_paused_all_are_tried(self):
        balancer = balanced(3)
        for member in balancer.members:
            fail(balancer, member)
        assert {ask(balancer, 0.5, FAILED) for _ in range(3)} == {"a", "b", "c"}
        assert {member.resumes_at for member in balancer.members} == {1.0}

    def test_when_one_of_them_answers_the_others_are_asked_at_once(self):
        balancer = balanced(3)
        for member in balancer.members:
            fail(balancer, member)
        first = ask(balancer, 0.5)
        assert [member.state for member in balancer.members if member.key != first] == [
            "paused",
            "paused",
        ]
        assert {ask(balancer, 0.5) for _ in range(3)} == {"a", "b", "c"}
        assert {member.state for member in balancer.members} == {"up"}

    def test_a_request_that_all_others_failed_goes_to_the_one_that_resumes_first(self):
        balancer = balanced(3)
        a, b, c = balancer.members
        fail(balancer, b, 0.0)
        fail(balancer, a, 0.5)
        assert balancer.choose(0.6, "", [c]) is b
        assert balancer.choose(0.6, "", [b, c]) is a
        assert balancer.choose(0.6, "", [a, b, c]) is None

    def test_it_is_not_taken_while_one_that_is_up_is_full(self):
        balancer = balanced(2, max_in_flight=1)
        a, b = balancer.members
        fail(balancer, a)
        assert balancer.choose(0.5) is b
        assert balancer.choose(0.5) is None


class TestRoom:
    @pytest.mark.parametrize("policy", ["round-robin", "least", "two-choices", "hash:client"])
    def test_full_members_are_passed_over(self, policy):
        balancer = balanced(3, policy, max_in_flight=2)
        chosen = [balancer.choose(0.0, "x") for _ in range(6)]
        assert all(chosen.count(member) == 2 for member in balancer.members)
        assert balancer.choose(0.0, "x") is None
        balancer.end(chosen[4], 0.0, GOOD)
        assert balancer.choose(0.0, "x") is chosen[4]

    def test_no_members_are_not_full_ones(self):
        balancer = balanced()
        balancer.update([])
        assert balancer.choose(0.0) is None
        assert balancer.retry_after(0.0) is None


class TestOwners:
    def test_a_cookie_names_its_member(self):
        balancer = balanced(3, "sticky")
        assert balancer.wants == "sticky"
        assert [ask(balancer, value="b") for _ in range(4)] == ["b"] * 4
        assert {ask(balancer, value=value) for value in ("", "x", "y")} == {"a", "b", "c"}

    def test_another_is_chosen_while_it_is_put_aside(self):
        balancer = balanced(3, "sticky")
        fail(balancer, balancer.members[1])
        assert {ask(balancer, 0.5, value="b") for _ in range(4)} == {"a", "c"}
        assert ask(balancer, 1.0, value="b") == "b"

    def test_its_probe_is_one_request(self):
        balancer = balanced(3, "sticky")
        fail(balancer, balancer.members[1])
        chosen = [balancer.choose(1.0, "b").key for _ in range(3)]
        assert chosen.count("b") == 1

    def test_a_request_waits_for_its_member_while_that_is_full(self):
        balancer = balanced(3, "sticky", max_in_flight=1)
        b = balancer.choose(0.0, "b")
        assert balancer.choose(0.0, "b") is None
        assert balancer.choose(0.0, "b", [b]).key in "ac"

    def test_a_session_comes_back_to_where_it_is_from(self):
        balancer = balanced(3, "session:Mcp-Session-Id")
        assert balancer.wants == "Mcp-Session-Id"
        _, b, c = balancer.members
        balancer.remember("one", b)
        balancer.remember("two", c)
        assert [ask(balancer, value="one") for _ in range(3)] == ["b"] * 3
        assert ask(balancer, value="two") == "c"
        balancer.remember("one", c)
        assert ask(balancer, value="one") == "c"

    def test_sessions_are_bounded_and_the_oldest_are_forgotten(self):
        balancer = balanced(8, "session:Mcp-Session-Id")
        *_, h = balancer.members
        balancer.remember("kept", h)
        balancer.remember("forgotten", h)
        for number in range(SESSIONS - 1):
            assert ask(balancer, value="kept") == "h"
            balancer.remember(str(number), h)
        assert len(balancer._sessions) == SESSIONS
        assert {ask(balancer, value="forgotten") for _ in range(8)} == set("abcdefgh")

    def test_long_sessions_are_kept_as_digests(self):
        balancer = balanced(3, "session:Mcp-Session-Id")
        _, b, c = balancer.members
        balancer.remember("x" * 60_000, b)
        balancer.remember("x" * 60_001, c)
        assert ask(balancer, value="x" * 60_000) == "b"
        assert ask(balancer, value="x" * 60_001) == "c"
        assert all(len(session) == 64 for session in balancer._sessions)

    def test_a_session_of_a_member_that_has_gone_goes_to_another(self):
        balancer = balanced(3, "session:Mcp-Session-Id")
        balancer.remember("one", balancer.members[1])
        balancer.update([("a", 1), ("c", 1)])
        assert {ask(balancer, value="one") for _ in range(2)} == {"a", "c"}


class TestChecks:
    def test_bad_checks_in_a_row_put_a_member_down(self):
        balancer = balanced(2)
        a, _ = balancer.members
        for is_good in (False, False, True, False, False):
            balancer.checked(a, 0.0, is_good)
        assert a.state == "up"
        balancer.checked(a, 0.0, False)
        assert a.state == "down"
        assert [ask(balancer) for _ in range(3)] == ["b"] * 3
        balancer.checked(a, 0.0, True)
        assert a.state == "down"
        balancer.checked(a, 0.0, True)
        assert a.state == "up"
        assert {ask(balancer) for _ in range(2)} == {"a", "b"}

    def test_good_checks_end_a_pause_with_a_probe(self):
        balancer = balanced(2)
        a, _ = balancer.members
        fail(balancer, a)
        balancer.checked(a, 0.2, True)
        assert ask(balancer, 0.2) == "b"
        balancer.checked(a, 0.3, True)
        assert balancer.retry_after(0.3) == 0
        assert {ask(balancer, 0.3) for _ in range(2)} == {"a", "b"}
        assert a.state == "up"

    def test_bad_checks_count_during_a_pause(self):
        balancer = balanced(2)
        a, _ = balancer.members
        fail(balancer, a)
        for _ in range(3):
            balancer.checked(a, 0.2, False)
        assert a.state == "down"
        assert {ask(balancer, 50.0) for _ in range(4)} == {"b"}

    def test_if_all_are_down_all_are_tried(self):
        balancer = balanced(2)
        for member in balancer.members:
            for _ in range(3):
                balancer.checked(member, 0.0, False)
        assert {ask(balancer) for _ in range(2)} == {"a", "b"}

    def test_paused_ones_come_before_those_that_are_down(self):
        balancer = balanced(2)
        a, b = balancer.members
        fail(balancer, b)
        for _ in range(3):
            balancer.checked(a, 0.0, False)
        assert {ask(balancer, 0.5, FAILED) for _ in range(4)} == {"b"}

    def test_a_check_of_one_that_has_gone_does_nothing(self):
        balancer = balanced(2)
        a, _ = balancer.members
        balancer.update([("b", 1)])
        for _ in range(5):
            balancer.checked(a, 0.0, False)
        assert a.state == "up"


class TestUpdate:
    def test_what_stays_keeps_its_state_and_requests(self):
        balancer = balanced(3)
        a, b, c = balancer.members
        fail(balancer, b)
        held = balancer.choose(0.0)
        balancer.update([("d", 1), ("b", 3), ("c", 1), ("a", 1)])
        assert balancer.members[1] is b
        assert (b.state, b.weight) == ("paused", 3)
        assert held in balancer.members
        assert held.in_flight == 1

    @pytest.mark.parametrize("policy", ["round-robin", "least", "two-choices"])
    def test_requests_at_a_removed_member_end_without_a_trace(self, policy):
        balancer = balanced(2, policy)
        held = [balancer.choose(0.0) for _ in range(8)]
        a, b = balancer.members
        balancer.update([("b", 1), ("c", 1)])
        for member in held:
            balancer.end(member, 0.0, FAILED if member is a else GOOD)
        assert a.in_flight == b.in_flight == 0
        assert a not in [balancer.choose(0.0) for _ in range(4)]

    def test_a_bad_list_changes_nothing(self):
        balancer = balanced(2)
        with pytest.raises(ConfigurationError, match="'x' is there twice"):
            balancer.update([("x", 1), ("x", 1)])
        assert [member.key for member in balancer.members] == ["a", "b"]


class TestForget:
    @pytest.mark.parametrize("policy", ["round-robin", "least"])
    def test_requests_and_probes_of_another_process(self, policy):
        members = [(f"{number}:80", 1) for number in range(12)]
        balancer = Balancer(policy, members, health=HEALTH, max_in_flight=1)
        first = balancer.members[0]
        fail(balancer, first)
        while balancer.choose(1.0) is not None:
            pass
        assert first.in_flight == 1 and first.stage == "probing"
        balancer.forget()
        assert {balancer.choose(1.5) for _ in members} == set(balancer.members)


class TestConstruction:
    @pytest.mark.parametrize(
        ("policy", "wants"),
        [
            ("round-robin", None),
            ("least", None),
            ("two-choices", None),
            ("hash:client", "client"),
            ("hash:X-Shop", "X-Shop"),
            ("sticky", "sticky"),
            ("session:Mcp-Session-Id", "Mcp-Session-Id"),
        ],
    )
    def test_what_a_policy_wants(self, policy, wants):
        assert (balanced(policy=policy).wants, balanced(policy=policy).policy) == (wants, policy)

    @pytest.mark.parametrize(
        ("policy", "meant"),
        [
            ("round_robin", "round-robin"),
            ("Round Robin", "round-robin"),
            ("leastconn", "least"),
            ("least_conn", "least"),
            ("random", "two-choices"),
            ("ip_hash", "hash:client"),
            ("hash", "hash:client"),
            ("cookie", "sticky"),
            ("Sticky", "sticky"),
            ("session", "session:Mcp-Session-Id"),
        ],
    )
    def test_names_of_other_proxies_are_understood_in_the_message(self, policy, meant):
        with pytest.raises(ConfigurationError, match=f"; did you mean {meant}\\?"):
            balanced(policy=policy)

    @pytest.mark.parametrize("policy", ["", "hash:", "hash:a b", "session:client", "fastest", None])
    def test_unknown_policies(self, policy):
        with pytest.raises(ConfigurationError, match="balance=.*: expected round-robin"):
            balanced(policy=policy)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"members": []}, "empty list"),
            ({"members": [("a", 1), ("a", 2)]}, "'a' is there twice"),
            ({"members": [("a", 0)]}, "weight=0 of 'a'"),
            ({"members": [("a", -1)]}, "weight=-1"),
            ({"members": [("a", 1.5)]}, "weight=1.5"),
            ({"members": [("a", True)]}, "weight=True"),
            ({"members": [("a", 257)]}, "from 1 to 256"),
            ({"max_in_flight": 0}, "max_in_flight=0"),
            ({"health": Health(max_fails=0)}, "max_fails=0"),
            ({"health": Health(pause=-1.0)}, "pause=-1.0"),
            ({"health": Health(window=float("nan"))}, "window=nan"),
            ({"health": Health(pause=9.0, longest=1.0)}, "longest=1.0"),
        ],
    )
    def test_bad_settings_are_named(self, options, message):
        members = options.pop("members", [("a", 1)])
        with pytest.raises(ConfigurationError, match=message):
            Balancer("round-robin", members, **options)
