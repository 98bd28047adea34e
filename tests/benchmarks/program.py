"""How a program is run: its options, its directory, its end; and all of them together.

Each program has a TITLE and a function ``measure(session)`` that adds figures to the session's
report and does not print; the rest is here.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.processes import Unavailable, terminated_as_interrupt
from tests.benchmarks.report import Report, as_json, machine, print_report, remarks, table

NEEDED_SPACE = 2 * 1024**3
FILES = 16384


@dataclass
class Session:
    """What a program is run with: its options, a directory for its files, and its report."""

    quick: bool
    rounds: int | None
    directory: Path
    report: Report

    def choose(self, full: int, quick: int) -> int:
        """A size of the run that ``--quick`` makes smaller."""
        return quick if self.quick else full

    def rounds_or(self, full: int, quick: int) -> int:
        """The number of rounds: ``--rounds``, or a program's own."""
        return self.rounds or self.choose(full, quick)


Measure = Callable[[Session], None]


def options(text: str) -> argparse.Namespace:
    """The options that every program has."""
    parser = argparse.ArgumentParser(description=text.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, rough figures")
    parser.add_argument("--rounds", type=int, help="rounds, instead of the program's own number")
    parser.add_argument("--json", action="store_true", help="print every round as JSON")
    return parser.parse_args()


def conduct(measure: Measure, title: str, chosen: argparse.Namespace) -> Report:
    """Run one program in a directory of its own and return what it found."""
    report = Report(title)
    with tempfile.TemporaryDirectory(prefix="wsgiproxy-bench-", dir=_place()) as name:
        print(f"... {title}", file=sys.stderr)
        try:
            measure(Session(chosen.quick, chosen.rounds, Path(name), report))
        except Unavailable as reason:
            report.skip("everything else", str(reason))
    return report


def _place() -> str | None:
    # Memory, where there is enough of it: the disk is not what is measured. Containers often have
    # 64 MiB there, and an upload is stored by the upstream and by proxies that buffer it.
    shared = "/dev/shm"
    fits = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > NEEDED_SPACE
    return shared if fits else None


def main(measure: Measure, title: str, text: str) -> None:
    """The main function of one program."""
    chosen = options(text)
    [report] = _conduct_all([(measure, title)], chosen)
    if chosen.json:
        print(as_json([report]))
        return
    print_report(report)
    print("\n".join(machine()))


def run_all(programs: Sequence[tuple[Measure, str]], text: str) -> None:
    """The main function of all programs together: one table."""
    chosen = options(text)
    reports = _conduct_all(programs, chosen)
    if chosen.json:
        print(as_json(reports))
        return
    print(table([figure.cells() for report in reports for figure in report.figures]))
    for line in [*machine(), *(line for report in reports for line in remarks(report))]:
        print(f"\n* {line}")


def _conduct_all(
    programs: Sequence[tuple[Measure, str]], chosen: argparse.Namespace
) -> list[Report]:
    _allow_many_files()
    try:
        with terminated_as_interrupt():
            return [conduct(measure, title, chosen) for measure, title in programs]
    except KeyboardInterrupt:
        sys.exit("interrupted; everything that was started has been ended")


def _allow_many_files() -> None:
    # 5000 streams are as many files here, and twice as many in the proxy; what we start inherits
    # this limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
