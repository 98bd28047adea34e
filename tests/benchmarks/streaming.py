"""What a long body costs: 256 MiB down (GET) and up (PUT, Content-Length) through whole servers.

Figures are the throughput, the proxy's CPU for the transfer, and how much its memory grew at the
peak over what was resident before (VmHWM, reset before every transfer, over all of its processes).
"nginx, as it comes" is a bare ``proxy_pass``, with its buffering in memory and temporary files.
The client is ``load.c``; the upstream is nginx, which takes the upload with its DAV module and
writes it to a file, so the throughput of an upload has that price in it, the same for everyone.
All files are in memory (/dev/shm) where that can be written.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from tests.benchmarks import load
from tests.benchmarks.processes import Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import Server, in_turns, label, running
from tests.benchmarks.upstream import BIG, running_upstream

TITLE = "Streaming of 256 MiB through whole servers"
AGAINST = "nginx, as it comes"
CONTENDERS = (
    AGAINST,
    "nginx, unbuffered",
    "granian",
    "waitress",
    "gunicorn",
    "aiorp",
    "fastapi-proxy-lib",
)
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


def one_way(session: Session, way: str, servers: Sequence[Server]) -> None:
    """The three figures of one direction."""
    speed: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    grown: dict[str, list[float]] = defaultdict(list)
    report = session.report
    turn = partial(download if way == "down" else upload, session)

    def skip(name: str, reason: str) -> None:
        report.skip(f"{name}, {way}", reason)

    for name, found in in_turns(servers, session.rounds_or(5, 2), turn, skip):
        for samples, value in zip((speed, cpu, grown), found, strict=True):
            samples[name].append(value)
    ours = label("granian")
    report.add(f"{way}, MiB/s", speed, against=AGAINST)
    report.add(f"{way}, CPU ms", cpu, against=AGAINST, aims={ours: Aim("<=", 0.9)})
    limit = Aim("<", 16, of="max", unit=" MiB")
    report.add(f"{way}, growth MiB", grown, aims={ours: limit})


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    place = session.directory
    with (
        running_upstream(place) as upstream,
        running(CONTENDERS, place, upstream, session.report.skip) as servers,
    ):
        one_way(session, "down", servers)
        one_way(session, "up", servers)
    session.report.notes.append(NOTE)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
