"""Real servers in front of an application, each a process of its own.

They differ in nothing but their name; what a server needs is in `tests.support.serve`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.rounds import FULL
from tests.support.serve import ASGI_SERVERS, SERVERS

__all__ = ["ADAPTERS", "ASGI_FRONTS", "BACKENDS", "FRONTS", "Front", "Fronts"]
__all__ += ["RawClient", "app_path", "front", "raw_exchange", "request_bytes"]

#: Adapters for WSGI applications in an ASGI server; see `tests.test_adapters`.
ADAPTERS = ("a2wsgi", "starlette")
#: The servers in front. Paste decodes paths as UTF-8 and resolves dots, so that it cannot
#: pass on what it was sent.
FRONTS = tuple(name for name in SERVERS if name not in ("paste", *ADAPTERS))
#: The servers for ASGI in front; uvicorn with its other parser in the long form alone.
ASGI_FRONTS = tuple(name for name in ASGI_SERVERS if FULL or name != "uvicorn-h11")
#: The servers behind; Werkzeug's is for development.
BACKENDS = tuple(name for name in SERVERS if name not in ("werkzeug", *ADAPTERS))
_ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT = 30  # seconds; a loaded machine starts six servers at once


def app_path(name: str, app: str) -> str:
    """Where the application called *app* is, of the kind that the server called *name* serves."""
    kind = "asgi_apps" if name in ASGI_FRONTS else "apps"
    return f"tests.support.{kind}:{app}"


class Front:
    """One running server; `front` starts it."""

    def __init__(self, name: str, app_path: str, env: Mapping[str, str]) -> None:
        self.name = name
        self._log: IO[str] = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 (stop)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.serve", name, app_path],
            cwd=_ROOT,
            env={**_environment(), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """What the server wrote to stderr so far."""
        if self._log.closed:
            return "(stopped)"
        self._log.seek(0)
        return self._log.read()

    def _failed(self, why: str) -> AssertionError:
        return AssertionError(f"{self.name} {why}; its stderr:\n{self.log}")

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + _START_LIMIT
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], _START_LIMIT)[0]:
            raise self._failed("has printed no port")
        line = stdout.readline()
        if not line.strip().isdigit():
            raise self._failed(f"printed {line!r} for a port")
        port = int(line)
        while True:  # granian listens a moment after it knows its port
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5).close()
                return port
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                raise self._failed("ended before it listened")
            if time.monotonic() > deadline:
                raise self._failed("does not listen")

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def stop(self) -> None:
        """End the process, and its group if it does not; once is enough."""
        self.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def _environment() -> dict[str, str]:
    """Ours, where the package under test wins over an installed one of the same name."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def front(name: str, app_path: str, env: Mapping[str, str] | None = None) -> Iterator[Front]:
    """Serve ``module:app`` in the server called *name*, with *env* added to the environment.

    A failure within the block shows what the server wrote to stderr.
    """
    server = Front(name, app_path, env or {})
    try:
        yield server
    except BaseException:
        print(f"--- {name} {app_path}:\n{server.log}", file=sys.stderr)
        raise
    finally:
        server.stop()


class Fronts:
    """Servers that stay up until the end, one for each question asked."""

    def __init__(self) -> None:
        self._running: dict[tuple[object, ...], Front] = {}

    def get(self, name: str, app_path: str, **env: str) -> Front:
        """The server that was started with just these, or a new one."""
        key = (name, app_path, *sorted(env.items()))
        if key not in self._running:
            self._running[key] = Front(name, app_path, env)
        return self._running[key]

    def stop(self) -> None:
        for server in self._running.values():
            server.terminate()  # they take a second each, and take it together
        for server in self._running.values():
            server.stop()
        self._running.clear()
