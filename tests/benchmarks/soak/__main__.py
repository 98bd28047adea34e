"""Mixed load for minutes or hours, and what it leaves behind in the servers.

``python -m tests.benchmarks.soak --minutes N`` lets small and large answers, event streams,
uploads, WebSocket, answers that are cut, slow or never come, clients that leave, and processes on
demand that are killed pass through our proxies under waitress, gunicorn (WSGI) and uvicorn (ASGI),
while the upstream behind them is restarted again and again. It prints how memory (Pss, after a
collection of garbage and malloc_trim, with one arena for all threads), descriptors, threads, tasks
and Python's objects grow per hour: by the Theil-Sen estimator, after a warm-up of a quarter of the
time. It ends with status 1 if a request ended in another way than it has to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import terminated_as_interrupt
from tests.benchmarks.report import machine, table
from tests.benchmarks.soak.edges import MEASURED, SERVERS, Edge, started
from tests.benchmarks.soak.figures import growth
from tests.benchmarks.soak.load import Counts, Load

COLUMNS = ("server", "measured", "at rest before", "first third", "last third", "per hour")
Holds = dict[str, dict[str, float]]


def options(words: list[str] | None = None) -> argparse.Namespace:
    """What is typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: 1)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests/s in all (default: 50)")
    parser.add_argument("--json", action="store_true", help="print the samples, too, as JSON")
    parser.add_argument(
        "--server", action="append", choices=list(SERVERS), help="one alone; may be repeated"
    )
    return parser.parse_args(words)


async def soaked(names: list[str], seconds: float, rate: float, place: Path) -> dict[str, Any]:
    """Everything that one run finds."""
    async with started(names, place) as (upstream, edges):
        load = Load(edges, upstream, rate)
        await load.once()
        before = await _at_rest(edges)

        async def sample(at: float) -> None:
            await asyncio.gather(*(edge.sample(at) for edge in edges))

        await load.run(seconds, sample)
        after = await _at_rest(edges)
        return {
            "seconds": seconds,
            "restarts": upstream.restarts,
            "growth": [row for edge in edges for row in _growth(edge, before, after)],
            "samples": {edge.name: edge.samples for edge in edges},
            **_counted(load.counts),
        }


async def _at_rest(edges: list[Edge]) -> Holds:
    found = await asyncio.gather(*(edge.at_rest() for edge in edges))
    return {edge.name: each for edge, each in zip(edges, found, strict=True)}


def _growth(edge: Edge, before: Holds, after: Holds) -> Iterator[dict[str, Any]]:
    for name, unit in MEASURED.items():
        if name == "tasks" and not any(value for _, value in edge.samples[name]):
            continue  # it has no event loop
        found = asdict(growth(edge.samples[name]))
        measured = f"{name}, {unit}" if unit else name
        at_rest = {"before": before[edge.name][name], "after": after[edge.name][name]}
        yield {"server": edge.name, "measured": measured, **at_rest, **found}


def _counted(counts: Counts) -> dict[str, Any]:
    def rows(counter: Any) -> list[list[Any]]:
        return [[*key, number] for key, number in sorted(counter.items())]

    return {
        "right": rows(counts.right),
        "disturbed": rows(counts.disturbed),
        "wrong": rows(counts.wrong),
        "left out": counts.left_out,
    }


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def printed(found: dict[str, Any]) -> Iterator[str]:
    """What a run has found, as lines."""
    yield table(
        (
            (
                row["server"],
                row["measured"],
                *(_number(row[name]) for name in ("before", "first", "last", "hourly", "after")),
            )
            for row in found["growth"]
        ),
        (*COLUMNS, "at rest after"),
    )
    counted = [
        (server, kind, end, str(number), about)
        for about in ("right", "disturbed", "wrong")
        for server, kind, end, number in found[about]
    ]
    yield ""
    yield table(counted, ("server", "kind", "end", "requests", "which is"))
    yield ""
    totals = {name: sum(row[-1] for row in found[name]) for name in ("right", "disturbed", "wrong")}
    yield (
        f"{sum(totals.values())} requests in {found['seconds']:.0f} s,"
        f" {found['left out']} left out; {found['restarts']} restarts,"
        f" with {totals['disturbed']} requests that met one;"
        f" {totals['wrong']} ended wrongly"
    )


def main(words: list[str] | None = None) -> int:
    """Run it, print what it found, and say whether all requests ended as they have to."""
    chosen = options(words)
    names = chosen.server or list(SERVERS)
    with tempfile.TemporaryDirectory(prefix="wsgiproxy-soak-") as place:
        try:
            with terminated_as_interrupt():
                running = soaked(names, chosen.minutes * 60, chosen.rate, Path(place))
                found = asyncio.run(running)
        except KeyboardInterrupt:
            sys.exit("interrupted; everything that was started has been ended")
    if chosen.json:
        print(json.dumps({"machine": machine(), **found}))
    else:
        print(*printed(found), *machine(), sep="\n")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
