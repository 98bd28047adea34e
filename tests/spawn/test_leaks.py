"""Cycles of starting and stopping leave nothing behind, however they go."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spawn.children import MARK, ask, child, lines_of, processes, program, until, zombies
from tests.support.rounds import rounds

pytestmark = pytest.mark.in_turns(2)


def descriptors() -> dict[int, str]:
    """Those of this process, and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # that of the folder itself
            continue
    return found


def tasks() -> int:
    """The threads of this process, as the kernel counts them."""
    return len(os.listdir("/proc/self/task"))


def held(temporary: Path, threads: int) -> tuple[object, ...]:
    """What could leak.

    :param threads: so many are left as soon as those that are ending have had the time to.
    """
    gc.collect()
    until(lambda: tasks() <= threads, "the end of threads", 3)
    names = sorted(thread.name for thread in threading.enumerate())
    return descriptors(), names, zombies(), sorted(os.listdir(temporary))


def gone(pids: list[int]) -> bool:
    """Whether not even a zombie is left."""
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def repeat(turn: Callable[[], object], count: int, temporary: Path) -> None:
    """Run *turn* so often, and see that it has left nothing."""
    threads = tasks()
    for _ in range(2):  # what is made once only: modules, handlers
        turn()
    before = held(temporary, threads)
    for _ in range(count):
        turn()
    assert held(temporary, threads) == before
    assert before[2:] == ([], [])


def test_cycles_of_starting_and_stopping_leave_nothing(spawn, temporary, tmp_path):
    starts = tmp_path / "starts"
    app = spawn(child(starts=starts))
    supervisors: list[int] = []

    def turn() -> None:
        app.start()
        # The process between.
        with open(f"/proc/{app.pid}/stat", encoding="ascii") as file:
            supervisors.append(int(file.read().rpartition(")")[2].split()[1]))
        assert ask(app).status == 200
        app.stop()

    count = rounds(12, 100)
    repeat(turn, count, temporary)
    commands = [int(line) for line in lines_of(starts)]
    assert len(commands) == len(supervisors) == count + 2
    until(lambda: gone(commands + supervisors), "the end of all")


WAYS = [
    pytest.param(lambda path: child(), {}, 200, id="an-inherited-socket"),
    pytest.param(lambda path: child(port="{port}"), {}, 200, id="a-port"),
    pytest.param(lambda path: child(socket="{socket}"), {}, 200, id="a-unix-socket"),
    pytest.param(lambda path: child(), {"ready": "/pid"}, 200, id="a-check"),
    pytest.param(lambda path: child(detach=path), {"stop_timeout": 0}, 200, id="a-daemon"),
    pytest.param(lambda path: ["no-such-command-of-ours"], {}, 502, id="no-command"),
    pytest.param(lambda path: child("leave", status=1), {}, 502, id="it-exits"),
    pytest.param(lambda path: child("idle"), {"start_timeout": 0.1}, 502, id="it-never-listens"),
    pytest.param(
        lambda path: child("deaf", port="{port}"),
        {"ready": lambda address: False, "start_timeout": 0.2},
        502,
        id="it-is-never-ready",
    ),
]


@pytest.mark.parametrize(("command", "options", "status"), WAYS)
def test_cycles_of_applications_leave_nothing(spawn, temporary, tmp_path, command, options, status):
    def turn() -> None:
        with spawn(command(tmp_path / "detached"), **options) as app:
            assert ask(app).status == status

    repeat(turn, rounds(3, 15), temporary)


def test_applications_that_are_garbage_leave_nothing(spawn, mark, temporary):
    def turn() -> None:
        assert ask(spawn(child())).status == 200
        gc.collect()
        until(lambda: not processes(mark), "the end")

    repeat(turn, rounds(3, 15), temporary)


def test_crashes_of_ready_processes_leave_nothing(spawn, temporary):
    def turn() -> None:
        with spawn(child()) as app:
            assert ask(app, "/exit?1").status == 502

    repeat(turn, rounds(3, 15), temporary)


def test_idle_stops_leave_nothing(spawn, temporary):
    app = spawn(child(), idle_shutdown=0.02)

    def turn() -> None:
        assert ask(app).status == 200
        until(lambda: app.state == "stopped", "the end")

    repeat(turn, rounds(3, 15), temporary)


def test_stopped_starts_leave_nothing(spawn, temporary):
    app = spawn(child())

    def turn() -> None:
        app.start(wait=False)
        app.stop()

    repeat(turn, 30, temporary)


# With so many descriptors left as its first line says, and one more each time.
FEW = f"""
import os, resource, sys
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

def held():
    return sorted(os.listdir("/proc/self/fd"))

app = SpawningApplication(sys.argv[1:], inherit_env=[{MARK!r}])
ask(app)
app.stop()
before, (soft, hard) = held(), resource.getrlimit(resource.RLIMIT_NOFILE)
for more in range(16):
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(before) - 1 + more, hard))
    status = ask(app).status
    app.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(status, held() == before, flush=True)
"""


def few(mark: str, folder: Path) -> list[str]:
    with program(FEW, *child(), **{MARK: mark, "TMPDIR": str(folder)}) as parent:
        lines = [parent.line() for _ in range(16)]
        assert parent.wait() == 0, parent.stderr
    return lines


def test_starts_without_enough_descriptors_leave_nothing(mark, tmp_path):
    """Whichever it is that cannot be had."""
    lines = few(mark, tmp_path)
    assert set(lines) == {"502 True", "200 True"}
    assert (lines[0], lines[-1]) == ("502 True", "200 True")
    assert processes(mark) == {}


def test_folders_are_removed_without_enough_descriptors(mark, tmp_path):
    few(mark, tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["descriptor", "thread", "folder", "zombie"])
def test_the_test_would_notice(temporary, what):
    made: list[Callable[[], object]] = []
    stop = threading.Event()

    def leak() -> None:
        if what == "descriptor":
            number = os.dup(0)
            made.append(lambda: os.close(number))
        elif what == "thread":
            thread = threading.Thread(target=stop.wait)
            thread.start()
            made.append(lambda: (stop.set(), thread.join()))
        elif what == "folder":
            path = temporary / str(len(made))
            path.mkdir()
            made.append(path.rmdir)
        else:
            pid = os.posix_spawn("/bin/true", ["true"], {})
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            made.append(lambda: os.waitpid(pid, 0))

    try:
        with pytest.raises(AssertionError):
            repeat(leak, 3, temporary)
    finally:
        for undo in made:
            undo()
