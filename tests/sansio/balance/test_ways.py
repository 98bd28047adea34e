"""The ways of choosing, with everything up: shares, order and stability."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.balance import Balancer, Member, Outcome
from wsgiproxy.sansio.balance.ways import smooth

weights = st.lists(st.integers(1, 256), min_size=1, max_size=30)


def balanced(policy, weights, seed=None, **options):
    members = [(f"host{number}:80", weight) for number, weight in enumerate(weights)]
    numbers = None if seed is None else random.Random(seed)
    return Balancer(policy, members, random=numbers, **options)


def one_by_one(balancer, count, value=""):
    """The keys of requests of which each ends before the next."""
    keys = []
    for _ in range(count):
        member = balancer.choose(0.0, value)
        keys.append(member.key)
        balancer.end(member, 0.0, Outcome.GOOD)
    return keys


@given(weights)
def test_a_turn_has_each_member_as_often_as_its_weight(weights):
    members = [Member(str(number), weight) for number, weight in enumerate(weights)]
    turn = Counter(smooth(members))
    shares = {turn[member] / member.weight for member in members}
    assert len(shares) == 1
    assert 1 / shares.pop() == pytest.approx(sum(weights) / len(smooth(members)))


@pytest.mark.parametrize(
    ("weights", "turn"),
    [
        pytest.param([5, 1, 1], "aabacaa", id="the example of nginx"),
        pytest.param([1, 1, 1], "abc", id="alike"),
        pytest.param([7, 7], "ab", id="alike and heavy"),
        pytest.param([4, 2], "aba", id="with a common divisor"),
        pytest.param([9], "a", id="one"),
    ],
)
def test_a_turn_is_smooth(weights, turn):
    members = [Member("abc"[number], weight) for number, weight in enumerate(weights)]
    assert "".join(member.key for member in smooth(members)) == turn


def test_many_heavy_members_make_a_turn_too():
    members = [Member(str(number), 1 + number % 256) for number in range(600)]
    turn = smooth(members)
    assert Counter(turn) == {member: member.weight for member in members}
    heaviest = members[255]
    places = [index for index, member in enumerate(turn) if member is heaviest]
    gaps = [after - before for before, after in zip(places, places[1:], strict=False)]
    assert max(gaps) < 2 * len(turn) / 256


@given(weights, st.integers(0, 5))
def test_round_robin_is_exact_after_each_turn_wherever_it_begins(weights, seed):
    balancer = balanced("round-robin", weights, seed)
    turn = len(smooth(balancer.members))
    found = Counter(one_by_one(balancer, 2 * turn))
    assert found == {
        member.key: 2 * turn * member.weight // sum(weights) for member in balancer.members
    }


def test_processes_begin_at_different_places():
    first = {one_by_one(balanced("round-robin", [1] * 8, seed), 1)[0] for seed in range(40)}
    assert len(first) == 8


@pytest.mark.parametrize("count", [2, 4, 8, 9, 30])
def test_least_without_load_is_a_fair_rotation_by_weight(count):
    weights = [1 + number % 3 for number in range(count)]
    found = Counter(one_by_one(balanced("least", weights), 10 * sum(weights)))
    for number, weight in enumerate(weights):
        assert abs(found[f"host{number}:80"] - 10 * weight) <= 1


@given(
    count=st.sampled_from([1, 3, 8, 9, 20]),
    steps=st.lists(st.none() | st.integers(0, 10**6), max_size=200),
)
def test_least_chooses_a_least_one(count, steps):
    """As a look at all of them finds it, with a few members and with many."""
    balancer = balanced("least", [1 + number % 3 for number in range(count)])
    open_: list[Member] = []
    for step in steps:
        if step is None or not open_:
            least = min(member.in_flight / member.weight for member in balancer.members)
            member = balancer.choose(0.0)
            assert (member.in_flight - 1) / member.weight == least
            open_.append(member)
        else:
            balancer.end(open_.pop(step % len(open_)), 0.0, Outcome.GOOD)


@pytest.mark.parametrize("count", [5, 50])
def test_least_passes_over_full_ones(count):
    balancer = balanced("least", [1] * count, max_in_flight=2)
    found = Counter(balancer.choose(0.0) for _ in range(2 * count))
    assert set(found.values()) == {2}
    assert balancer.choose(0.0) is None
    balancer.end(balancer.members[3], 0.0, Outcome.GOOD)
    assert balancer.choose(0.0) is balancer.members[3]


def test_old_loads_of_many_are_skipped():
    balancer = balanced("least", [1] * 10)
    first = [balancer.choose(0.0) for _ in range(10)]
    balancer.end(first[4], 0.0, Outcome.GOOD)
    assert balancer.choose(0.0) is first[4]
    assert {balancer.choose(0.0) for _ in range(10)} == set(first)


def test_the_heap_of_many_does_not_grow():
    balancer = balanced("least", [1] * 20)
    held = [balancer.choose(0.0) for _ in range(40)]
    for _ in range(2000):
        balancer.end(held.pop(0), 0.0, Outcome.GOOD)
        held.append(balancer.choose(0.0))
    assert len(balancer._way._heap) <= 4 * 20 + 65


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_two_choices_draw_by_weight_and_keep_loads_close(seed):
    balancer = balanced("two-choices", [1, 2, 4] * 10, seed)
    for _ in range(7000):
        balancer.choose(0.0)
    for member in balancer.members:
        assert member.in_flight / member.weight == pytest.approx(100, abs=8)


def test_two_choices_take_the_less_loaded_of_two():
    balancer = balanced("two-choices", [1, 1])
    for count in range(1, 20):
        balancer.choose(0.0)
        assert sum(member.in_flight for member in balancer.members) == count
        assert abs(balancer.members[0].in_flight - balancer.members[1].in_flight) <= 1


def test_two_choices_with_all_but_one_full():
    balancer = balanced("two-choices", [1, 1, 1], max_in_flight=1)
    assert len({balancer.choose(0.0) for _ in range(3)}) == 3
    assert balancer.choose(0.0) is None


def homes(balancer, values):
    return {value: one_by_one(balancer, 1, value)[0] for value in values}


VALUES = [f"192.0.2.{number % 256}/{number}" for number in range(6000)]


def test_rendezvous_gives_each_its_share_by_weight_and_keeps_it():
    balancer = balanced("hash:client", [1, 2, 3])
    found = homes(balancer, VALUES)
    shares = Counter(found.values())
    assert [shares[f"host{number}:80"] / 1000 for number in range(3)] == pytest.approx(
        [1, 2, 3], rel=0.12
    )
    assert homes(balanced("hash:X-Shop", [1, 2, 3], seed=5), VALUES) == found


def test_rendezvous_moves_only_the_values_of_one_that_goes_or_comes():
    members = [(f"host{number}:80", 1 + number % 2) for number in range(6)]
    balancer = Balancer("hash:client", members)
    before = homes(balancer, VALUES)
    balancer.update(members[1:])
    after = homes(balancer, VALUES)
    moved = {value for value in VALUES if before[value] != after[value]}
    assert moved == {value for value in VALUES if before[value] == "host0:80"}
    assert len({after[value] for value in moved}) == 5
    balancer.update(members)
    assert homes(balancer, VALUES) == before
    heavier = [*members[:-1], ("host5:80", 4)]
    balancer.update(heavier)
    assert {key for value, key in homes(balancer, VALUES).items() if key != before[value]} == {
        "host5:80"
    }


def test_rendezvous_goes_to_the_next_where_one_is_paused_or_full():
    balancer = balanced("hash:client", [1] * 4, max_in_flight=1)
    order = [balancer.choose(0.0, "192.0.2.7") for _ in range(4)]
    assert len(set(order)) == 4
    for member in order:
        balancer.end(member, 0.0, Outcome.GOOD)
    for _ in range(3):
        assert balancer.choose(0.0, "192.0.2.7", order[1:]) is order[0]
        balancer.end(order[0], 0.0, Outcome.FAILED)
    assert order[0].state == "paused"
    assert one_by_one(balancer, 2, "192.0.2.7") == [order[1].key] * 2


def test_rendezvous_remembers_a_bounded_number_of_values():
    balancer = balanced("hash:client", [1, 1])
    for number in range(10_001):
        balancer.end(balancer.choose(0.0, str(number)), 0.0, Outcome.GOOD)
    assert len(balancer._hashed._home) <= 10_000


def test_rendezvous_remembers_no_long_values():
    balancer = balanced("hash:X-Shop", [1, 1])
    assert len(set(one_by_one(balancer, 5, "x" * 60_000))) == 1
    assert balancer._hashed._home == {}


def test_a_hash_without_a_value_is_a_rotation():
    assert len(set(one_by_one(balanced("hash:client", [1] * 5), 5))) == 5
