"""What threads that compete cost: CPU for a request beside a loop of urllib3 in the same server.

Each call that waits, sends or receives gives up the interpreter lock, and where threads compete
for it each of them may cost two hand-overs. The first figure counts these calls for one small
request on a kept connection; the others compare whole servers with 16 clients, as
:mod:`tests.benchmarks.whole_server` does.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from tests.benchmarks.contender import called
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import in_turns, label, running
from tests.benchmarks.upstream import running_upstream
from tests.benchmarks.whole_server import one_turn
from tests.support.calls import counted, in_thread

TITLE = "Threads that compete, beside a loop of urllib3"
SERVERS = {"waitress": 0.8, "gunicorn": 0.8, "granian": 0.45}
REQUESTS = 200


def calls_of_one_request(port: int) -> float:
    """Calls that give up the interpreter lock, for one request on a kept connection.

    They are counted in a thread of its own, as a server has it for each request; the first
    thread of a process gets its signals, and needs one call more.
    """
    from wsgiproxy.app import WSGIProxyApp
    from wsgiproxy.transport import PooledTransport

    transport = PooledTransport()
    application = WSGIProxyApp(f"http://127.0.0.1:{port}", transport=transport)
    get = called(application, port, 12)
    get()
    calls = counted(transport)

    def get_all() -> None:
        for _ in range(REQUESTS):
            get()

    in_thread(get_all)
    transport.close()
    return len(calls) / REQUESTS


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    report, place = session.report, session.directory
    with running_upstream(place) as upstream:
        found = {"ours": [calls_of_one_request(upstream)]}
        aim = Aim("<=", 2, of="median")
        report.add("calls without the interpreter lock, a request", found, aims={"ours": aim})
        for name, limit in SERVERS.items():
            cpu: dict[str, list[float]] = defaultdict(list)
            pair = (name, f"{name}, urllib3")
            with running(pair, place, upstream, report.skip) as servers:
                turn = partial(one_turn, session)
                rounds = session.rounds_or(7, 2)
                for each, (used, _) in in_turns(servers, rounds, turn, report.skip):
                    cpu[each].append(used)
            aims = {label(name): Aim("<=", limit)}
            report.add(f"under {name}, CPU µs/request", cpu, against=pair[1], aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
