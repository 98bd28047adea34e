"""What a whole ASGI server costs: as :mod:`tests.benchmarks.whole_server`, for the other edge.

16 keep-alive clients ask for 1 KiB as fast as they are answered, in turns; one process each,
without an access log but in the row that says so. uvicorn has httptools, and uvloop where no other
loop is named; the same holds for the peers that run in it. "hello" is an application that sends
1 KiB and proxies nothing. Of nginx there are two rows: one worker that is the proxy and its
upstream, so that serving the file is in its figure; and, as everybody else, in front of an upstream
that is another process.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import (
    ASGI_OURS,
    GRANIAN_ASGI,
    NGINX_BOTH,
    UVICORN,
    UVICORN_HELLO,
    UVICORN_LOGGED,
    in_turns,
    label,
    running,
)
from tests.benchmarks.upstream import running_upstream
from tests.benchmarks.whole_server import one_turn

TITLE = "Whole ASGI servers, GET of 1 KiB, 16 keep-alive clients"
PEER, NGINX = "aiorp", "nginx, keep-alive"
PEERS = (PEER, "python-pyproxy", "fastapi-proxy-lib", "fastapi-reverse-proxy")
CONTENDERS = (
    NGINX_BOTH,
    NGINX,
    *ASGI_OURS,
    UVICORN_LOGGED,
    UVICORN_HELLO,
    f"{GRANIAN_ASGI}, hello",
    *PEERS,
)
# What uvicorn with ours is compared with besides the peers, and how many times as much it may cost.
BESIDE: dict[str, Aim | None] = {
    UVICORN_HELLO: Aim("<=", 3.2),
    NGINX_BOTH: Aim("<=", 3.8),
    NGINX: None,
}


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
    ours = label(UVICORN)
    report.add("ASGI, CPU µs/request", cpu, against=PEER, aims={ours: Aim("<=", 0.5)})
    report.add("ASGI, requests/s", rate, against=PEER, aims={ours: Aim(">=", 2.0)})
    for other, aim in BESIDE.items() if ours in cpu else ():
        pair = {name: cpu[name] for name in (other, ours)}
        aims = {ours: aim} if aim else None
        report.add(f"ASGI, CPU µs/request, beside {other}", pair, against=other, aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
