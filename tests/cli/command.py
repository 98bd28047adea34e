"""``python -m wsgiproxy`` as a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.support.client import request_bytes as _request_bytes
from tests.support.forked import Forked, can_fork
from tests.support.rounds import FULL

__all__ = ["Command", "request_bytes", "running"]

#: A request by a name that a listener on a loopback address answers.
request_bytes = partial(_request_bytes, host="front.localhost")

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 30  # seconds; a loaded machine starts a server slowly


# As systemd does it: the number of the process is known to the process alone.
_WITH_SOCKET = """
import os, sys

os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


_seen: set[tuple[str, str]] = set()


def _is_first_of_its_file(arguments: Sequence[str]) -> bool:
    """Whether no test of the same file has run this subcommand before.

    These are processes of a new interpreter, as all of them are in the long form.
    """
    if FULL:
        return True
    file = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
    key = (file, arguments[0] if arguments else "")
    is_first = key not in _seen
    _seen.add(key)
    return is_first


class Command:
    """One running command, in a process group of its own.

    :param listener: handed over as systemd does it.
    :ivar arguments: what follows ``python -m wsgiproxy``.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Theirs is the same file: they append, wherever we read just now. TemporaryFile() does
        # not set the flag for that, and their next line would stand where we read.
        self._stderr = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 (end)
        flags = fcntl.fcntl(self._stderr, fcntl.F_GETFL)
        fcntl.fcntl(self._stderr, fcntl.F_SETFL, flags | os.O_APPEND)
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})}
        self.arguments = arguments
        self._process = self._start(arguments, variables, listener)

    def _start(
        self, arguments: Sequence[str], env: Mapping[str, str], listener: socket.socket | None
    ) -> subprocess.Popen[bytes] | Forked:
        if listener is None and not _is_first_of_its_file(arguments) and can_fork(env):
            return Forked(arguments, env, self._stderr.fileno())
        descriptors = [] if listener is None else [listener.fileno()]
        before = ["-c", _WITH_SOCKET, *map(str, descriptors)] if descriptors else []
        return subprocess.Popen(
            [sys.executable, *before, "-m", "wsgiproxy", *arguments],
            pass_fds=descriptors,
            env=env,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,  # select() does not see what is in a buffer of ours
            start_new_session=True,
        )

    @property
    def stderr(self) -> str:
        """What it wrote there so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def line(self) -> str:
        """The next line of its stdout."""
        assert self._process.stdout is not None
        ready = select.select([self._process.stdout], [], [], _LIMIT)[0]
        line = self._process.stdout.readline().decode() if ready else ""
        assert line, f"no line on stdout; stderr: {self.stderr}"
        return line

    def url(self) -> str:
        """The first address in its next line."""
        line = self.line()
        found = re.search(r"http://\S+", line)
        assert found, line
        return found[0]

    def send_signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def has_ended(self) -> bool:
        """Whether it has ended by now."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        return self._process.wait(_LIMIT)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the process alone, and wait for its exit status."""
        self._process.send_signal(number)
        return self._process.wait(_LIMIT)

    def interrupt(self) -> int:
        """As Ctrl-C in a terminal, which reaches the workers too."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(_LIMIT)

    def left_over(self) -> bool:
        """Whether some process of its group is still there."""
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """End what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_LIMIT)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()


@contextlib.contextmanager
def running(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    listener: socket.socket | None = None,
) -> Iterator[Command]:
    """Run a command for the time of a block."""
    command = Command(*arguments, env=env, listener=listener)
    try:
        yield command
    finally:
        command.close()
