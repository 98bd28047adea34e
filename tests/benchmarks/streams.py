"""What idle event streams cost: 5,000 of them through one process, and one event to some.

Each server is started anew for each round, asked once, and its memory (VmRSS) taken; then the
streams are opened, one after the other, each with its first event. The growth is that of the whole
server, over the number of streams. Idle CPU is what it uses while nothing comes, as percent of one
core. At last single events go to streams that are picked at random, one in 20 ms; the delay is the
time when the client has it, less the time when the source sent it. The first row of the delay is
the source itself, without a proxy; client and source are programs of Python and in it, too.
"""

from __future__ import annotations

import re
import resource
import select
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

from tests.benchmarks import load
from tests.benchmarks.processes import Process, Unavailable
from tests.benchmarks.program import FILES, Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import ASGI_OURS, UVICORN, Server, label, start
from tests.support.ports import free_port

TITLE = "Idle event streams"
DIRECT = "no proxy, the source itself"
CONTENDERS = (DIRECT, "nginx, unbuffered", *ASGI_OURS)
SECONDS, ANSWER_SECONDS = 0.02, 10.0
MEMORY, IDLE = "KiB for each", "idle, % of one core"
DELAYS = ("delay, median, ms", "delay, p99, ms", "delay, max, ms")
AIMS = {MEMORY: Aim("<=", 20, of="median", unit=" KiB"), IDLE: Aim("<=", 1, of="median", unit=" %")}
AIMS |= dict.fromkeys(DELAYS, Aim("<", 5, of="median", unit=" ms"))
_EVENT = re.compile(rb"data: (\d+)\n\n")
_REQUEST = load.head("GET /stream", [("Accept", "text/event-stream")])


class Streams:
    """The clients of one server: a socket for each stream."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: dict[int, socket.socket] = {}
        self._poll = select.epoll()

    def open(self) -> None:
        """One more, which has had its first event."""
        client = socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_SECONDS)
        self._sockets[client.fileno()] = client
        client.sendall(_REQUEST)
        received = b""
        while not _EVENT.search(received):
            try:
                block = client.recv(65536)
            except TimeoutError:
                block = b""
            if not block:
                raise Unavailable(f"no event on stream {len(self._sockets)}: {received[:40]!r}")
            received += block
        self._poll.register(client, select.EPOLLIN)

    def delays(self, events: int) -> list[float]:
        """Milliseconds that so many events are under way, whichever stream they come on."""
        found: list[float] = []
        while len(found) < events:
            ready = self._poll.poll(ANSWER_SECONDS)
            now = time.monotonic_ns()
            if not ready:
                raise Unavailable(f"{len(found)} of {events} events came")
            for descriptor, _ in ready:
                block = self._sockets[descriptor].recv(65536)
                if not block:
                    raise Unavailable("a stream has ended")
                found += [(now - int(event)) / 1e6 for event in _EVENT.findall(block)]
        return found

    def close(self) -> None:
        """All of the clients leave."""
        self._poll.close()
        for client in self._sockets.values():
            client.close()


@contextmanager
def started(name: str, place: Path, source: Process, port: int) -> Iterator[Server]:
    """The server, or the source in its place."""
    if name == DIRECT:
        yield Server(DIRECT, source, port)
        return
    server = start(name, place, port)
    with server.process:
        yield server


def one_turn(session: Session, name: str, source: Process, port: int) -> dict[str, float]:
    """The figures of one server, which is started for it."""
    count, events = session.choose(5000, 300), session.choose(100, 20)
    with ExitStack() as stack:
        server = stack.enter_context(started(name, session.directory, source, port))
        before = server.process.memory("VmRSS")
        streams = Streams(server.port)
        stack.callback(streams.close)
        for _ in range(count):
            streams.open()
        grown = server.process.memory("VmRSS") - before
        idle, begun = server.process.cpu(), time.monotonic()
        time.sleep(session.choose(10, 2))  # the idle time is what is measured
        idle = (server.process.cpu() - idle) / (time.monotonic() - begun)
        held = int(source.ask(f"{events} {SECONDS}"))
        if held != count:
            raise Unavailable(f"the source holds {held} of {count} streams")
        found = streams.delays(events)
    worst = quantiles(found, n=100, method="inclusive")[98]
    figures = dict(zip(DELAYS, (median(found), worst, max(found)), strict=True))
    if name == DIRECT:
        return figures
    return {MEMORY: grown * 1024 / count, IDLE: idle * 100, **figures}


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    report, port = session.report, free_port()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < FILES and not session.quick:
        raise Unavailable(f"ulimit -Hn: expected {FILES} open files or more")
    samples: dict[str, dict[str, list[float]]] = defaultdict(dict)
    left = list(CONTENDERS)
    command = [sys.executable, "-m", "tests.benchmarks.held_streams", str(port)]
    with Process(command, session.directory / "source.log", pipes=True) as source:
        source.read()
        for _ in range(session.rounds_or(3, 1)):
            for name in list(left):
                try:
                    figures = one_turn(session, name, source, port)
                except Unavailable as reason:
                    report.skip(label(name), str(reason))
                    left.remove(name)
                    continue
                for measured, value in figures.items():
                    samples[measured].setdefault(label(name), []).append(value)
    for measured, aim in AIMS.items():
        aims = {label(UVICORN): aim}
        report.add(f"{session.choose(5000, 300)} streams, {measured}", samples[measured], aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
