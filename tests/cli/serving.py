"""``wsgiproxy serve -- COMMAND`` as a process, and the proof that nothing outlives it."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.cli.command import Command, request_bytes, running
from tests.cli.terminal import Terminal, on_a_terminal
from tests.spawn.children import LIMIT, MARK, processes, until
from tests.support.client import raw_exchange
from tests.support.judges import JudgedResponse

__all__ = ["SERVERS", "PendingRequest", "Served", "ServedOnTerminal", "served"]
__all__ += ["served_on_terminal"]

SERVERS = ["uvicorn", "waitress", "gunicorn", "granian"]


class PendingRequest(threading.Thread):
    """A request whose answer may take long."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self._port, self._path = port, path
        self._answer = JudgedResponse()
        self.start()

    def run(self) -> None:
        self._answer = get(self._port, self._path)

    def answer(self) -> JudgedResponse:
        self.join(LIMIT)
        return self._answer


def get(port: int, path: str = "/", *fields: tuple[str, str]) -> JudgedResponse:
    return raw_exchange(port, request_bytes(f"GET {path}", list(fields)), timeout=LIMIT)


class Served:
    """A command behind the proxy, which writes to pipes.

    :ivar port: where the proxy listens.
    :ivar first_line: of its stdout.
    """

    def __init__(self, command: Command, mark: str) -> None:
        self.command = command
        self._mark = mark
        self.first_line = command.line()
        self.port = int(self.first_line.split()[1].split(":")[2].split("/")[0])

    @property
    def log(self) -> str:
        return self.command.stderr

    @property
    def lines(self) -> list[str]:
        """The log without its times."""
        return [line[len("2026-01-01 12:00:00 ") :] for line in self.log.splitlines()]

    def wait_for(self, text: str) -> None:
        """Return when the log has it."""
        until(lambda: text in self.log, f"no {text!r} in the log")

    def get(self, path: str = "/", *fields: tuple[str, str]) -> JudgedResponse:
        return get(self.port, path, *fields)

    def json(self, path: str) -> dict[str, Any]:
        """The JSON answer of `tests/spawn/program.py`."""
        answer = self.get(path)
        assert answer.status == 200, (answer, self.log)
        body: dict[str, Any] = json.loads(answer.body)
        return body

    def ask(self, path: str = "/") -> PendingRequest:
        """A request in a thread of its own."""
        return PendingRequest(self.port, path)

    def processes(self) -> dict[int, str]:
        """The command, and the processes between the test and it."""
        return processes(self._mark)


class ServedOnTerminal:
    """A command behind the proxy, which writes to a terminal."""

    def __init__(self, terminal: Terminal, mark: str) -> None:
        self.terminal = terminal
        self._mark = mark

    def ask(self, path: str = "/") -> PendingRequest:
        """A request in a thread of its own."""
        return PendingRequest(self.terminal.port, path)

    def processes(self) -> dict[int, str]:
        """The command, and the processes between the test and it."""
        return processes(self._mark)


def _words(mark: str, options: Sequence[str], command: Sequence[str]) -> list[str]:
    marked = ["--script-env", f"{MARK}={mark}"]
    return ["serve", "--listen", "127.0.0.1:0", *marked, *options, "--", *command]


def _gone(mark: str) -> None:
    until(lambda: not processes(mark), f"processes of the test are left: {processes(mark)}")


@contextlib.contextmanager
def served(
    command: Sequence[str], *options: str, env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run it for the time of a block."""
    mark = uuid.uuid4().hex
    try:
        with running(*_words(mark, ["--no-access-log", *options], command), env=env) as process:
            yield Served(process, mark)
    finally:
        _gone(mark)


@contextlib.contextmanager
def served_on_terminal(
    command: Sequence[str],
    *options: str,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
) -> Iterator[ServedOnTerminal]:
    """Run it on a terminal for the time of a block."""
    mark = uuid.uuid4().hex
    try:
        with on_a_terminal(*_words(mark, options, command), env=env, columns=columns) as terminal:
            yield ServedOnTerminal(terminal, mark)
    finally:
        _gone(mark)
