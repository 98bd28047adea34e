"""What a test needs around a spawned process: commands, requests, conditions, other processes.

The programs that are spawned are in `program.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import pytest
    from _typeshed.wsgi import WSGIApplication

__all__ = ["LIMIT", "MARK", "Answer", "Program", "Pieces", "alive", "ask", "child", "environ"]
__all__ += ["errors", "facts", "lines_of", "of_session", "processes", "program", "until", "zombies"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("program.py")

#: Seconds for anything that has to happen; a passing test is far from it.
LIMIT = 30
#: The variable by which the processes of one test are known; all that they start inherit it.
MARK = "WSGIPROXY_TEST_MARK"

T = TypeVar("T")


def child(name: str = "serve", **options: object) -> list[str]:
    """The command that runs a program of `program.py`, with its options."""
    words = [f"{key}={value}" for key, value in options.items()]
    return [sys.executable, "-I", "-S", str(PROGRAM), name, *words]


def until(condition: Callable[[], T], what: str = "it", limit: float = LIMIT) -> T:
    """Wait until *condition* gives something true; AssertionError after *limit* seconds.

    A condition that is dear, such as one about all processes, is asked less often: what it waits
    for needs the processor too.
    """
    deadline = time.monotonic() + limit
    began = time.thread_time()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {limit} s"
        time.sleep(max(0.005, 5 * (time.thread_time() - began)))
        began = time.thread_time()
    return found


# Requests


class Answer(NamedTuple):
    """An answer; names of fields are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def environ(
    target: str = "/", *, method: str = "GET", body: bytes = b"", **more: object
) -> dict[str, Any]:
    """The environ of a request; *more* goes into it as it is."""
    path, _, query = target.partition("?")
    found: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "front.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "front.example",
        "HTTP_ACCEPT": "*/*",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        **more,
    }
    if body:
        found.setdefault("CONTENT_LENGTH", str(len(body)))
    return found


class Pieces:
    """An answer that is read as the test goes on; a context manager that closes it."""

    def __init__(self, app: WSGIApplication, asked: dict[str, Any]) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self._blocks = app(asked, self._start)
        self._iterator = iter(self._blocks)

    def _start(self, status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        self.status = int(status[:3])
        self.headers = {name.lower(): value for name, value in headers}
        return lambda data: None

    def next(self) -> bytes:
        """The next block that is not empty."""
        return next(block for block in self._iterator if block)

    def rest(self) -> bytes:
        return b"".join(self._iterator)

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *exc_info: object) -> None:
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()


def ask(app: WSGIApplication, target: str = "/", **asked: Any) -> Answer:
    """One request to its end; the words are those of `environ`."""
    with Pieces(app, environ(target, **asked)) as pieces:
        body = pieces.rest()
        return Answer(pieces.status, pieces.headers, body)


def facts(app: WSGIApplication) -> dict[str, Any]:
    """What a child tells of itself: pid, environment, descriptors... (`program._facts`)."""
    found: dict[str, Any] = json.loads(ask(app, "/facts").text)
    return found


# Processes, as the kernel knows them


def _text(path: str) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def alive(*pids: int) -> list[int]:
    """Those that exist and run."""
    return [pid for pid in pids if _state(pid) not in ("", "Z", "X")]


def _state(pid: int) -> str:
    return _text(f"/proc/{pid}/stat").rpartition(") ")[2][:1]


def processes(mark: str) -> dict[int, str]:
    """The processes of a test that run, and their commands."""
    wanted = f"{MARK}={mark}".encode()
    return {
        pid: _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        for pid in _pids()
        if pid != os.getpid() and wanted in _bytes(f"/proc/{pid}/environ").split(b"\0")
    }


def of_session(session: int) -> list[int]:
    """The processes of a session that run."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session and alive(pid):
                found.append(pid)
    return found


def zombies() -> list[int]:
    """Zombies among the children of this process."""
    own = os.getpid()
    found = []
    for pid in _pids():
        fields = _text(f"/proc/{pid}/stat").rpartition(") ")[2].split()
        if fields and fields[0] == "Z" and int(fields[1]) == own:
            found.append(pid)
    return found


def lines_of(path: Path) -> list[str]:
    """The lines of a file that may not be there yet."""
    return _text(str(path)).splitlines()


# What was logged


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors of the spawner."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "wsgiproxy.spawn" and record.levelno >= logging.ERROR
    ]


# Programs that spawn


class Program:
    """A Python program of its own, which can be ended in any way."""

    def __init__(self, code: str, arguments: Iterable[object], env: Mapping[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 (close)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,  # select() does not see what is in a buffer of ours
        )

    @property
    def stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()

    def line(self) -> str:
        """The next line of its stdout."""
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], LIMIT)[0]
        line = self.process.stdout.readline().decode() if ready else ""
        assert line, f"no line on stdout; stderr: {self.stderr}"
        return line.rstrip("\n")

    def tell(self, line: str) -> None:
        """Send a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def kill(self) -> None:
        """As ``kill -9`` does, and return when it is gone."""
        self.process.kill()
        self.process.wait(LIMIT)

    def wait(self) -> int:
        """Its status, when it has ended by itself."""
        return self.process.wait(LIMIT)

    def close(self) -> None:
        """End it, if it is still there."""
        self.kill()
        for file in (self.process.stdin, self.process.stdout, self._stderr):
            assert file is not None
            file.close()


@contextlib.contextmanager
def program(code: str, *arguments: object, **env: str) -> Iterator[Program]:
    """Run Python *code* in a process of its own for the time of a block."""
    running = Program(code, arguments, env)
    try:
        yield running
    finally:
        running.close()
