"""One process for all workers of a server, and none that outlives or outnumbers them."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests.spawn.children import LIMIT, alive, lines_of, until
from tests.spawn.programs import server
from tests.spawn.programs.front import WORKER
from tests.spawn.programs.workers import COUNT, Workers, parent_of, told, workers
from tests.support.rounds import rounds

pytestmark = pytest.mark.in_turns(2)

Serve = Callable[..., Workers]
KINDS = {"inherit": server(), "unix": server(socket="{socket}"), "port": server(port="{port}")}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, with a path that a Unix socket can have."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield Path(folder)


@pytest.fixture
def serve(mark: str, tmp_path: Path, short: Path) -> Iterator[Serve]:
    """Starts gunicorn: ``serve("--preload", share=True)``."""
    with ExitStack() as stack:

        def start(*words: str, **options: object) -> Workers:
            settings = {"start_script": server(), "share": True, **options}
            made = Path(tempfile.mkdtemp(dir=tmp_path))
            return stack.enter_context(workers(mark, made, *words, **settings))

        yield start


def listens(running: Workers) -> None:
    """Return when it serves, without a request for the process."""
    import socket

    def connected() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", running.port)) == 0

    until(connected, "gunicorn")
    until(lambda: len(running.pids) == COUNT, "its workers")


@pytest.fixture
def running(serve: Serve) -> Workers:
    found = serve()
    listens(found)
    return found


# One for all


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [[], ["--preload"]], ids=["loaded by each", "loaded once"])
def test_all_workers_share_one_process(serve, words, kind):
    running = serve(*words, start_script=KINDS[kind])
    listens(running)
    assert running.starts == []  # there was no request yet
    asked, answered = running.all_ask()
    assert set(asked) == set(running.pids)
    assert answered == running.starts * COUNT
    assert len(running.supervisors) == 1
    running.all_ask()
    assert len(running.starts) == 1


def test_a_process_that_is_started_before_the_fork_is_shared(serve):
    running = serve("--preload", at_once=True)
    listens(running)
    (pid,) = running.starts
    assert running.all_ask()[1] == [pid] * COUNT
    running.stop()
    until(lambda: not alive(pid), "the end of the process")


def test_without_share_each_worker_has_its_own(serve):
    running = serve(share=False)
    listens(running)
    asked, answered = running.all_ask()
    assert sorted(answered) == sorted(running.starts)
    assert len(set(answered)) == len(running.supervisors) == COUNT
    assert sorted(parent_of(pid) for pid in running.supervisors) == sorted(asked)


@pytest.mark.parametrize("words", [[], ["--preload"]], ids=["loaded by each", "loaded once"])
def test_two_servers_do_not_meet(serve, words):
    """Of the same application, by the same user, in the same folder for temporary files."""
    one, two = serve(*words), serve(*words)
    listens(one)
    listens(two)
    assert set(one.all_ask()[1]).isdisjoint(two.all_ask()[1])


@pytest.mark.parametrize("words", [[], ["--preload"]], ids=["loaded by each", "loaded once"])
def test_servers_that_are_alike_to_the_letter_do_not_meet(mark, tmp_path, short, words):
    """As one that is replaced by another of a new version."""
    options = {"start_script": server(), "share": True}
    with workers(mark, tmp_path, *words, **options) as one:
        listens(one)
        with workers(mark, tmp_path, *words, **options) as two:
            listens(two)
            assert told(one.ask())["pid"] != told(two.ask())["pid"]


# Workers that come and go


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_the_worker_that_has_started_it_does_not_take_it_along(serve, kind, number):
    running = serve(start_script=KINDS[kind])
    listens(running)
    before, _ = running.all_ask()
    (pid,) = running.starts
    (supervisor,) = running.supervisors
    starter = parent_of(supervisor)
    assert starter in before
    requests, gate = running.held()
    os.kill(starter, number)
    if number == signal.SIGKILL:
        until(lambda: not alive(starter), "the end of the worker")
    gate.touch()
    responses = [request.end() for request in requests]
    kept = [each for each in responses if each.values(WORKER) not in ([], [str(starter)])]
    assert len(kept) == COUNT - 1
    assert [told(each)["pid"] for each in kept] == [pid] * len(kept)
    until(lambda: not alive(starter), "the end of the worker")
    until(lambda: len(running.pids) == COUNT, "another worker")
    after, answered = running.all_ask()
    assert starter not in after
    assert answered == [pid] * COUNT
    assert running.starts == [pid]


def test_workers_that_are_replaced_all_the_time_lose_nothing(serve):
    running = serve("--max-requests=4", "--max-requests-jitter=4")
    listens(running)
    seen: list[tuple[int, list[str], str]] = []

    def come() -> None:
        for _ in range(rounds(20, 40)):
            response = running.ask()
            seen.append((response.status, response.values(WORKER), response.error))

    clients = [threading.Thread(target=come, daemon=True) for _ in range(3)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(2 * LIMIT)
    assert {status for status, _, _ in seen} == {200}, running.log[-3000:]
    assert len({worker[0] for _, worker, _ in seen}) > 2 * COUNT
    until(lambda: len(running.alive) <= 1, "one process at most")


@pytest.mark.parametrize("share", [True, False], ids=["shared", "not shared"])
@pytest.mark.parametrize("how", ["told to end", "killed"])
def test_processes_end_with_the_workers(serve, share, how):
    running = serve(share=share)
    listens(running)
    running.all_ask()
    pids, supervisors = running.starts, running.supervisors
    if how == "killed":
        running.kill()
        until(lambda: not alive(*pids), "the end of the processes", limit=1)
    else:
        running.stop()
    until(lambda: not alive(*pids, *supervisors), "the end of the processes")


def test_nothing_is_left_behind_but_what_they_have_agreed_on(serve, short):
    running = serve()
    listens(running)
    running.all_ask()
    running.stop()
    until(lambda: not running.alive, "the end of the process")
    agreed = {"lock", "use", "current", "failure"}
    until(lambda: files_in(short) == agreed, f"the end of the others: {files_in(short)}")


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir()}


# Failures


def test_after_a_crash_one_of_them_starts_it_again(running):
    running.all_ask()
    (before,) = running.starts
    assert running.ask("/crash").status == 502
    asked, answered = running.all_ask()
    assert len(set(answered)) == 1 and before not in answered
    assert running.starts == [before, answered[0]]
    assert len(running.supervisors) == 1


def test_after_a_kill_under_load_one_of_them_starts_it_again(running):
    """Requests that it has taken are lost, and no others."""
    running.all_ask()
    (before,) = running.starts
    requests, _ = running.held()
    os.kill(before, signal.SIGKILL)
    assert {request.end().status for request in requests} == {502}
    assert running.all_ask()[1] == running.starts[1:] * COUNT
    assert len(running.starts) == 2


def test_a_start_that_fails_is_tried_by_one_of_them(serve, tmp_path):
    """The others hear of it, and do not try again at once."""
    failing = [
        "sh",
        "-c",
        'for word; do case $word in began=*) echo $$ >> "${word#began=}";; esac; done; exit 3',
        "sh",
    ]
    running = serve(start_script=failing)
    listens(running)
    statuses: list[int] = []
    clients = [
        threading.Thread(target=lambda: statuses.append(running.ask().status), daemon=True)
        for _ in range(COUNT)
    ]
    began = monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join(LIMIT)
    assert set(statuses) <= {502, 503} and 502 in statuses
    # The pauses are of 1, 2, 4 seconds.
    assert len(running.starts) <= 1 + int(monotonic() - began)
    assert "it ended with status 3 before it was ready" in running.log


def test_a_worker_that_is_killed_while_it_starts_it_is_replaced(serve, tmp_path):
    """Whoever waits for it starts it then."""
    wait = tmp_path / "wait"
    running = serve(start_script=server(wait=wait))
    listens(running)
    responses: list[int] = []
    clients = [
        threading.Thread(target=lambda: responses.append(running.ask().status), daemon=True)
        for _ in range(COUNT)
    ]
    for client in clients:
        client.start()
    until(lambda: len(running.supervisors) == 1 and running.starts, "the start")
    starter = parent_of(running.supervisors[0])
    first = running.starts[0]
    os.kill(starter, signal.SIGKILL)
    until(lambda: not alive(first), "the end of the process")
    until(lambda: len(running.starts) == 2, "another start")
    wait.touch()
    for client in clients:
        client.join(LIMIT)
    assert sorted(responses) == [0, *[200] * (COUNT - 1)]
    assert running.all_ask()[1] == running.starts[1:] * COUNT


# Idle


def test_it_is_stopped_when_no_worker_uses_it(serve):
    running = serve(idle_shutdown=1)
    listens(running)
    running.all_ask()
    (pid,) = running.starts
    requests, gate = running.held(1)
    since = monotonic()
    while monotonic() < since + 3:  # nothing is to happen in this time
        assert alive(pid)
        threading.Event().wait(0.05)
    gate.touch()
    assert told(requests[0].end())["pid"] == pid
    until(lambda: not running.supervisors, "the end of the idle process")
    assert running.all_ask()[1] == running.starts[1:] * COUNT
    assert len(running.starts) == 2


def test_an_idle_stop_under_load_loses_nothing(serve):
    """The pauses between requests are about as long as that after which it is stopped."""
    running, count = serve(idle_shutdown=0.05), rounds(25, 60)
    listens(running)
    pause = threading.Event()
    statuses: list[int] = []

    def come(own: float) -> None:
        for number in range(count):
            statuses.append(running.ask().status)
            pause.wait(0.03 + own + number % 8 * 0.013)

    clients = [threading.Thread(target=come, args=[n * 0.003], daemon=True) for n in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(4 * LIMIT)
    assert statuses == [200] * 2 * count, running.log[-3000:]
    assert len(running.starts) > 1  # or it has not been stopped at all
    assert len(lines_of(running.requests)) == 2 * count
