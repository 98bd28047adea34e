"""What the doctor has found, for people and for machines."""

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
_TOPIC = 13


def as_json(
    href: str, findings: Sequence[Finding], heard: Mapping[str, Observed], status: int, out: TextIO
) -> str:
    """One JSON object."""
    questions = {
        name: {
            "status": each.status or None,
            "fault": each.fault or None,
            "answer": each.examination._asdict() if each.examination else None,
        }
        for name, each in heard.items()
    }
    report = {
        "url": href or None,
        "version": __version__,
        "healthy": None if status == 2 else status == 0,
        "findings": [finding._asdict() for finding in findings],
        "questions": questions,
    }
    return json.dumps(report, indent=2)


def as_text(
    href: str, findings: Sequence[Finding], heard: Mapping[str, Observed], status: int, out: TextIO
) -> str:
    """A line for each finding, with its cure below; ticks and colours on a terminal alone."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = [f"wsgiproxy doctor {href}".rstrip(), ""]
    for finding in findings:
        mark = _mark(finding.level, out)
        # The mark's width is that of its text: escape sequences take no room.
        start = f"{_WORDS[finding.level]:5} {finding.topic:{_TOPIC}}"
        indent = " " * len(start)
        lines.append(mark + _filled(finding.sentence, width, start, indent)[5:])
        if finding.cure:
            lines.append(_filled(f"-> {finding.cure}", width, indent, indent + "   "))
    return "\n".join([*lines, "", _summary(findings, status)])


def _filled(text: str, width: int, first: str, rest: str) -> str:
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
    counts = [sum(finding.level == level for finding in findings) for level in (BAD, WARN)]
    look = f"{_things(counts[1])} worth a look" if counts[1] else ""
    if not counts[0]:
        return f"Healthy; {look}." if look else "Healthy."
    wrong = f"Not healthy: {_things(counts[0])} wrong"
    return f"{wrong}, {look}." if look else f"{wrong}."


def _things(number: int) -> str:
    return "one thing is" if number == 1 else f"{number} things are"
