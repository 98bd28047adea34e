"""The doctor's rules: who may ask, what is answered, and what follows from the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wsgiproxy.sansio.diagnosis.checks import BAD, CHECKS, OK, TOPICS, WARN, Found, holds
from wsgiproxy.sansio.diagnosis.examination import (
    Asking,
    Examination,
    Installation,
    Observed,
    read_examination,
    shown,
)
from wsgiproxy.sansio.diagnosis.facts import collect
from wsgiproxy.sansio.diagnosis.question import (
    ENVIRON_KEY,
    FORGED,
    HEADER,
    INNER,
    INNER_KEY,
    NAMES,
    ODD_PATHS,
    Question,
    read_question,
    write_question,
)

__all__ = ["BAD", "ENVIRON_KEY", "FORGED", "HEADER", "INNER", "INNER_KEY", "NAMES", "ODD_PATHS"]
__all__ += ["OK", "WARN", "Examination", "Finding", "Installation", "Observed", "Question"]
__all__ += ["Asking", "diagnose", "read_examination", "read_question"]
__all__ += ["shown", "verdict", "write_question"]


Results = Mapping[str, Observed]


class Finding(NamedTuple):
    """One thing that is right or wrong."""

    level: str  # ok, warn (worth a look; it may be meant so) or bad
    topic: str
    sentence: str
    cure: str = ""  # what to do; empty if nothing is to be done


def diagnose(
    installation: Installation, target: Asking | None = None, observed: Results | None = None
) -> list[Finding]:
    """The findings about an installation and, unless *target* is None, about a stack.

    :param observed: name of a question (``plain``, ``forged``, ``names``, those of ``ODD_PATHS``
        and ``application``) -> its result.

    >>> diagnose(Installation("1.0"))[0].sentence
    'Nothing is wrong with the installation of wsgiproxy 1.0.'
    """
    stack, cases = collect(installation, target or Asking("", "", ""), observed or {})
    findings = []
    for topic, condition in TOPICS.items():
        for case in cases.get(topic, [Found()]):
            facts = Found(stack, **case)
            if not holds(condition, facts):
                continue
            rows = (row for row in CHECKS if row.topic == topic and holds(row.condition, facts))
            if check := next(rows, None):
                sentence, cure = (text.format_map(facts) for text in (check.sentence, check.cure))
                findings.append(Finding(check.level, topic, sentence, cure))
    return findings


def verdict(findings: Sequence[Finding], observed: Results) -> int:
    """The exit status: 0 healthy, 1 something is wrong, 2 the backend could not be asked."""
    if observed and observed["plain"].examination is None:
        return 2
    return int(any(finding.level == BAD for finding in findings))
