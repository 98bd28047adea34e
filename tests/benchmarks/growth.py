"""How the cost grows: with the number of open clients, and with the number of header fields.

Of 1, 10, 100 and 1000 open keep-alive clients at most 16 are active; each of the others has had one
answer and stays connected. CPU is that of the whole server for a request. Fields are measured in
process as in ``in_process``, with 5, 20, 50 and 100 of them, beside ``urlopen``.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from statistics import median

from tests.benchmarks import load
from tests.benchmarks.in_process import AGAINST, OURS, costs
from tests.benchmarks.program import Session, main
from tests.benchmarks.servers import Server, in_turns, running
from tests.benchmarks.upstream import running_upstream

TITLE = "Growth of the cost with clients and with header fields"
NGINX = "nginx, keep-alive"
CONTENDERS = (NGINX, "granian", "waitress", "gunicorn")
CLIENTS = (1, 10, 100, 1000)
ACTIVE = 16
FIELDS = (5, 20, 50, 100)
Growth = dict[str, dict[int, float]]


def one_turn(session: Session, clients: int, server: Server) -> float:
    """CPU microseconds for a request with so many clients."""
    active = min(clients, ACTIVE)
    with load.client(
        session.directory, server, load.head("GET /1k"), active=active, idle=clients - active
    ) as client:
        used, _ = load.cost(server, client, session.choose(30_000, 4_000), session.choose(3, 1))
        return used


def by_clients(session: Session, upstream: int) -> Growth:
    """Figures for each number of clients; the medians by contender and number."""
    medians: Growth = defaultdict(dict)
    report, place = session.report, session.directory
    with running(CONTENDERS, place, upstream, report.skip) as servers:
        for clients in CLIENTS:
            samples: dict[str, list[float]] = defaultdict(list)

            def skip(name: str, reason: str, clients: int = clients) -> None:
                report.skip(f"{name}, {clients} clients", reason)

            turn = partial(one_turn, session, clients)
            for name, used in in_turns(servers, session.rounds_or(5, 1), turn, skip):
                samples[name].append(used)
                medians[name][clients] = median(samples[name])
            report.add(f"open clients: {clients}, CPU µs/request", samples, against=NGINX)
    return medians


def by_fields(session: Session, upstream: int) -> Growth:
    """Figures for each number of fields; the medians by contender and number."""
    medians: Growth = defaultdict(dict)
    for count in FIELDS:
        samples = costs(session, (AGAINST, OURS), upstream, count)
        session.report.add(f"in process, {count} fields, CPU µs/request", samples, against=AGAINST)
        for name, values in samples.items():
            medians[name][count] = median(values)
    return medians


def compare(session: Session, medians: Growth, few: int, many: int, what: str) -> None:
    """One note for each contender: how much more `many` cost than `few`."""
    for name, found in medians.items():
        if few in found and many in found:
            times = f"{found[many] / found[few]:.2f} times as much with {many} {what} as with {few}"
            session.report.notes.append(f"{name}: a request costs {times}")


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    with running_upstream(session.directory) as upstream:
        compare(session, by_clients(session, upstream), 10, 1000, "clients")
        compare(session, by_fields(session, upstream), 5, 100, "fields")


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
