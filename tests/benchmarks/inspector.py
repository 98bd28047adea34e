"""What the inspector costs: CPU for a small request, memory for many and for large ones, delay.

The first part compares whole servers with and without it, in turns, as
:mod:`tests.benchmarks.whole_server` does; no page is open. The second sends many small requests and
some large answers through the server with it, and takes how its memory (Pss) has grown, and the
largest it was. The third takes the delay of events that pass it, beside those that do not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial

from tests.benchmarks import events, load
from tests.benchmarks.processes import Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import (
    UVICORN,
    UVICORN_INSPECTED,
    Server,
    in_turns,
    label,
    running,
)
from tests.benchmarks.upstream import BIG, running_upstream
from tests.benchmarks.whole_server import one_turn

TITLE = "The inspector, GET of 1 KiB, 16 keep-alive clients"
PAIRS = {"waitress": "waitress, inspected", UVICORN: UVICORN_INSPECTED}
CPU = Aim("<=", 1.15)
MIB = 1024 * 1024
# Bytes that the settings allow, and what the heap of a process may have around them.
MEMORY = 64 * MIB
GROWTH = Aim("<=", MEMORY / MIB * 1.3, of="median", unit=" MiB")


def by_pairs(session: Session, upstream: int) -> None:
    """CPU for a request with and without it, under each server."""
    report, place = session.report, session.directory
    for name, inspected in PAIRS.items():
        cpu: dict[str, list[float]] = defaultdict(list)
        with running((name, inspected), place, upstream, report.skip) as servers:
            turn = partial(one_turn, session)
            for each, (used, _) in in_turns(servers, session.rounds_or(7, 2), turn, report.skip):
                cpu[each].append(used)
        title = f"under {name}, CPU µs/request"
        report.add(title, cpu, against=label(name), aims={label(inspected): CPU})


def grown(session: Session, server: Server) -> float:
    """MiB by which a server has grown at its peak, after many exchanges and some large ones."""
    process, place = server.process, session.directory
    before = process.memory("VmRSS")
    process.reset_peak()
    requests = session.choose(100_000, 20_000)
    with load.client(place, server, load.head("GET /1k"), active=16) as client:
        client.run(requests)
    with load.client(place, server, load.head("GET /big"), active=1) as client:
        large = session.choose(4, 1)
        found = client.run(large)
        if found.bytes != large * BIG:
            raise Unavailable(f"{found.bytes} bytes of {large * BIG}")
    return process.memory("VmHWM") - before


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    report, place = session.report, session.directory
    inspected = tuple(PAIRS.values())
    with running_upstream(place) as upstream:
        by_pairs(session, upstream)
        samples: dict[str, list[float]] = defaultdict(list)
        with running(inspected, place, upstream, report.skip) as servers:
            turn = partial(grown, session)
            for name, found in in_turns(servers, 1, turn, report.skip):
                samples[name].append(found)
    title = "growth at the peak, exchanges of 1 KiB and of 256 MiB, MiB"
    report.add(title, samples, aims=dict.fromkeys(samples, GROWTH))
    apart = place / "events"
    apart.mkdir()
    events.measure(replace(session, directory=apart), (*PAIRS, *inspected))


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
