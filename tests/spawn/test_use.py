"""Who uses a process, as its starter is told: the first that comes, and the last that leaves."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.process.lifecycle import State
from wsgiproxy.spawn.state import Lifecycle, ProcessLimits


class Agreed:
    """A starter that takes notes."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def claim(self) -> bool:
        self.notes.append("claimed")
        return True

    def release(self, used: bool) -> None:
        self.notes.append(used)

    def ended(self, state: State) -> None:
        self.notes.append("ended")


@pytest.fixture
def life() -> Lifecycle:
    """One that is ready."""
    found = Lifecycle(Agreed(), ProcessLimits(30, 10, 60, 100))
    found.gateway = object()
    return found


def use(life: Lifecycle, *leavers: bool) -> list[object]:
    """Come together and leave one after the other; what the starter has been told."""
    life.starter.notes.clear()
    for _ in leavers:
        with life.changed:
            assert life.take() is not None
    for used in leavers:
        life.leave(used=used)
    return life.starter.notes


@pytest.mark.parametrize(
    ("leavers", "used"),
    [
        pytest.param([True], True, id="one"),
        pytest.param([False], False, id="one that does not count"),
        pytest.param([False, True], True, id="the last one counts"),
        pytest.param([True, False], True, id="the first one counts"),
        pytest.param([False, True, False], True, id="one in between counts"),
        pytest.param([False, False], False, id="none counts"),
    ],
)
def test_it_was_used_if_any_of_them_counts(life, leavers, used):
    assert use(life, *leavers) == ["claimed", used]


def test_earlier_use_does_not_count_again(life):
    use(life, True, False)
    assert use(life, False) == ["claimed", False]


def test_those_of_a_run_that_is_gone_release_nothing(life):
    life.starter.notes.clear()
    with life.changed:
        life.take()
        life.gone()
    life.leave()
    assert life.starter.notes == ["claimed", "ended"]
