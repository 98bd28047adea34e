"""What a whole server costs: CPU for a request and requests a second, beside nginx and others.

16 keep-alive clients ask for 1 KiB as fast as they are answered; the proxies take turns, and the
ratios are taken round by round. CPU is the proxy's own, with all of its processes. The upstream
nginx, the proxy and the load generator (``load.c``) share the cores of this machine, the same for
everyone. nginx as a proxy has one worker and ``keepalive 16`` to the upstream; "as it comes" is a
bare ``proxy_pass``, which opens a connection for every request. "a bare socket loop" is granian
with an application that sends fixed bytes upstream and reads nothing of the answer: any blocking
proxy lies above it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from tests.benchmarks import load
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import FLOOR, Server, in_turns, label, running
from tests.benchmarks.upstream import running_upstream

TITLE = "Whole servers, GET of 1 KiB, 16 keep-alive clients"
CONTENDERS = (
    "nginx, keep-alive",
    "nginx, as it comes",
    FLOOR,
    "granian",
    "waitress",
    "gunicorn",
    "aiorp",
    "fastapi-proxy-lib",
)
CLIENTS = 16


def one_turn(session: Session, server: Server) -> tuple[float, float]:
    """CPU microseconds for a request and requests a second of one server in one round."""
    with load.client(session.directory, server, load.head("GET /1k"), active=CLIENTS) as client:
        return load.cost(server, client, session.choose(60_000, 8_000), session.choose(4, 1))


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    cpu: dict[str, list[float]] = defaultdict(list)
    rate: dict[str, list[float]] = defaultdict(list)
    report, place = session.report, session.directory
    with (
        running_upstream(place) as upstream,
        running(CONTENDERS, place, upstream, report.skip) as servers,
    ):
        rounds = session.rounds_or(7, 2)
        turn = partial(one_turn, session)
        for name, (used, answered) in in_turns(servers, rounds, turn, report.skip):
            cpu[name].append(used)
            rate[name].append(answered)
    ours = label("granian")
    report.add(
        "whole server, CPU µs/request", cpu, against=CONTENDERS[0], aims={ours: Aim("<=", 2.6)}
    )
    report.add("whole server, requests/s", rate, against="aiorp", aims={ours: Aim(">=", 1.8)})


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
