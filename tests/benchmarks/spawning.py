"""What a spawned backend costs: CPU microseconds for a request, and milliseconds for its start.

The first part compares, in this process, on one core and in turns, ``SpawningApplication`` with
``WSGIProxyApp`` on the very process that it has spawned (nginx, 1 KiB); the difference is taken
round by round. The second starts real servers, once by hand, to the first answer over a plain
socket, and once by the first request to a ``SpawningApplication``, in turns; the difference is
what we add to their own start.
"""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.contender import called
from tests.benchmarks.in_process import FIELDS, on_one_core
from tests.benchmarks.processes import ROOT, Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.signing import cost, key_file
from tests.benchmarks.upstream import upstream_command
from tests.support.ports import free_port
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.spawn import SpawningApplication

TITLE = "Spawning"
REQUEST_AIM = Aim("<=", 5, of="median", unit=" µs")
START_AIM = Aim("<=", 100, of="median", unit=" ms")
#: Servers that a person would spawn, from quick to slow, with the port that they take.
COMMANDS = {
    "http.server": [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"],
    "waitress": [
        *(sys.executable, "-m", "waitress", "--listen=127.0.0.1:{port}"),
        "wsgiref.simple_server:demo_app",
    ],
    "gunicorn": [
        *(sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:{port}", "--no-control-socket"),
        "wsgiref.simple_server:demo_app",
    ],
}

Call = Callable[[], object]


# For each request


def _pairs(stack: ExitStack, session: Session) -> dict[str, Call]:
    """The contenders on one and the same backend, unsigned and signed."""
    port, keys = free_port(), key_file(session.directory)
    spawned = SpawningApplication(
        upstream_command(session.directory / "plain", port),
        spawned_port=port,
        socket="port",
        sign=False,
    )
    stack.enter_context(spawned)
    spawned.start()
    signed_port = free_port()
    signed = SpawningApplication(
        upstream_command(session.directory / "signed", signed_port),
        spawned_port=signed_port,
        socket="port",
        secret_file=keys,
    )
    stack.enter_context(signed)
    signed.start()
    proxies: dict[str, Any] = {
        "WSGIProxyApp": WSGIProxyApp(f"http://127.0.0.1:{port}", preserve_host=True),
        "SpawningApplication": spawned,
        "WSGIProxyApp, signed": WSGIProxyApp(
            f"http://127.0.0.1:{signed_port}", keys, preserve_host=True
        ),
        "SpawningApplication, signed": signed,
    }
    for proxy in proxies.values():
        stack.enter_context(closing(proxy))
    return {name: called(proxy, port, FIELDS) for name, proxy in proxies.items()}


def measure_requests(session: Session) -> None:
    """What each request costs, and what of it is the spawner's."""
    count = session.choose(3000, 500)
    with on_one_core(), ExitStack() as stack:
        calls = _pairs(stack, session)
        samples: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            assert call() == (200, 1024), "the upstream does not answer"
        for _ in range(session.rounds_or(15, 4)):
            for name, call in calls.items():
                samples[name].append(cost(call, count))
    session.report.add("spawned, CPU µs/request", samples)
    added = {
        f"added by the spawner{how}": [
            ours - theirs
            for ours, theirs in zip(
                samples[f"SpawningApplication{how}"], samples[f"WSGIProxyApp{how}"], strict=True
            )
        ]
        for how in ("", ", signed")
    }
    session.report.add("spawned, CPU µs/request", added, aims=dict.fromkeys(added, REQUEST_AIM))


# For each start


def by_hand(command: list[str], directory: Path) -> float:
    """Seconds from the start of *command* to its first answer, asked every millisecond."""
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in command]
    began = time.monotonic()
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        while not _answers(port):
            if process.poll() is not None or time.monotonic() - began > 30:
                raise Unavailable(f"{command[2]} does not start")
            time.sleep(0.001)
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return sock.recv(12)[9:] == b"200"
    return False


def by_request(command: list[str], directory: Path) -> float:
    """Seconds that the first request to a spawner takes."""
    began = time.monotonic()
    with SpawningApplication(command, cwd=directory) as application:
        statuses: list[str] = []
        body = application(_environ(), lambda status, headers: statuses.append(status))
        with _closed(body):
            b"".join(body)
        seconds = time.monotonic() - began
    if statuses != ["200 OK"]:
        raise Unavailable(f"{command[2]}: {statuses}")
    return seconds


@contextmanager
def _closed(body: Any) -> Iterator[None]:
    try:
        yield
    finally:
        if hasattr(body, "close"):
            body.close()


def _environ() -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }


def measure_starts(session: Session) -> None:
    """How long a start takes, and what of it is the spawner's."""
    samples: dict[str, list[float]] = {}
    added: dict[str, list[float]] = {}
    for name, command in COMMANDS.items():
        by_name = {f"{name}, by hand": by_hand, f"{name}, spawned": by_request}
        try:
            for _ in range(session.rounds_or(15, 3)):
                for title, start in by_name.items():
                    milliseconds = start(command, ROOT / "docs") * 1000
                    samples.setdefault(title, []).append(milliseconds)
        except Unavailable as reason:
            session.report.skip(name, str(reason))
            continue
        hand, spawned = (samples[title] for title in by_name)
        added[f"{name}, added by the spawner"] = [
            ours - theirs for ours, theirs in zip(spawned, hand, strict=True)
        ]
    session.report.add("cold start, ms", samples)
    session.report.add("cold start, ms", added, aims=dict.fromkeys(added, START_AIM))


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    measure_requests(session)
    measure_starts(session)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
