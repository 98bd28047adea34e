"""The simulation of the policies, in small: the choice among many upstreams that come and go."""

from __future__ import annotations

from functools import cache

import pytest

from tests.benchmarks.balance import RUNS, cells, main
from tests.benchmarks.balance_model import Result, Scene, simulate

POLICIES = ("round-robin", "least", "two-choices", "hash:client", "sticky")


@cache
def result(policy: str, knows_speed: bool = True, trouble: float = 10.0) -> Result:
    scene = Scene(policy, 20_000, upstreams=40, knows_speed=knows_speed, trouble=trouble, load=0.6)
    return simulate(scene)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_request_has_one_end(policy):
    found = result(policy)
    assert found.good + found.lost == 20_000
    assert sum(found.latencies) == found.good
    assert found.good > 19_000


@pytest.mark.parametrize("policy", POLICIES)
def test_requests_that_reached_no_upstream_are_retried_and_not_lost(policy):
    found = result(policy)
    assert found.unreached == 0
    # Three failures and a few probes for each restart, not a part of all requests.
    assert 0 < found.retried < 500


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_lost_without_trouble(policy):
    found = result(policy, trouble=0.0)
    assert (found.lost, found.retried, found.moved) == (0, 0, 0)


def test_rotation_by_weight_is_fair_without_trouble():
    assert result("round-robin", trouble=0.0).jain > 0.95
    assert result("round-robin", knows_speed=False, trouble=0.0).jain < 0.9


def test_load_is_seen_by_the_policies_that_count_it():
    """Those that count requests in flight need no weights for machines of different speeds."""
    blind = result("round-robin", knows_speed=False)
    for policy in ("least", "two-choices"):
        seen = result(policy, knows_speed=False)
        assert seen.jain > blind.jain
        assert seen.percentile(0.99) < blind.percentile(0.99) / 2


def test_users_stay_but_for_restarts():
    assert 0 < result("sticky").moved < 1000


def test_it_is_the_same_each_time():
    again = simulate(result("two-choices").scene)
    assert cells(again) == cells(result("two-choices"))


def test_the_program_prints_a_row_for_each_run(capsys):
    main(["--requests", "300", "--upstreams", "5", "--jobs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RUNS) + 5
    assert lines[-1].startswith("300 requests at 5 upstreams in ")
