"""How late events arrive: a stream of 200 events, one in 20 ms, through each server with ours.

The upstream is nginx with ``proxy_buffering off`` in front of a small raw-socket source, because
nginx makes no events itself; the first row is that upstream without a proxy. An event carries the
time when the source sent it; the delay is the time when the client has it, less that.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from statistics import median, quantiles

from tests.benchmarks import load
from tests.benchmarks.processes import Process, Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import ASGI_OURS, OURS, Server, in_turns, label, running
from tests.benchmarks.upstream import running_upstream
from tests.support.ports import free_port

TITLE = "Delay of events, one in 20 ms"
DIRECT = "no proxy, the upstream itself"
CONTENDERS = (*OURS, *ASGI_OURS)
SECONDS = 0.02
NOTE = "events come from a raw-socket source behind nginx with proxy_buffering off"
FIGURES = ("median", "p99", "max")
_EVENT = re.compile(rb"data: (\d+)\n\n")


def delays(port: int, events: int) -> list[float]:
    """Milliseconds that each event was under way."""
    found: list[float] = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(load.head("GET /events", [("Accept", "text/event-stream")]))
        received = b""
        while len(found) < events:
            try:
                block = connection.recv(65536)
            except TimeoutError:
                block = b""
            now = time.monotonic_ns()
            if not block:
                raise Unavailable(f"{len(found)} of {events} events came")
            received += block
            end = 0
            for event in _EVENT.finditer(received):
                found.append((now - int(event[1])) / 1e6)
                end = event.end()
            received = received[end:]
    return found


def one_turn(events: int, server: Server) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum of one stream."""
    found = delays(server.port, events)
    return median(found), quantiles(found, n=100, method="inclusive")[98], max(found)


def measure(session: Session, contenders: Sequence[str] = CONTENDERS) -> None:
    """Add the figures to the report of `session`."""
    report, place = session.report, session.directory
    events, port = session.choose(200, 50), free_port()
    command = [sys.executable, "-m", "tests.benchmarks.event_source"]
    samples: dict[str, dict[str, list[float]]] = {word: defaultdict(list) for word in FIGURES}
    with (
        Process(
            [*command, str(port), str(events), str(SECONDS)], place / "source.log", pipes=True
        ) as source,
        running_upstream(place, events=port) as upstream,
        running(contenders, place, upstream, report.skip) as servers,
    ):
        source.read()
        everyone = [Server(DIRECT, source, upstream), *servers]
        turn = partial(one_turn, events)
        for name, found in in_turns(everyone, session.rounds_or(3, 1), turn, report.skip):
            for word, value in zip(FIGURES, found, strict=True):
                samples[word][name].append(value)
    report.notes.append(NOTE)
    aims = {label(name): Aim("<", 5, of="median", unit=" ms") for name in contenders}
    for word in FIGURES:
        report.add(f"delay, {word}, ms", samples[word], aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
