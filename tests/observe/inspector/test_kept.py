"""Bodies that are kept, and their files: bounded, and gone when nothing needs them."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.kept import IN_MEMORY, Kept, Limits, Spool
from wsgiproxy.observe.inspector.ring import Ring

REQUEST = "GET", "/", "HTTP/1.1", [("Host", "a.example")], ""
ANSWER = "200 OK", []
EVENTS = "200 OK", [("Content-Type", "text/event-stream")]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The files that are kept now."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return lambda: [str(path) for path in tmp_path.rglob("*") if path.is_file()]


def begun(ring: Ring) -> Exchange:
    exchange = ring.begin(KNOWN, REQUEST, "http")
    assert exchange is not None
    return exchange


def in_threads(count: int, work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_eight_threads_whose_exchanges_are_dropped_while_they_write(
    folders: Callable[[], list[str]],
) -> None:
    ring = Ring(Limits(exchanges=3))
    block = bytes(40_000)

    def work() -> None:
        for _ in range(60):
            exchange = begun(ring)
            exchange.begin_answer(*ANSWER)
            for _ in range(6):
                exchange.add_answer(block)
            exchange.end()

    in_threads(8, work)
    ring.settle()
    assert len(ring) == 3
    kept = ring.exchanges()
    assert ring.disk == sum(body.on_disk for each in kept for body in each.bodies)
    assert len(folders()) == sum(body.on_disk > 0 for each in kept for body in each.bodies)
    ring.clear()
    assert (ring.disk, ring.memory, folders()) == (0, 0, [])


def test_a_body_that_is_forgotten_while_it_passes(folders: Callable[[], list[str]]) -> None:
    spool = Spool()
    body = Kept(1 << 30, spool)
    body.add(bytes(IN_MEMORY + 1))
    assert len(folders()) == 1
    body.forget()
    body.add(bytes(IN_MEMORY + 1))
    body.end()
    assert (folders(), spool.size, body.kept, body.size) == ([], 0, 0, 2 * IN_MEMORY + 2)


def test_what_begins_in_an_exchange_that_is_gone_is_not_kept(
    folders: Callable[[], list[str]],
) -> None:
    ring = Ring()
    exchange = begun(ring)
    ring.clear()
    exchange.is_forgotten = False  # as a thread sees it that has just looked
    body = exchange.new_body()
    exchange.is_forgotten = True
    exchange.body = body
    exchange.begin_answer(*ANSWER)
    exchange.add_body(bytes(IN_MEMORY + 1))
    exchange.add_answer(bytes(IN_MEMORY + 1))
    assert (folders(), ring.disk) == ([], 0)


def test_an_answer_in_place_of_another_one_leaves_no_file(
    folders: Callable[[], list[str]],
) -> None:
    ring = Ring()
    exchange = begun(ring)
    for _ in range(2):
        exchange.begin_answer(*ANSWER)
        exchange.add_answer(bytes(IN_MEMORY + 1))
    assert len(folders()) == 1
    assert ring.disk == IN_MEMORY + 1
    ring.clear()


def test_slow_streams_leave_no_more_files_than_they_may() -> None:
    ring = Ring(Limits(disk=4 << 20))
    exchanges = [begun(ring) for _ in range(5)]
    for exchange in exchanges:
        exchange.begin_answer(*ANSWER)
    for _ in range(16):
        for exchange in exchanges:
            exchange.add_answer(bytes(IN_MEMORY + 1))
    assert ring.disk < 6 << 20
    assert exchanges[-1].answer_body is not None
    assert ring.exchanges()[-1] is exchanges[-1]
    ring.clear()


def test_the_moments_of_an_event_stream_are_counted_and_go() -> None:
    ring = Ring(Limits(memory=1 << 20))
    exchanges = [begun(ring) for _ in range(10)]
    for exchange in exchanges:
        exchange.begin_answer(*EVENTS)
        for _ in range(5000):
            exchange.add_answer(b"data:\n\n")
    assert ring.memory < 2 << 20
    body = exchanges[0].answer_body
    assert exchanges[0].is_forgotten
    assert body is not None
    assert not body.arrivals
    ring.clear()


def test_a_disk_that_is_full_leaves_what_is_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    spool = Spool()
    body = Kept(1 << 30, spool)
    body.add(b"a" * IN_MEMORY)
    body.add(b"b")
    body.add(b"c")
    assert (body.read(), body.size, body.is_cut) == (b"a" * IN_MEMORY, IN_MEMORY + 2, True)
    assert spool.size == 0


def test_no_descriptor_stays_open() -> None:
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("there is no /proc")
    gc.collect()
    before = len(os.listdir(folder))
    ring = Ring(Limits(exchanges=5, body=IN_MEMORY + 10))
    for _ in range(50):
        exchange = begun(ring)
        exchange.begin_answer(*ANSWER)
        exchange.add_answer(bytes(IN_MEMORY + 5))
    assert len(os.listdir(folder)) <= before + 5
    ring.clear()
    assert len(os.listdir(folder)) == before


def test_an_exchange_may_end_at_any_point_of_a_wait_for_it() -> None:
    ring = Ring()
    changes = ring.listen()
    is_over = threading.Event()

    def wait() -> None:
        # As where garbage is collected, which may be an answer that ends its exchange.
        sys.setprofile(lambda frame, event, value: changes.note(5))
        try:
            found = [changes.wait(0.01) for _ in range(5)]
        finally:
            sys.setprofile(None)
        assert {5} in found
        is_over.set()

    threading.Thread(target=wait, daemon=True).start()
    assert is_over.wait(20)
    changes.wait(0)
    changes.note(7)
    assert changes.wait(20) == {7}
    changes.close()


def test_a_child_begins_with_an_empty_ring_and_leaves_the_files_of_its_parent(
    folders: Callable[[], list[str]],
) -> None:
    ring = Ring(Limits(exchanges=1))
    ring.keep_until = lambda number: False
    exchange = begun(ring)
    exchange.begin_answer(*ANSWER)
    exchange.add_answer(bytes(IN_MEMORY + 1))
    with ring._lock:  # of a thread that the child does not have
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                begun(ring)
                begun(ring)
                ring.clear()
                status = len(ring)
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(ring) == 1
    assert len(folders()) == 1
    ring.clear()
