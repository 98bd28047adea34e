"""Memory of nonces: each is new once, for as long as its signature is good."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.observe import warn
from wsgiproxy.replay import MemoryReplay


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes as one sets it."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warn, "_warned", set())


def test_a_key_is_new_once():
    store = MemoryReplay()
    assert store.add("k1:a", 65) is True
    assert store.add("k1:a", 65) is False
    assert store.add("k1:b", 65) is True
    assert store.add("k2:a", 65) is True
    assert store.add("k1:a", 65) is False


@pytest.mark.parametrize(("after", "is_new"), [(0, False), (64.9, False), (65, True), (1000, True)])
def test_a_key_is_remembered_for_its_ttl(clock, after, is_new):
    store = MemoryReplay()
    store.add("a", 65)
    clock[0] += after
    assert store.add("a", 65) is is_new


def test_a_repeated_key_keeps_its_ttl(clock):
    store = MemoryReplay()
    store.add("a", 65)
    clock[0] += 60
    assert not store.add("a", 65)
    clock[0] += 5
    assert store.add("a", 65)


def test_an_expired_key_is_forgotten(clock, caplog):
    store = MemoryReplay(limit=10)
    for number in range(1000):
        assert store.add(str(number), 5)
        clock[0] += 1
    assert len(store._until) <= 6
    assert not caplog.records


def test_a_full_store_forgets_the_oldest_and_warns_once(caplog):
    store = MemoryReplay(limit=3)
    for key in "abcdef":
        assert store.add(key, 65)
    assert len(store._until) == 3
    assert [store.add(key, 65) for key in "fed"] == [False, False, False]
    assert store.add("a", 65)
    [record] = caplog.records
    assert record.getMessage() == "replay='memory': more than 3 nonces, forgetting the oldest"


def test_an_expired_key_is_new_again(clock):
    """With its new place in the order, too."""
    store = MemoryReplay(limit=2)
    store.add("a", 1)
    store.add("b", 100)
    clock[0] += 2
    assert store.add("a", 100)
    assert store.add("c", 100)
    assert not store.add("a", 100)
    assert store.add("b", 100)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 10)), max_size=40))
def test_the_store_agrees_with_a_list(steps):
    """A key is new exactly if it was not added within its time before."""
    with pytest.MonkeyPatch.context() as patch:
        now, added = [0.0], {}
        patch.setattr(time, "monotonic", lambda: now[0])
        store = MemoryReplay()
        for key, pause in steps:
            now[0] += pause
            expected = added.get(key, 0.0) <= now[0]
            assert store.add(key, 7) is expected
            if expected:
                added[key] = now[0] + 7


def test_of_many_threads_one_is_first():
    store = MemoryReplay()
    ready = threading.Barrier(8)
    won: list[list[str]] = []

    def use() -> None:
        ready.wait()
        won.append([key for key in map(str, range(500)) if store.add(key, 65)])

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sum(won, [])) == sorted(map(str, range(500)))
