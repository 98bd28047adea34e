"""Starting, watching and ending the processes that are measured; it knows no benchmark.

Every process gets a session of its own, so that Ctrl-C reaches the benchmark alone, and is ended
by its own id: terminate, wait, kill; so is every child that outlives it in that session.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 5.0


class Unavailable(Exception):
    """A contender cannot be measured here; the message says why."""


def _environment() -> dict[str, str]:
    # Peers obey the proxy variables, and nothing here may leave the loopback interface.
    kept = {name: value for name, value in os.environ.items() if "_proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class Process:
    """One started program with all of its children: their CPU, their memory, their end."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pipes: bool = False,
    ) -> None:
        self.log = log
        pipe = subprocess.PIPE if pipes else subprocess.DEVNULL
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe if pipes else errors,
                stderr=errors,
                env={**_environment(), **(env or {})},
                cwd=ROOT,
                start_new_session=True,
                text=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def pids(self) -> list[int]:
        """The processes of our session: the started one and its descendants."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == self.popen.pid:
                    found.append(int(entry.name))
        return found

    def cpu(self) -> float:
        """Seconds of CPU that all of the living processes have used."""
        return sum(_cpu_of(pid) for pid in self.pids())

    def memory(self, field: str) -> float:
        """MiB over all of the processes; `field` is VmRSS (now) or VmHWM (peak)."""
        return sum(_memory_of(pid, field) for pid in self.pids())

    def reset_peak(self) -> None:
        """Let VmHWM start again from what is resident now."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def connections(self, port: int) -> dict[str, int]:
        """TCP connections to `port` of this machine: bytes that wait to be read, by inode."""
        mine = {inode for pid in self.pids() for inode in _sockets_of(pid)}
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {
            row[9]: int(row[4].partition(":")[2], 16)
            for row in rows
            if row[9] in mine and int(row[2].partition(":")[2], 16) == port
        }

    def ask(self, line: str) -> str:
        """Write a line and return the line that is answered; needs ``pipes=True``."""
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(line + "\n")
            self.popen.stdin.flush()
        return self.read()

    def read(self) -> str:
        """The next line of output."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise Unavailable(f"ended early: {self.last_words()}")
        return line.strip()

    def last_words(self) -> str:
        """The last line of the log that says something."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "no message")

    def stop(self) -> None:
        """End the process, and what it left behind, each by its id."""
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        # A session's number is not given to anybody else while one of its processes lives.
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _cpu_of(pid: int) -> float:
    # The clock of a process is utime + stime of /proc/PID/stat in nanoseconds instead of ticks of
    # 10 ms: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of <linux/posix-timers.h>.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # ended in the meantime


def _memory_of(pid: int, field: str) -> float:
    try:
        found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def _sockets_of(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # ended in the meantime
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)):
                    yield found[1]


def get(port: int, path: str) -> tuple[int, int]:
    """Status and body length of one GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, len(response.read())
    finally:
        connection.close()


def wait_until_ready(process: Process, port: int, path: str, length: int) -> None:
    """Wait until `path` is answered with 200 and `length` bytes; raise Unavailable if never."""
    deadline = time.monotonic() + START_SECONDS
    seen = "nothing listens"
    while time.monotonic() < deadline:
        if process.popen.poll() is not None:
            raise Unavailable(f"failed to start: {process.last_words()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, size = get(port, path)
            if (status, size) == (200, length):
                return
            seen = f"answers {status} with {size} bytes"
        time.sleep(0.02)  # between two attempts; the condition is the answer
    raise Unavailable(f"not ready after {START_SECONDS:.0f} s: {seen}; {process.last_words()}")


@contextlib.contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C, so that everything that was started is ended."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
