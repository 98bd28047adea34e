"""The load generators: compiles ``load.c`` or ``wsload.c``, runs it, and says what it counted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.processes import Process, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.servers import Server

# What a browser sends with a GET; Host and the connection come from who sends it.
BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://localhost/before?page=1"),
    ("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; seen=1"),
    ("Cache-Control", "no-cache"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Priority", "u=0, i"),
)
# The key of RFC 6455, 1.3; wsload.c knows its answer. No extension is offered.
HANDSHAKE = (
    *BROWSER[:1],
    ("Accept", "*/*"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Sec-WebSocket-Version", "13"),
    ("Origin", "http://localhost"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Connection", "keep-alive, Upgrade"),
    ("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; seen=1"),
    ("Cache-Control", "no-cache"),
    ("Upgrade", "websocket"),
)


@dataclass(frozen=True)
class Answered:
    """What the load generator counted in one run."""

    requests: int
    bad: int
    bytes: int
    reconnects: int
    seconds: float


def head(line: str, fields: Sequence[tuple[str, str]] = BROWSER) -> bytes:
    """A request head of ``GET /path`` or the like, with a browser's fields."""
    lines = [f"{line} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def compiled(directory: Path, name: str = "load") -> Path:
    """A program in C of this package, compiled once for a directory."""
    program = directory / name
    if program.exists():
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Unavailable(f"{name}.c needs a C compiler, and there is none")
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return program


class Client:
    """A running load generator with its connections open."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._obey(process.read())

    def run(self, requests: int, seconds: float = 600.0) -> Answered:
        """Send `requests` requests, or fewer if `seconds` are over before."""
        return Answered(**self._obey(self._process.ask(f"{requests} {seconds}")))

    def _obey(self, line: str) -> dict[str, Any]:
        found = {} if line == "ready" else json.loads(line)
        if "error" in found:
            raise Unavailable(f"the load generator: {found['error']}")
        return found


@contextmanager
def client(
    directory: Path, server: Server, request: bytes, *, active: int, idle: int = 0, upload: int = 0
) -> Iterator[Client]:
    """A load generator that is connected to `server`."""
    file = directory / "request"
    file.write_bytes(request)
    numbers = (server.port, file, active, idle, upload)
    command = [str(word) for word in (compiled(directory), *numbers)]
    with Process(command, directory / "load.log", pipes=True) as process:
        yield Client(process)


@contextmanager
def websocket_client(
    directory: Path, server: Server, *, connections: int, size: int
) -> Iterator[Client]:
    """A WebSocket client: a request of it is a message of `size` bytes, its answer the echo."""
    file = directory / "handshake"
    file.write_bytes(head("GET /echo", HANDSHAKE))
    numbers = (server.port, file, connections, size)
    command = [str(word) for word in (compiled(directory, "wsload"), *numbers)]
    with Process(command, directory / "load.log", pipes=True) as process:
        yield Client(process)


def cost(
    server: Server, client: Client, requests: int, seconds: float, size: int = 1024
) -> tuple[float, float]:
    """CPU microseconds of the server for a request, and requests a second, of one run.

    :param size: bytes of an answer's body; another sum than theirs makes the server unavailable.
    """
    client.run(max(requests // 10, 50), seconds / 4)
    before = server.process.cpu()
    answered = client.run(requests, seconds)
    used = server.process.cpu() - before
    if answered.bad or answered.bytes != answered.requests * size:
        raise Unavailable(f"{answered.bad} bad of {answered.requests}, {answered.bytes} bytes")
    return used * 1e6 / answered.requests, answered.requests / answered.seconds
