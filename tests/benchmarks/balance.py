"""The balance policies at 1,000 upstreams: fairness, latency, lost and retried requests.

A simulation, in `balance_model`: it measures the choice alone, no network and no program.
``--quick`` takes 20,000 requests and 50 upstreams, ``--requests`` and ``--upstreams`` others than
10,000,000 and 1,000. The table is that of ``docs/balancing_simulation.rst``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.benchmarks.balance_model import Result, Scene, simulate
from tests.benchmarks.report import table

COLUMNS = (
    *("policy", "fairness", "max/mean", "p50 ms", "p99 ms", "p99.9 ms"),
    *("lost", "cut", "errors", "retried", "moved"),
)
#: Policies, and whether the weights are the nominal speeds.
RUNS = (
    ("round-robin", True),
    ("least", True),
    ("two-choices", True),
    ("hash:client", True),
    ("sticky", True),
    ("round-robin", False),
    ("least", False),
    ("two-choices", False),
)


def scenes(requests: int, upstreams: int, trouble: float) -> list[Scene]:
    """All that is compared."""
    return [
        Scene(policy, requests, upstreams, knows_speed=knows_speed, trouble=trouble)
        for policy, knows_speed in RUNS
    ]


def cells(result: Result) -> tuple[str, ...]:
    """The row of the table."""
    parts = (result.percentile(part) for part in (0.5, 0.99, 0.999))
    counts = (result.lost, result.cut, result.errors, result.retried, result.moved)
    return (
        result.scene.name,
        f"{result.jain:.3f}",
        f"{result.peak:.2f}",
        *(f"{part:,}" for part in parts),
        *(f"{count:,}" for count in counts),
    )


def compare(todo: Sequence[Scene], jobs: int) -> list[Result]:
    """Run them in processes side by side; the results in their order."""
    results = []
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(simulate, todo):
            print(*cells(result), sep="  ", file=sys.stderr, flush=True)
            results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 requests, 50 upstreams")
    parser.add_argument("--requests", type=int, help="for each policy")
    parser.add_argument("--upstreams", type=int, help="how many")
    parser.add_argument("--trouble", type=float, default=1.0, help="1: a restart in 300 s each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    requests = options.requests or (20_000 if options.quick else 10_000_000)
    upstreams = options.upstreams or (50 if options.quick else 1000)
    results = compare(scenes(requests, upstreams, options.trouble), options.jobs)
    print(table([cells(result) for result in results], COLUMNS))
    seconds = results[0].seconds
    print(f"{requests:,} requests at {upstreams:,} upstreams in {seconds:.0f} simulated seconds")


if __name__ == "__main__":
    main()
