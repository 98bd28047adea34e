"""What a forked process must not keep: connections to supervisors, listening sockets, and locks.

Each of them is looked at in the process that is forked at the worst moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket

import pytest

from tests.spawn.children import MARK, alive, child, processes, program, until

pytestmark = pytest.mark.in_turns(2)

WAITS = """
import json, os, socket, threading
from wsgiproxy.spawn.atfork import making

entered, made_all, forked = threading.Event(), threading.Event(), threading.Event()
# Such handlers are called in reverse: this one is before the fork has to wait.
os.register_at_fork(before=entered.set)
mine = []

def fork():
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, json.dumps([sock.fileno() >= 0 for sock in mine]).encode())
        os._exit(0)
    forked.set()
    os.wait()
    print(os.read(reading, 100).decode(), flush=True)

with making() as made:
    forking = threading.Thread(target=fork)
    forking.start()
    entered.wait()
    waits = not forked.wait(0.3)
    mine += map(made, socket.socketpair())
    ours = socket.socket()
    mine.append(ours)
forking.join()
print(json.dumps([waits, *(sock.fileno() >= 0 for sock in mine)]))
"""


def test_a_fork_waits_until_a_descriptor_is_registered_and_closes_it():
    """And nothing else; what is the parent's stays open."""
    with program(WAITS) as parent:
        assert json.loads(parent.line()) == [False, False, True]
        assert json.loads(parent.line()) == [True, True, True, True]
        assert parent.wait() == 0, parent.stderr


_BEGIN = f"""
import os, sys
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

share = sys.argv[1] or None
command = sys.argv[2:]

def made():
    return SpawningApplication(command, share=share, inherit_env=[{MARK!r}])

def kept():
    # The descriptors that a fork should not have.
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{{name}}")
        except OSError:  # that of the folder itself
            continue
        if link.startswith("socket:") or share and link.startswith(share):
            found.append(link)
    return found

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""

# An audit hook is called in the thread that does it, just before it is done.
FORKS_AT = (
    _BEGIN
    + """
def look(event, arguments):
    if event == moment and (event != "socket.connect" or str(arguments[1]).endswith("control")):
        pid = os.fork()
        if not pid:
            tell(kept())
            os._exit(0)
        os.waitpid(pid, 0)

moment = ""
sys.addaudithook(look)
apps = [made(), made()] if share else [made()]
moment = os.environ["MOMENT"]
for app in apps:
    app.start()
moment = ""
for app in apps:
    app.close()
tell("end")
"""
)


@pytest.mark.parametrize(
    ("moment", "shared", "count"),
    [
        pytest.param("socket.bind", False, 1, id="a socket that is bound"),
        pytest.param("os.posix_spawn", False, 1, id="a supervisor that is started"),
        pytest.param("socket.bind", True, 2, id="a control socket that is bound"),
        pytest.param("os.posix_spawn", True, 1, id="a shared supervisor that is started"),
        pytest.param("socket.connect", True, 1, id="a control socket that is connected to"),
    ],
)
def test_a_process_forked_during_a_start_keeps_no_descriptor(
    mark, temporary, folder, moment, shared, count
):
    share = str(folder) if shared else ""
    with program(FORKS_AT, share, *child(), **{MARK: mark, "MOMENT": moment}) as parent:
        # The test would prove nothing where there is nothing to keep.
        assert [parent.line() for _ in range(count + 1)] == ["[]"] * count + ["end"]
        assert parent.wait() == 0, parent.stderr


# Its files are removed, and it opens others; another thread forks as soon as it may.
FORKS_AT_ONCE = (
    _BEGIN
    + """
import glob, threading

opens, entered = threading.Event(), threading.Event()
os.register_at_fork(before=entered.set)

def fork():
    opens.wait()
    pid = os.fork()
    if not pid:
        tell(kept())
        os._exit(0)
    os.waitpid(pid, 0)

def look(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/use") and not opens.is_set():
        opens.set()
        entered.wait()

app = made()
os.unlink(glob.glob(share + "/*/lock")[0])
forking = threading.Thread(target=fork)
forking.start()
sys.addaudithook(look)
tell(ask(app).status)
forking.join()
app.close()
"""
)


def test_a_process_forked_while_lock_files_are_reopened_keeps_none(mark, temporary, folder):
    with program(FORKS_AT_ONCE, folder, *child(), **{MARK: mark}) as parent:
        assert {parent.line(), parent.line()} == {"[]", "200"}
        assert parent.wait() == 0, parent.stderr


LIVES_ON = (
    _BEGIN
    + """
import time

app = made()
app.start(wait=False)
while app.pid is None:
    time.sleep(0.001)
pid = os.fork()
if not pid:
    os.read(0, 1)
    os._exit(0)
run = app._backend.lifecycle.instance
tell(pid, run.socket.origin.port, os.path.dirname(run.folder))
os.read(0, 1)
"""
)


def is_free(path: str) -> bool:
    """Whether no process holds the lock of a file or folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(number)
    return True


def test_a_forked_process_holds_neither_the_port_nor_a_lock(mark, temporary, folder, gate):
    """Of a parent that was killed while it started the command."""
    with program(LIVES_ON, folder, *child(wait=gate), **{MARK: mark}) as parent:
        pid, port, agreed = parent.line().split()
        locks = [agreed, os.path.join(agreed, "lock")]
        assert not any(map(is_free, locks))
        parent.kill()
        until(lambda: list(processes(mark)) == [int(pid)], "the end of the rest")
        assert all(map(is_free, locks))
        socket.create_server(("127.0.0.1", int(port))).close()
        assert alive(int(pid))
        parent.tell("x")
        until(lambda: not alive(int(pid)), "the end of the fork")
