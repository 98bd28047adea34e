"""What a long body costs: 256 MiB down (GET) and up (PUT, Content-Length) through whole servers.

Figures are the throughput, the proxy's CPU for the transfer, and how much its memory grew at the
peak over what was resident before (VmHWM, reset before every transfer, over all of its processes).
"nginx, as it comes" is a bare ``proxy_pass``, with its buffering in memory and temporary files.
The client is ``load.c``; the upstream is nginx, which takes the upload with its DAV module and
writes it to a file, so the throughput of an upload has that price in it, the same for everyone.
"up, sink" is the same upload into a program that reads everything and keeps nothing
(``sink.py``). "client stops" is a client of ``GET`` that reads 1 MiB and then nothing, until it
leaves: the growth up to then, and how long the connection to the upstream stays after it.
All files are in memory (/dev/shm) where that can be written.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from tests.benchmarks import load
from tests.benchmarks.processes import Process, Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import ASGI_OURS, UVICORN, Server, in_turns, label, running
from tests.benchmarks.upstream import BIG, running_upstream
from tests.support.ports import free_port

TITLE = "Streaming of 256 MiB through whole servers"
AGAINST = "nginx, as it comes"
CONTENDERS = (
    AGAINST,
    "nginx, unbuffered",
    "granian",
    "waitress",
    "gunicorn",
    *ASGI_OURS,
    "aiorp",
    "fastapi-proxy-lib",
)
STREAMING = (AGAINST, "nginx, unbuffered", "granian", *ASGI_OURS, "fastapi-proxy-lib")
DOWN, UP, SINK = "down", "up", "up, sink"
# What the CPU may be of that of nginx, and the growth in MiB.
CPU_AIMS = {
    DOWN: {"granian": 0.9, UVICORN: 0.7},
    UP: {"granian": 0.9},
    SINK: {UVICORN: 0.95},
}
GROWTH_AIMS = {"granian": 16, UVICORN: 4}
STALL_SECONDS, CLOSED_SECONDS = 1.0, 5.0
MIB = 1024 * 1024
NOTE = "up: nginx takes the body with its DAV module, which writes it to a file before answering"


def download(session: Session, server: Server) -> tuple[float, float, float]:
    """MiB a second, CPU milliseconds and MiB of growth of one download."""
    request = load.head("GET /big")
    with load.client(session.directory, server, request, active=1) as client:
        return transfer(server, client, answer=BIG)


def upload(session: Session, server: Server) -> tuple[float, float, float]:
    """The same of one upload, which has to arrive whole."""
    request = load.head("PUT /upload/big", [*load.BROWSER, ("Content-Length", str(BIG))])
    arrived = session.directory / "upstream" / "root" / "upload" / "big"
    arrived.unlink(missing_ok=True)
    with load.client(session.directory, server, request, active=1, upload=BIG) as client:
        found = transfer(server, client)
    size = arrived.stat().st_size if arrived.exists() else 0
    if size != BIG:
        raise Unavailable(f"{size} of {BIG} bytes arrived")
    arrived.unlink()
    return found


def into_sink(session: Session, server: Server) -> tuple[float, float, float]:
    """The same of one upload into a program that answers when it has read the whole of it."""
    request = load.head("PUT /sink", [*load.BROWSER, ("Content-Length", str(BIG))])
    with load.client(session.directory, server, request, active=1, upload=BIG) as client:
        return transfer(server, client)


def stalled(upstream: int, server: Server) -> tuple[float, float | None]:
    """MiB of growth while a client has stopped reading, and ms until the upstream is left, too.

    None, if nothing was under way any more: the proxy has taken it all.
    """
    process = server.process
    with contextlib.suppress(OSError):
        process.reset_peak()
    resident = process.memory("VmRSS")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(load.head("GET /big"))
        left = MIB
        while left > 0:
            block = client.recv(min(left, 65536))
            if not block:
                raise Unavailable("broke off in the first MiB")
            left -= len(block)
        time.sleep(STALL_SECONDS)  # how much it takes meanwhile is what is measured
        grown = max(0.0, process.memory("VmHWM") - resident)
        busy = {inode for inode, waiting in process.connections(upstream).items() if waiting}
    return grown, _until_closed(process, upstream, busy) if busy else None


def _until_closed(process: Process, upstream: int, busy: set[str]) -> float:
    begun = time.monotonic()
    while busy & process.connections(upstream).keys():
        if time.monotonic() > begun + CLOSED_SECONDS:
            raise Unavailable(
                f"{CLOSED_SECONDS:.0f} s after the client, the upstream is still connected"
            )
        time.sleep(0.005)
    return (time.monotonic() - begun) * 1000


def transfer(
    server: Server, client: load.Client, *, answer: int | None = None
) -> tuple[float, float, float]:
    """Run one request and watch the server."""
    with contextlib.suppress(OSError):  # without the right to it, growth is an upper bound
        server.process.reset_peak()
    resident, used = server.process.memory("VmRSS"), server.process.cpu()
    answered = client.run(1)
    used, peak = server.process.cpu() - used, server.process.memory("VmHWM")
    if answered.bad or (answer is not None and answered.bytes != answer):
        raise Unavailable(f"broke off, or no 2xx: {answered.bytes} bytes answered")
    return BIG / MIB / answered.seconds, used * 1000, max(0.0, peak - resident)


WAYS: dict[str, Callable[[Session, Server], tuple[float, float, float]]] = {
    DOWN: download,
    UP: upload,
    SINK: into_sink,
}


def one_way(session: Session, way: str, servers: Sequence[Server]) -> None:
    """The three figures of one direction."""
    speed: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    grown: dict[str, list[float]] = defaultdict(list)
    report = session.report
    turn = partial(WAYS[way], session)

    def skip(name: str, reason: str) -> None:
        report.skip(f"{name}, {way}", reason)

    for name, found in in_turns(servers, session.rounds_or(5, 2), turn, skip):
        for samples, value in zip((speed, cpu, grown), found, strict=True):
            samples[name].append(value)
    aims = {label(name): Aim("<=", limit) for name, limit in CPU_AIMS[way].items()}
    report.add(f"{way}, MiB/s", speed, against=AGAINST)
    report.add(f"{way}, CPU ms", cpu, against=AGAINST, aims=aims)
    report.add(f"{way}, growth MiB", grown, aims=growth_aims())


def growth_aims() -> dict[str, Aim]:
    """How much the memory of those that have an aim may grow, in any round."""
    aims = GROWTH_AIMS.items()
    return {label(name): Aim("<", limit, of="max", unit=" MiB") for name, limit in aims}


def client_stops(session: Session, upstream: int, servers: Sequence[Server]) -> None:
    """The figures of a client that stops reading."""
    grown: dict[str, list[float]] = defaultdict(list)
    closed: dict[str, list[float]] = defaultdict(list)
    report = session.report

    def skip(name: str, reason: str) -> None:
        report.skip(f"{name}, client stops", reason)

    turn = partial(stalled, upstream)
    for name, (growth, after) in in_turns(servers, session.rounds_or(5, 2), turn, skip):
        grown[name].append(growth)
        if after is not None:
            closed[name].append(after)
    report.add("client stops, growth MiB", grown, aims=growth_aims())
    report.add("client stops, ms until the upstream is closed after it has left", closed)


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    place = session.directory
    with (
        running_upstream(place) as upstream,
        running(CONTENDERS, place, upstream, session.report.skip) as servers,
    ):
        one_way(session, DOWN, servers)
        one_way(session, UP, servers)
        chosen = [server for server in servers if server.name in STREAMING]
        client_stops(session, upstream, chosen)
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.sink", str(port)]
    with (
        Process(command, place / "sink.log", pipes=True) as sink,
        running(STREAMING, place, port, session.report.skip) as servers,
    ):
        sink.read()
        one_way(session, SINK, servers)
    session.report.notes.append(NOTE)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
