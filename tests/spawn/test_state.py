"""The calls of a coordination: one for the first of simultaneous requests, one for the last."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.process.lifecycle import State
from wsgiproxy.spawn.state import Lifecycle, ProcessLimits


class Notes:
    """A coordination that records its calls."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def claim(self) -> bool:
        self.notes.append("claimed")
        return True

    def release(self, used: bool) -> None:
        self.notes.append(used)

    def set_ended(self, state: State) -> None:
        self.notes.append("ended")


@pytest.fixture
def lifecycle() -> Lifecycle:
    """One that is ready."""
    found = Lifecycle(Notes(), ProcessLimits(30, 10, 60, 100))
    found.gateway = object()
    return found


def use(lifecycle: Lifecycle, *leavers: bool) -> list[object]:
    """Come together and leave one after the other; the recorded calls."""
    lifecycle.coordination.notes.clear()
    for _ in leavers:
        with lifecycle.changed:
            assert lifecycle.take() is not None
    for used in leavers:
        lifecycle.leave(used=used)
    return lifecycle.coordination.notes


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
def test_release_reports_use_if_any_request_counts(lifecycle, leavers, used):
    assert use(lifecycle, *leavers) == ["claimed", used]


def test_release_reports_no_earlier_use(lifecycle):
    use(lifecycle, True, False)
    assert use(lifecycle, False) == ["claimed", False]


def test_requests_of_an_ended_instance_release_nothing(lifecycle):
    lifecycle.coordination.notes.clear()
    with lifecycle.changed:
        lifecycle.take()
        lifecycle.set_ended()
    lifecycle.leave()
    assert lifecycle.coordination.notes == ["claimed", "ended"]
