"""gunicorn with several workers of one thread each, in front of `front.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.spawn.children import LIMIT, MARK, ROOT, alive, lines_of, processes, until
from tests.spawn.programs.front import WORKER
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.judges import JudgedResponse
from tests.support.ports import free_port

__all__ = ["COUNT", "Held", "Workers", "parent_of", "told", "workers"]

COUNT = 3


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(") ")[2].split()[1])


def told(response: JudgedResponse) -> dict[str, Any]:
    """What `echo_server.py` has told."""
    assert (response.status, response.complete) == (200, True), (response, response.error)
    found: dict[str, Any] = json.loads(response.body)
    return found


class Held:
    """A request that the process answers when it is told to.

    A worker has one thread, and so it can have only one of them.
    """

    def __init__(self, port: int, gate: Path) -> None:
        self._client = RawClient(port, timeout=LIMIT)
        self._client.send(request_bytes(f"GET /gate?{gate}"))

    def end(self) -> JudgedResponse:
        with self._client:
            return self._client.response()


class Workers:
    """A running gunicorn.

    :param mark: the value of `MARK` for all of its processes.
    :param folder: where gates and notes are.
    :param words: further words for gunicorn.
    """

    def __init__(self, mark: str, folder: Path, words: Sequence[str], options: dict[str, Any]):
        self._mark = mark
        self._folder = folder
        self._gates = 0
        self.requests = folder / "requests"
        self.began = folder / "began"
        command = [*options.pop("start_script"), f"requests={self.requests}", f"began={self.began}"]
        given = {"start_script": command, "script_env": {MARK: mark}, **options}
        self.port = free_port()
        self._log = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 (close)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--no-control-socket", f"--workers={COUNT}", *words]
            + [f"--bind=127.0.0.1:{self.port}", "tests.spawn.programs.front:front"],
            env={**os.environ, MARK: mark, "PYTHONPATH": str(ROOT), "SPAWN": json.dumps(given)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    @property
    def starts(self) -> list[int]:
        """The processes that were started so far."""
        return [int(line) for line in lines_of(self.began)]

    @property
    def alive(self) -> list[int]:
        """Those of them that run."""
        return alive(*self.starts)

    @property
    def supervisors(self) -> list[int]:
        """Those between the workers and their processes."""
        return [pid for pid, words in processes(self._mark).items() if "supervisor" in words]

    @property
    def pids(self) -> list[int]:
        """The workers."""
        master = self.process.pid
        with contextlib.suppress(OSError):
            return [
                pid
                for pid in processes(self._mark)
                if parent_of(pid) == master and pid not in self.supervisors
            ]
        return []

    def until(self, condition: Callable[[], object], what: str) -> None:
        """As `until`, with what gunicorn has written if it fails."""
        try:
            until(condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; gunicorn:\n{self.log}") from error

    def ask(self, target: str = "/") -> JudgedResponse:
        return raw_exchange(self.port, request_bytes(f"GET {target}"), timeout=LIMIT)

    def held(self, count: int = COUNT) -> tuple[list[Held], Path]:
        """Requests that are with the process, each by another worker, and what lets them go."""
        self._gates += 1
        gate = self._folder / f"gate{self._gates}"
        requests = [Held(self.port, gate) for _ in range(count)]
        target = f"/gate?{gate}"
        self.until(lambda: lines_of(self.requests).count(target) == count, "requests")
        return requests, gate

    def all_ask(self) -> tuple[list[int], list[int]]:
        """The workers that have asked at the same time, and the processes that have answered."""
        requests, gate = self.held()
        gate.touch()
        responses = [request.end() for request in requests]
        workers = [int(response.values(WORKER)[0]) for response in responses]
        assert len(set(workers)) == COUNT, workers
        return workers, [told(response)["pid"] for response in responses]

    def stop(self) -> None:
        """As an operator does; once is enough."""
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """All of it at once, but not what its workers have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(LIMIT)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._log.close()


@contextlib.contextmanager
def workers(
    mark: str, folder: Path, *words: str, start_script: list[str], **options: Any
) -> Iterator[Workers]:
    """Run gunicorn until the end of the block, with *options* for the application."""
    running = Workers(mark, folder, words, {"start_script": start_script, **options})
    try:
        yield running
    finally:
        running.close()
