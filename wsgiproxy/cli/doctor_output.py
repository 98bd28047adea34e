"""The report of the doctor, as text and as JSON."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

from wsgiproxy.sansio.diagnosis import BAD, OK, WARN, Finding, Observed
from wsgiproxy.version import __version__

__all__ = ["as_json", "as_text"]

_WORDS = {OK: "ok", WARN: "look", BAD: "WRONG"}
_TICKS = {OK: "✔", WARN: "!", BAD: "✘"}
_COLOURS = {OK: "32", WARN: "33", BAD: "1;31"}
_WIDEST = 100


def as_json(
    href: str, findings: Sequence[Finding], observed: Mapping[str, Observed], status: int
) -> str:
    """One JSON object."""
    questions = {
        name: {
            "status": each.status or None,
            "fault": each.fault or None,
            "answer": each.examination._asdict() if each.examination else None,
        }
        for name, each in observed.items()
    }
    report = {
        "url": href or None,
        "version": __version__,
        "healthy": None if status == 2 else status == 0,
        "findings": [finding._asdict() for finding in findings],
        "questions": questions,
    }
    return json.dumps(report, indent=2)


def as_text(href: str, findings: Sequence[Finding], status: int, out: TextIO) -> str:
    """A line for each finding, with its cure below; ticks and colours on a terminal alone."""
    lines = [f"wsgiproxy doctor {href}".rstrip(), ""]
    for level, topic, sentence, cure in findings:
        # Wrapped with the word alone: escape sequences have no width.
        start = f"{_WORDS[level]:5} {topic:13}"
        indent = " " * len(start)
        lines.append(_mark(level, out) + _wrapped(sentence, start, indent)[5:])
        if cure:
            lines.append(_wrapped(f"-> {cure}", indent, indent + "   "))
    return "\n".join([*lines, "", _summary(findings, status)])


def _wrapped(text: str, first: str, rest: str) -> str:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    # Names of fields stay whole.
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def _mark(level: str, out: TextIO) -> str:
    if not out.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return f"{_WORDS[level]:5}"
    word = _TICKS[level] if "utf" in (out.encoding or "").lower() else _WORDS[level]
    return f"\x1b[{_COLOURS[level]}m{word:5}\x1b[0m"


def _summary(findings: Sequence[Finding], status: int) -> str:
    if status == 2:
        return "The backend could not be asked."
    bad, warn = (
        "one thing is" if count == 1 else f"{count} things are" if count else ""
        for count in (sum(each.level == level for each in findings) for level in (BAD, WARN))
    )
    parts = [f"Not healthy: {bad} wrong"] if bad else ["Healthy"]
    parts += [f"{warn} worth a look"] if warn else []
    return (", " if bad else "; ").join(parts) + "."
