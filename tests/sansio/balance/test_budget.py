"""How many retries there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance import Budget


def taken(budget, now, wanted=1000):
    return sum(budget.take(now) for _ in range(wanted))


def test_retries_are_a_part_of_the_requests():
    budget = Budget(ratio=0.2, least=0)
    for _ in range(50):
        budget.request(5.0)
    assert taken(budget, 5.0) == 10


def test_few_requests_leave_some_for_each_second():
    budget = Budget(ratio=0.2, least=3)
    assert taken(budget, 0.0) == 3
    assert taken(budget, 0.4) == 1
    assert taken(budget, 1.0) == 2
    assert taken(budget, 60.0) == 3


def test_requests_of_long_ago_do_not_pay():
    budget = Budget(ratio=1, least=0)
    for _ in range(100):
        budget.request(0.0)
    assert taken(budget, 100.0) == 0


def test_less_than_one_in_a_second_adds_up():
    budget = Budget(ratio=0, least=0.5)
    assert not budget.take(0.0)
    assert not budget.take(0.5)
    assert budget.take(1.0)
    assert not budget.take(2.0)
    assert budget.take(3.0)


def test_a_clock_that_goes_back_gives_nothing():
    budget = Budget(ratio=0, least=1)
    assert taken(budget, 10.0) == 1
    assert taken(budget, 5.0) == 0
    assert taken(budget, 10.5) == 0


@given(
    st.floats(0, 1),
    st.floats(0, 10),
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200),
)
def test_there_are_never_more_than_paid_and_granted(ratio, least, steps):
    budget = Budget(ratio, least)
    now, requests, retries = 0.0, 0, 0
    for elapsed, is_request in steps:
        now += elapsed
        if is_request:
            budget.request(now)
            requests += 1
        else:
            retries += budget.take(now)
    assert retries <= ratio * requests + least * (now + 1) + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": -0.1}, "ratio=-0.1: expected a number, 0 or above"),
        ({"ratio": float("inf")}, "ratio=inf"),
        ({"least": float("nan")}, "least=nan"),
        ({"least": True}, "least=True"),
    ],
)
def test_bad_numbers(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Budget(**options)
