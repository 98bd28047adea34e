"""Figures, their aims, and the tables they are printed in; it measures and starts nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.upstream import nginx_version

PACKAGES = (
    *("urllib3", "httptools", "webob", "waitress", "gunicorn", "granian", "werkzeug", "requests"),
    *("aiorp", "aiohttp", "fastapi-proxy-lib", "httpx", "starlette", "uvicorn", "uvloop"),
    *("fastapi-reverse-proxy", "fastapi", "python-pyproxy"),
    *("websockets", "httpx-ws", "wsproto", "asgiproxy"),
)
COLUMNS = ("measured", "contender", "median", "range", "ratio", "ratio's range", "aim")


@dataclass(frozen=True)
class Aim:
    """A limit: ``Aim("<=", 0.3)`` of the ratio, or of the figure itself."""

    sign: str
    limit: float
    of: str = "ratio"
    unit: str = ""

    def verdict(self, value: float) -> str:
        """The aim and whether `value` keeps it."""
        kept = {
            "<=": value <= self.limit,
            "<": value < self.limit,
            ">=": value >= self.limit,
        }[self.sign]
        word = "reached" if kept else "NOT reached"
        return f"aim {self.sign} {self.limit:g}{self.unit}: {word}"


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, of whom, in every round, and against what."""

    measured: str
    contender: str
    samples: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    against: str = ""
    aim: Aim | None = None

    def judged(self) -> str:
        """The aim's verdict, on the median of the ratios or on the median (or worst) sample."""
        if self.aim is None or (self.aim.of == "ratio" and not self.ratios):
            return ""
        values = {
            "ratio": lambda: median(self.ratios),
            "median": lambda: median(self.samples),
            "max": lambda: max(self.samples),
        }
        return self.aim.verdict(values[self.aim.of]())

    def cells(self) -> tuple[str, ...]:
        """The row under COLUMNS."""
        ratio = f"{median(self.ratios):.2f} of {self.against}" if self.ratios else ""
        return (
            self.measured,
            self.contender,
            number(median(self.samples)),
            spread(self.samples),
            ratio,
            spread(self.ratios, 2) if self.ratios else "",
            self.judged(),
        )


@dataclass
class Report:
    """What one program found."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def skip(self, contender: str, reason: str) -> None:
        """Remember that `contender` was not measured, and the first reason."""
        self.skipped.setdefault(contender, reason)

    def add(
        self,
        measured: str,
        samples: dict[str, list[float]],
        *,
        against: str = "",
        aims: dict[str, Aim] | None = None,
    ) -> None:
        """One figure for each contender; ratios to `against` are taken round by round."""
        base = samples.get(against, [])
        for contender, values in samples.items():
            if not values:
                continue
            pairs = zip(values, base, strict=False) if contender != against else ()
            self.figures.append(
                Figure(
                    measured,
                    contender,
                    tuple(values),
                    tuple(value / other for value, other in pairs if other),
                    against,
                    (aims or {}).get(contender),
                )
            )


def number(value: float, digits: int | None = None) -> str:
    """Three significant places, thousands whole."""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def spread(values: Sequence[float], digits: int | None = None) -> str:
    """The smallest and the largest value."""
    return f"{number(min(values), digits)} to {number(max(values), digits)}"


def table(rows: Iterable[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """A simple table of reStructuredText."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    # An empty cell in the first column would continue the row above; it is never empty here.
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    rule = "  ".join("=" * width for width in widths)
    printed = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([rule, printed[0], rule, *printed[1:], rule])


def machine() -> list[str]:
    """What the figures were measured on, as lines of text."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.M)
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return [
        f"cpu: {model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        f"system: {platform.system()} {platform.release()}",
        f"python: {platform.python_implementation()} {platform.python_version()}",
        f"nginx: {nginx_version()}",
        f"packages: {', '.join(versions)}",
    ]


def remarks(report: Report) -> list[str]:
    """The notes of a report and the contenders that it skipped."""
    skipped = [f"skipped: {name}: {reason}" for name, reason in report.skipped.items()]
    return [*report.notes, *skipped]


def print_report(report: Report) -> None:
    """The table of one program, the words about its aims, its notes and what it skipped."""
    print(report.title, "=" * len(report.title), "", sep="\n")
    print(table(figure.cells() for figure in report.figures) if report.figures else "no figures")
    print()
    for figure in report.figures:
        if verdict := figure.judged():
            print(f"{figure.measured}, {figure.contender}: {verdict}")
    for line in remarks(report):
        print(line)
    print()


def as_json(reports: Sequence[Report]) -> str:
    """Every round of every figure, for a program to read."""
    found = [
        {
            "title": report.title,
            "notes": report.notes,
            "skipped": report.skipped,
            "figures": [{**vars(f), "aim": f.judged() or None} for f in report.figures],
        }
        for report in reports
    ]
    return json.dumps({"machine": machine(), "reports": found}, indent=1)
