"""What the ASGI application itself costs: CPU microseconds for a GET of 1 KiB in one process.

``asgi_contender.py`` calls `ASGIProxyApp` with a scope of 12 browser fields, 16 at once, against
nginx, without a server in front, all on one core; once on uvloop and once on the loop of asyncio.
In the same process and the same rounds it runs the pure rules alone (reading the scope, the
outgoing request and its head, reading the answer, the answer for the client and the bytes of its
head), the same rules with the least that waits for an upstream, and `ASGIProxyApp` while a line of
each exchange is written to a file, as the command does it. What is above the rules is the waiting,
the pool and the calls of ASGI.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.asgi_contender import LOGGED, OURS, PARTS, RULES, WAITING
from tests.benchmarks.in_process import FIELDS, on_one_core
from tests.benchmarks.processes import Process, Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import is_importable
from tests.benchmarks.upstream import running_upstream

TITLE = "ASGI in process, GET of 1 KiB, 16 at once"
LOOPS = ("uvloop", "asyncio")
ABOVE, LINE = Aim("<=", 22, of="median", unit=" µs"), Aim("<=", 8, of="median", unit=" µs")
WRITTEN_SECONDS = 2.0
Samples = dict[str, list[float]]


def start(loop: str, session: Session, port: int) -> Process:
    """The contender on that loop, checked and ready."""
    needs = ["wsgiproxy.asgi", "wsgiproxy.sansio.environ.scope", loop]
    missing = [module for module in needs if not is_importable(module)]
    if missing:
        raise Unavailable(f"not importable: {', '.join(missing)}")
    command = [sys.executable, "-m", "tests.benchmarks.asgi_contender", loop, str(port)]
    place = session.directory
    access = place / f"access-{loop}.log"
    command += [str(FIELDS), str(access)]
    process = Process(command, place / f"asgi-{loop}.log", pipes=True)
    try:
        process.read()
        _wait_for_lines(access)
    except BaseException:
        process.stop()
        raise
    return process


def _wait_for_lines(file: Path) -> None:
    # They may be written by another thread, but they have to be written.
    deadline = time.monotonic() + WRITTEN_SECONDS
    while not (file.exists() and file.stat().st_size):
        if time.monotonic() > deadline:
            raise Unavailable("no access line was written")
        time.sleep(0.02)


@contextmanager
def started(session: Session, port: int) -> Iterator[dict[str, Process]]:
    """The contenders on the loops that are there."""
    with ExitStack() as stack:
        processes = {}
        for loop in LOOPS:
            try:
                process = start(loop, session, port)
            except Unavailable as reason:
                session.report.skip(f"ours, {loop}", str(reason))
                continue
            stack.callback(process.stop)
            processes[loop] = process
        yield processes


def costs(session: Session) -> dict[str, Samples]:
    """CPU microseconds for a request: by loop and part, in every round."""
    requests = str(session.choose(4000, 800))
    with (
        on_one_core(),
        running_upstream(session.directory) as port,
        started(session, port) as processes,
    ):
        found: dict[str, Samples] = {loop: {part: [] for part in PARTS} for loop in processes}
        for _ in range(session.rounds_or(15, 4)):
            for loop, process in processes.items():
                for part, value in json.loads(process.ask(requests)).items():
                    found[loop][part].append(value)
    return found


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    above: Samples = {}
    line: Samples = {}
    for loop, found in costs(session).items():
        samples = {f"{part}, {loop}": values for part, values in found.items()}
        session.report.add("ASGI in process, CPU µs/request", samples, against=f"{RULES}, {loop}")
        above[f"ours, {loop}"] = _less(found[OURS], found[RULES])
        above[f"{WAITING}, {loop}"] = _less(found[WAITING], found[RULES])
        line[f"ours, {loop}"] = _less(found[LOGGED], found[OURS])
    ours = f"ours, {LOOPS[0]}"
    session.report.add("ASGI in process, µs above the pure rules", above, aims={ours: ABOVE})
    session.report.add("ASGI, µs for a written access line", line, aims={ours: LINE})


def _less(values: list[float], others: list[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
