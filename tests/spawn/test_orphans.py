"""A program that is killed takes along all that it has spawned, within a second."""

from __future__ import annotations

import os
import shlex
import signal
import time

import pytest

from tests.spawn.children import MARK, Program, alive, child, lines_of, processes, program, until

pytestmark = pytest.mark.in_turns(2)

#: Seconds after which nothing may be left, as promised.
PROMISED = 1

# Spawns its arguments, does what is put in, tells the pid, and waits to be killed.
PARENT = f"""
import os, signal, subprocess, sys
from tests.spawn.children import Pieces, ask, child, environ
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[1:], inherit_env=[{MARK!r}])
%s
print(app.pid, flush=True)
%s
"""
ASKS = "assert ask(app).status == 200"
WAITS = "sys.stdin.read()"


def left(mark: str, parent: Program) -> dict[int, str]:
    """What runs of it, but for the parent."""
    return {pid: line for pid, line in processes(mark).items() if pid != parent.process.pid}


def gone(mark, temporary, since: float, *pids: int) -> float:
    """Wait for the end of all, and of *pids*; the seconds that it took."""
    until(lambda: not processes(mark) and not alive(*pids) and not os.listdir(temporary), "the end")
    return time.monotonic() - since


def shell(*commands: list[str]) -> list[str]:
    """A wrapper as people write them: its children are in the background."""
    return ["sh", "-c", " & ".join([*map(shlex.join, commands), "wait"])]


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        pytest.param(lambda path: child(), 2, id="one-process"),
        pytest.param(lambda path: child(ignore="yes"), 2, id="SIGTERM-ignored"),
        pytest.param(lambda path: child(linger=20), 2, id="SIGTERM-takes-long"),
        pytest.param(lambda path: shell(child(), child("idle")), 4, id="shell-that-forks"),
        pytest.param(
            lambda path: shell(child(ignore="yes"), child("idle", ignore="yes")),
            4,
            id="shell-whose-children-ignore-SIGTERM",
        ),
        pytest.param(lambda path: ["setsid", "-w", *child()], 3, id="other-session"),
        pytest.param(lambda path: child(detach=path), 3, id="daemon-beside-it"),
        pytest.param(
            lambda path: shell(child(detach=path), child("idle")), 5, id="daemon-below-a-shell"
        ),
    ],
)
def test_sigkill_of_the_parent_ends_all_processes_within_a_second(
    mark, temporary, detached, shape, count
):
    with program(PARENT % (ASKS, WAITS), *shape(detached), **{MARK: mark}) as parent:
        parent.line()
        # The supervisor is one of them.
        until(lambda: len(left(mark, parent)) == count, f"{count} processes")
        pids = [*left(mark, parent), *map(int, lines_of(detached))]
        assert len(os.listdir(temporary)) == 1
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since, *pids) < PROMISED


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("os._exit(0)", id="_exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", id="SIGTERM"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", id="SIGSEGV"),
        pytest.param("os.execv('/bin/true', ['true'])", id="exec"),
    ],
)
def test_each_other_abrupt_end_of_the_parent_ends_all_processes(mark, temporary, tmp_path, end):
    ended = tmp_path / "ended"
    with program(PARENT % (ASKS, end), *child(ended=ended), **{MARK: mark}) as parent:
        pid = parent.line()
        parent.wait()
        assert gone(mark, temporary, time.monotonic()) < PROMISED
        # It was asked first.
        assert lines_of(ended) == [pid]


def test_the_end_of_the_parent_shortens_a_stop(mark, temporary, tmp_path):
    ended = tmp_path / "ended"
    code = PARENT % (ASKS, "app.stop()")
    with program(code, *child(ended=ended, linger=20), **{MARK: mark}) as parent:
        until(lambda: lines_of(ended), "SIGTERM")
        assert len(left(mark, parent)) == 2
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED


def test_the_end_of_the_parent_ends_a_start(mark, temporary, tmp_path):
    starts = tmp_path / "starts"
    code = PARENT % ("app.start(wait=False)", WAITS)
    with program(code, *child("idle", starts=starts), **{MARK: mark}) as parent:
        until(lambda: lines_of(starts), "a start")
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED


