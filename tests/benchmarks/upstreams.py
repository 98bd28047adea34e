"""What several upstreams cost: CPU microseconds for a GET of 1 KiB in one process.

``upstreams_contender.py`` calls `WSGIProxyApp` and `ASGIProxyApp` against nginx, all on one core:
with one upstream, with four, and with four of which one is dead. They take turns of 48 requests in
the same process, so that what is different is the choice, and the connections that take turns; the
rows without a network have the choice alone. A request that fails ends it.
"""

from __future__ import annotations

from tests.benchmarks.in_process import contending
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.upstreams_contender import (
    DEAD,
    EDGES,
    FOUR,
    FOUR_ALONE,
    ONE,
    ONE_ALONE,
    label,
)

TITLE = "Several upstreams in process, GET of 1 KiB"
CHOICE = Aim("<=", 2, of="median", unit=" µs")
WITH_DEAD = Aim("<=", 1.01, unit="")


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    with contending(session, "upstreams_contender", session.rounds_or(15, 4)) as (rounds, _):
        _report(session, rounds)


def _report(session: Session, rounds: dict[str, list[float]]) -> None:
    for edge in EDGES:
        one, four, dead = (label(edge, name) for name in (ONE, FOUR, DEAD))
        samples = {name: rounds[name] for name in (one, four, dead)}
        session.report.add(f"upstreams under {edge}, CPU µs/request", samples, against=one)
        alone = label(edge, FOUR_ALONE)
        above = {four: _above(rounds[four], rounds[one])}
        above[alone] = _above(rounds[alone], rounds[label(edge, ONE_ALONE)])
        aims = dict.fromkeys(above, CHOICE)
        session.report.add(f"choosing under {edge}, µs above one", above, aims=aims)
        session.report.add(
            f"a dead one under {edge}, CPU µs/request",
            {four: rounds[four], dead: rounds[dead]},
            against=four,
            aims={dead: WITH_DEAD},
        )


def _above(more: list[float], less: list[float]) -> list[float]:
    return [value - base for value, base in zip(more, less, strict=True)]


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
