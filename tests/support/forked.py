"""``python -m wsgiproxy`` without half a second of imports: a fork of a process that has them.

A good part of the time of the tests would be the starts of commands. Here a process waits that has
imported the command and has run nothing of it; each command is a child of that process, in a
session of its own, with the descriptors, the variables and the folder that it would have had. What
a fork cannot have, such as variables that the interpreter itself reads, needs `subprocess.Popen`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

__all__ = ["Forked", "can_fork"]

_LONGEST = 1 << 17  # bytes of a question: words and variables
#: What an interpreter reads when it starts, by the beginnings of the names.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")


class _Template:
    """The process that is forked, as this one sees it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.read_at_start = _read_at_start(env)
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(its.fileno())],
                env={**os.environ, **self.read_at_start},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self._end)

    def ask(self, question: Mapping[str, Any], descriptors: list[int]) -> None:
        text = json.dumps(question).encode()
        assert len(text) < _LONGEST
        socket.send_fds(self._control, [text], descriptors)

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._control.close()


_lock = threading.Lock()
_templates: list[_Template] = []


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


def _template(env: Mapping[str, str]) -> _Template:
    with _lock:
        if not _templates:
            _templates.append(_Template(env))
        return _templates[0]


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a fork runs with *env* as a new interpreter would."""
    return _read_at_start(env) == _template(env).read_at_start


class Forked:
    """One command, with that part of `subprocess.Popen` which `tests.cli.command` needs.

    :param arguments: what follows ``python -m wsgiproxy``.
    :param stderr: the descriptor for what it writes there.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], stderr: int) -> None:
        self.returncode: int | None = None
        mine, its = socket.socketpair()
        reading, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        question = {"words": list(arguments), "env": dict(env), "folder": os.getcwd()}
        try:
            _template(env).ask(question, [its.fileno(), nothing, writing, stderr])
        finally:
            its.close()
            os.close(nothing)
            os.close(writing)
        self.stdout: IO[bytes] = open(reading, "rb", buffering=0)  # noqa: SIM115 (its owner's)
        with mine:
            self._status = mine.makefile("rb", buffering=0)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit status, when it has ended.

        :raises subprocess.TimeoutExpired: it has not after *timeout* seconds.
        """
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("wsgiproxy", timeout)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


# What the process does


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each question, and say when a child has ended.

    :returns: the question, in the child that is to become the command.
    """
    statuses: dict[int, int] = {}
    waking, woken = os.pipe()
    for end in (waking, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ready = select.select([control, waking], [], [])[0]
        if waking in ready:
            os.read(waking, 4096)
            _report(statuses)
        if control not in ready:
            continue
        text, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 4)
        if not text:
            os._exit(0)
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            for number in (waking, woken, *statuses.values()):
                os.close(number)
            return {**json.loads(text), "descriptors": descriptors}
        statuses[pid] = descriptors[0]
        for number in descriptors[1:]:
            os.close(number)
        os.write(descriptors[0], b"%d\n" % pid)


def _report(statuses: dict[int, int]) -> None:
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        number = statuses.pop(pid)
        with contextlib.suppress(OSError):  # the test has gone
            os.write(number, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(number)


def _become(question: Mapping[str, Any]) -> None:
    """Have what a new process would have."""
    os.setsid()
    status, *standard = question["descriptors"]
    os.close(status)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(question["env"])
    time.tzset()
    os.chdir(question["folder"])
    sys.path[0] = question["folder"]
    sys.argv[1:] = question["words"]


def _prepare() -> None:
    """Import what every command does, and what most of them serve with."""
    importlib.import_module("wsgiproxy.cli")
    with contextlib.suppress(ImportError):  # where they are not installed
        importlib.import_module("uvicorn.protocols.http.httptools_impl")
        importlib.import_module("uvloop")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _prepare()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("wsgiproxy", run_name="__main__", alter_sys=True)
