"""A program that forks: each process has its own child and connection to its supervisor."""

from __future__ import annotations

import os

from tests.spawn.children import MARK, alive, child, lines_of, processes, program, until
from tests.support.rounds import rounds

#: As in `test_orphans`.
PROMISED = 1

_BEGIN = f"""
import os, sys
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[1:], inherit_env=[{MARK!r}], max_wait=5)

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def wait():
    os.read(0, 1)
"""

FORKS_WHILE_IT_RUNS = (
    _BEGIN
    + """
first = ask(app).text
pid = os.fork()
if not pid:
    before = app.state, app.pid
    second = ask(app).text
    again = ask(app).text
    tell(first, second, again, *before)
    wait()
    app.close()
    tell(app.state, app.pid)
    os._exit(0)
wait()
os.waitpid(pid, 0)
tell(ask(app).text, app.state)
"""
)


def test_a_forked_process_starts_its_own_and_ends_its_own(mark, temporary, tmp_path):
    ended = tmp_path / "ended"
    with program(FORKS_WHILE_IT_RUNS, *child(ended=ended), **{MARK: mark}) as parent:
        first, second, again, state, pid = parent.line().split()
        assert (state, pid) == ("stopped", "None")
        assert second == again != first
        assert alive(int(first), int(second)) == [int(first), int(second)]
        parent.tell("x")  # one byte for each of them
        assert parent.line() == "stopped None"
        assert parent.line() == f"{first} ready"
        assert parent.wait() == 0
        assert lines_of(ended) == [second, first]


FORKS_AND_IS_KILLED = (
    _BEGIN
    + """
first = ask(app).text
pid = os.fork()
if not pid:
    wait()
    tell(ask(app).text)
    app.close()
    os._exit(0)
tell(first, pid)
wait()
"""
)


def test_a_forked_process_does_not_keep_alive_what_its_dead_parent_has_started(mark, temporary):
    with program(FORKS_AND_IS_KILLED, *child(), **{MARK: mark}) as parent:
        first, fork = map(int, parent.line().split())
        parent.kill()
        until(lambda: list(processes(mark)) == [fork], "the end of the child", PROMISED)
        assert os.listdir(temporary) == []
        # And it can go on by itself.
        parent.tell("")
        assert int(parent.line()) != first
        until(lambda: not processes(mark), "the end of the fork")


FORKS_WHILE_IT_STARTS = (
    _BEGIN
    + """
app.start(wait=False)
pids = []
for _ in range(40):
    pid = os.fork()
    if not pid:
        wait()
        os._exit(0)
    pids.append(pid)
answer = ask(app)
tell(answer.status, app.pid or 0, *pids)
wait()
"""
)


def test_a_process_that_is_forked_during_a_start_does_not_keep_it_alive_either(mark, temporary):
    """At any moment: the connection to the supervisor may be old, or just have been made."""
    for _ in range(rounds(4, 10)):
        with program(FORKS_WHILE_IT_STARTS, *child(), **{MARK: mark}) as parent:
            status, first, *forks = map(int, parent.line().split())
            try:
                assert (status, alive(first)) == (200, [first])
                parent.kill()
                alone = set(forks)
                until(lambda alone=alone: set(processes(mark)) == alone, "the end", PROMISED)
            finally:
                parent.tell("x" * len(forks))
                until(lambda forks=forks: not alive(*forks), "the end of the forks")


FORKS_AT_ONCE = (
    _BEGIN
    + """
app.start(wait=False)
pid = os.fork()
if not pid:
    tell(ask(app).status)
    app.close()
    os._exit(0)
os.waitpid(pid, 0)
tell(ask(app).status)
"""
)


def test_a_process_forked_at_the_beginning_of_a_start_can_start_its_own(mark, temporary):
    """The first use of tempfile takes its time, and a lock."""
    for _ in range(rounds(3, 20)):
        with program(FORKS_AT_ONCE, *child(), **{MARK: mark}) as parent:
            assert (parent.line(), parent.line()) == ("200", "200"), parent.stderr
            assert parent.wait() == 0, parent.stderr


ENDS_AFTER_A_FORK = (
    _BEGIN
    + """
first = ask(app).text
tell(first)
pid = os.fork()
if not pid:
    sys.exit(0)  # with its exit handlers
os.waitpid(pid, 0)
tell(ask(app).text)
"""
)


def test_the_orderly_end_of_a_forked_process_leaves_the_child_of_its_parent(mark, temporary):
    with program(ENDS_AFTER_A_FORK, *child(), **{MARK: mark}) as parent:
        assert parent.line() == parent.line()
        assert parent.wait() == 0, parent.stderr
