"""A supervisor where descriptors are few or not listed, and the folder that it keeps for itself."""

from __future__ import annotations

import fcntl
import os
import resource
import threading

import pytest

from tests.spawn.children import ask, child, program, until


def cpu(pid: int) -> int:
    """The time that a process has used, in ticks of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_connection_waits_without_cpu_time_while_descriptors_are_few(spawn, folder):
    """The descriptor that is left is not enough; it would be tried again without a pause."""
    one, other = (spawn(child(), share=str(folder)) for _ in range(2))
    one.start()
    supervisor = one._backend.lifecycle.instance.supervisor
    before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{supervisor}/fd")}
    lowest = min(set(range(len(used) + 1)) - used)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (lowest + 1, before[1]))
    other.start(wait=False)
    until(lambda: other._backend.lifecycle.instance, "a connection")
    since = cpu(supervisor)
    threading.Event().wait(0.5)  # in which nothing is to happen
    assert cpu(supervisor) - since <= 5
    assert (ask(one).text, other.state) == (str(one.pid), "starting")
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
    assert ask(other).text == str(one.pid)


def test_the_folder_of_an_instance_is_locked_until_its_end(spawn, temporary):
    """systemd-tmpfiles(8) removes nothing that is locked, however old it looks."""
    app = spawn(child())
    app.start()
    (path,) = temporary.iterdir()
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may do the same
        fcntl.flock(number, fcntl.LOCK_UN)
        app.stop()
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(number)


SETTLES_IN = """
import os, sys

def refuse(path):
    raise PermissionError(path)

os.listdir = refuse
from wsgiproxy.spawn.supervisor.command import become_supervisor

kept, closed = os.pipe()
far = os.dup2(closed, 700)
for number in (kept, far):
    os.set_inheritable(number, True)
become_supervisor({kept})
for number in (closed, far):
    try:
        os.fstat(number)
        print("open", flush=True)
    except OSError:
        print("closed", flush=True)
print(os.get_inheritable(kept), flush=True)
"""


def test_where_descriptors_are_not_listed_all_are_closed():
    """No /dev/fd, or one that must not be read."""
    with program(SETTLES_IN) as settling:
        assert [settling.line() for _ in range(3)] == ["closed", "closed", "False"]
        assert settling.wait() == 0, settling.stderr
