"""What WebSocket costs: 8 connections that echo messages, and 1,000 that are idle.

8 clients send a message of 100 B, or of 64 KiB, again as soon as its echo is there; the proxies
take turns, and ratios are taken round by round. CPU is the proxy's own, with all of its processes,
for a message there and its echo back. Messages are binary, one frame each. Nothing is compressed:
the client (``wsload.c``) offers no extension, the upstream (``wsecho.c``) accepts none.

nginx is a tunnel with one worker. As it comes it reads 4 KiB at a time, so there is a second row
with buffers of 64 KiB. "uvicorn, echo application" is no proxy: it sends back itself what it is
sent, which lies below any relay in that server. uvicorn has uvloop, httptools and ``--ws
websockets-sansio``, for ours and for the peers; aiorp runs in aiohttp. A tunnel through a WSGI
server takes a thread for each connection.

For the memory, each server is started anew for each round, warmed by the 8 clients, and its memory
(VmRSS) taken; then the connections are opened, one after the other, each with one echo of 100 B.
The growth is that of the whole server, over the number of connections.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tests.benchmarks import load
from tests.benchmarks.processes import Process, Unavailable, wait_until_ready
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import (
    GUNICORN_WEBSOCKET,
    NGINX_LARGE,
    NGINX_TUNNEL,
    UVICORN_ECHO,
    UVICORN_WEBSOCKET,
    WEBSOCKET_OURS,
    Server,
    in_turns,
    label,
    running,
    start,
)
from tests.benchmarks.upstream import SMALL
from tests.support.ports import free_port

TITLE = "WebSocket"
PEER = "fastapi-proxy-lib, WebSocket"
PEERS = (PEER, "asgiproxy", "aiorp, WebSocket")
CONTENDERS = (NGINX_TUNNEL, NGINX_LARGE, UVICORN_ECHO, *WEBSOCKET_OURS, *PEERS)
# A thread for each connection is not for a thousand of them.
IDLE_CONTENDERS = (NGINX_TUNNEL, NGINX_LARGE, UVICORN_ECHO, *WEBSOCKET_OURS[:2], *PEERS)
CLIENTS = 8
SHORT, LONG = 100, 65536
_UVICORN, _GUNICORN = label(UVICORN_WEBSOCKET), label(GUNICORN_WEBSOCKET)
# How many times as much CPU as nginx a message may cost, and as others in rows of their own.
AIMS = {
    SHORT: {_GUNICORN: Aim("<=", 3.3)},
    LONG: {_UVICORN: Aim("<=", 1.1), _GUNICORN: Aim("<=", 0.75)},
}
BESIDE = {SHORT: {UVICORN_ECHO: Aim("<=", 2.1), PEER: Aim("<=", 0.27)}, LONG: {}}
MEMORY_AIM = Aim("<=", 60, of="median", unit=" KiB")


@contextmanager
def running_echo(session: Session) -> Iterator[int]:
    """The upstream, which echoes; its port."""
    port, place = free_port(), session.directory
    command = [str(load.compiled(place, "wsecho")), str(port)]
    with Process(command, place / "echo.log") as process:
        wait_until_ready(process, port, "/1k", SMALL)
        yield port


def one_turn(session: Session, size: int, server: Server) -> tuple[float, float]:
    """CPU microseconds for a message and messages a second of one server in one round."""
    messages = session.choose(60_000, 8_000) if size == SHORT else session.choose(12_000, 2_000)
    with load.websocket_client(session.directory, server, connections=CLIENTS, size=size) as client:
        return load.cost(server, client, messages, session.choose(3, 1), size)


def echoes(session: Session, size: int, servers: Sequence[Server]) -> None:
    """The figures of messages of `size` bytes."""
    cpu: dict[str, list[float]] = defaultdict(list)
    rate: dict[str, list[float]] = defaultdict(list)
    report, what = session.report, f"WebSocket echo, {size} B"

    def skip(name: str, reason: str) -> None:
        report.skip(f"{name}, {size} B", reason)

    rounds = session.rounds_or(7, 2)
    for name, (used, echoed) in in_turns(servers, rounds, partial(one_turn, session, size), skip):
        cpu[name].append(used)
        rate[name].append(echoed)
    report.add(f"{what}, CPU µs/message", cpu, against=NGINX_TUNNEL, aims=AIMS[size])
    report.add(f"{what}, messages/s", rate, against=NGINX_TUNNEL)
    for other, aim in BESIDE[size].items():
        if other in cpu and _UVICORN in cpu:
            pair = {name: cpu[name] for name in (other, _UVICORN)}
            of_pair = f"{what}, CPU µs/message, beside {other}"
            report.add(of_pair, pair, against=other, aims={_UVICORN: aim})


def growth(session: Session, name: str, upstream: int, connections: int) -> float:
    """KiB for each connection, of one server that is started for it."""
    opened = partial(load.websocket_client, session.directory, size=SHORT)
    server = start(name, session.directory, upstream)
    with server.process:
        with opened(server, connections=CLIENTS) as client:
            client.run(100 * CLIENTS)
        before = server.process.memory("VmRSS")
        with opened(server, connections=connections):
            return (server.process.memory("VmRSS") - before) * 1024 / connections


def idle(session: Session, upstream: int) -> None:
    """The memory of connections on which nothing is sent."""
    connections, report = session.choose(1000, 200), session.report
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * connections:
        raise Unavailable(f"ulimit -Hn: expected {3 * connections} open files or more")
    samples: dict[str, list[float]] = defaultdict(list)
    left = list(IDLE_CONTENDERS)
    for _ in range(session.rounds_or(3, 1)):
        for name in list(left):
            try:
                samples[label(name)].append(growth(session, name, upstream, connections))
            except Unavailable as reason:
                report.skip(f"{label(name)}, {connections} idle", str(reason))
                left.remove(name)
    measured = f"{connections} idle WebSockets, KiB for each"
    report.add(measured, samples, aims={_UVICORN: MEMORY_AIM})


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    report, place = session.report, session.directory
    with running_echo(session) as upstream:
        with running(CONTENDERS, place, upstream, report.skip) as servers:
            for size in (SHORT, LONG):
                echoes(session, size, servers)
        idle(session, upstream)
    report.notes.append("WebSocket: no permessage-deflate: it is neither offered nor accepted")


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