@pytest.mark.parametrize("count", [0, 1, 2], ids=["before", "supervisor", "command"])
def test_a_start_ends_at_whatever_moment_the_parent_is_killed(mark, tmp_path, count):
    """From the very first one: no moment may be without a connection to the supervisor."""
    code = PARENT % ("app.start(wait=False)", WAITS)
    # Not that of the tests: a folder may be made in the instant before a process could remove it.
    for _ in range(5):
        with program(code, *child(), **{MARK: mark, "TMPDIR": str(tmp_path)}) as parent:
            parent.line()
            until(lambda parent=parent: len(left(mark, parent)) >= count)
            parent.kill()
            until(lambda: not processes(mark), "the end", PROMISED)


def test_an_open_stream_does_not_keep_an_orphan_running(mark, temporary):
    stream = ASKS + "\nstream = Pieces(app, environ('/events'))\nassert stream.next()"
    with program(PARENT % (stream, WAITS), *child(), **{MARK: mark}) as parent:
        parent.line()
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED


def test_other_children_of_the_parent_do_not_inherit_the_connection(mark, temporary):
    others = (
        ASKS
        + "\nother = subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False, env={})"
        + "\nprint(other.pid, flush=True)"
    )
    with program(PARENT % (others, WAITS), *child(), **{MARK: mark}) as parent:
        other = int(parent.line())
        parent.line()
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED
        assert alive(other) == [other]
        parent.tell("")  # its stdin is that of the parent
        until(lambda: not alive(other), "the end of the other")


def test_several_applications_end_together(mark, temporary):
    code = ASKS + "\nmore = [SpawningApplication(sys.argv[1:], inherit_env=[%r]) for _ in range(4)]"
    code = (code % MARK) + "\nassert all(ask(each).status == 200 for each in more)"
    with program(PARENT % (code, WAITS), *child(ignore="yes"), **{MARK: mark}) as parent:
        parent.line()
        assert len(left(mark, parent)) == 10
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED


def test_a_stopped_process_is_killed_as_well(mark, temporary):
    """SIGSTOP holds back SIGTERM, not SIGKILL."""
    with program(PARENT % (ASKS, WAITS), *child(), **{MARK: mark}) as parent:
        os.kill(int(parent.line()), signal.SIGSTOP)
        since = time.monotonic()
        parent.kill()
        assert gone(mark, temporary, since) < PROMISED


def test_the_command_ends_with_its_supervisor_while_the_parent_is_stopped(mark, tmp_path):
    """Both may be killed at the same time; then it is the kernel that ends the command."""
    # No process is left to remove the folder.
    where = {MARK: mark, "TMPDIR": str(tmp_path)}
    with program(PARENT % (ASKS, WAITS), *child(ignore="yes"), **where) as parent:
        command = int(parent.line())
        [supervisor] = set(left(mark, parent)) - {command}
        os.kill(parent.process.pid, signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: not alive(command), "the end of the command", PROMISED)
        assert alive(parent.process.pid)


def test_ctrl_c_in_a_terminal_is_for_the_parent_alone(mark, temporary, tmp_path):
    """It comes to the whole group; the process is asked by SIGTERM, once, and not by SIGINT."""
    ended = tmp_path / "ended"
    code = "import os; os.setpgid(0, 0)" + PARENT % (ASKS, "signal.pause()")
    with program(code, *child(ended=ended), **{MARK: mark}) as parent:
        pid = int(parent.line())
        os.killpg(parent.process.pid, signal.SIGINT)
        assert parent.wait() == -signal.SIGINT
        assert lines_of(ended) == [str(pid)]
        assert gone(mark, temporary, time.monotonic()) < PROMISED


def test_the_test_would_notice(mark):
    """What is not spawned by us outlives its parent."""
    code = (
        "import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True)"
    )
    with program(code, *child("idle"), **{MARK: mark}) as parent:
        pid = int(parent.line())
        parent.wait()
        try:
            assert list(processes(mark)) == [pid]
        finally:
            os.kill(pid, signal.SIGKILL)
