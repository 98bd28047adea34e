"""What hooks cost: CPU microseconds for a GET of 1 KiB in one process, and memory of a body map.

``hooks_contender.py`` calls `WSGIProxyApp` and `ASGIProxyApp` as ``in_process`` and
``asgi_in_process`` do, against nginx, all on one core: without a hook, with one that sets a field
of each request, with one that sets a field of each response, and with five that set one each. They
take turns of 48 requests in the same process, so that what is different is the hooks alone. Then a
body of 256 MiB of nginx passes through a map on each edge, and the growth of the process is taken.
"""

from __future__ import annotations

import json

from tests.benchmarks.hooks_contender import CHAINS, EDGES, MAPPED, NONE, REQUEST, label
from tests.benchmarks.in_process import contending
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim

TITLE = "Hooks in process, GET of 1 KiB"
AIMS = {
    "WSGI": Aim("<=", 4, of="median", unit=" µs"),
    "ASGI": Aim("<=", 6, of="median", unit=" µs"),
}
FLAT = Aim("<=", 8, of="median", unit=" MiB")


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    with contending(session, "hooks_contender", session.rounds_or(15, 4)) as (rounds, process):
        growth = json.loads(process.ask(MAPPED))
    for edge in EDGES:
        samples = {label(edge, chain): rounds[label(edge, chain)] for chain in CHAINS}
        none = label(edge, NONE)
        session.report.add(f"hooks under {edge}, CPU µs/request", samples, against=none)
        above = {
            name: [value - base for value, base in zip(values, samples[none], strict=True)]
            for name, values in samples.items()
            if name != none
        }
        aims = {label(edge, REQUEST): AIMS[edge]}
        session.report.add(f"hooks under {edge}, µs above none", above, aims=aims)
    for edge, size in growth.items():
        name = f"a map of 256 MiB, {edge}"
        session.report.add("growth of the process, MiB", {name: [size]}, aims={name: FLAT})


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
