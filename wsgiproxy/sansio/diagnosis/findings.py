"""The loop over the table of checks, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsgiproxy.sansio.diagnosis.case import cases
from wsgiproxy.sansio.diagnosis.finding import BAD, Finding, Installation, Observed, Target
from wsgiproxy.sansio.diagnosis.table import CHECKS
from wsgiproxy.sansio.diagnosis.words import holds

__all__ = ["diagnose", "diagnose_installation", "verdict"]


def diagnose(asked: Target, heard: Mapping[str, Observed], here: Installation) -> list[Finding]:
    """What is right and what is wrong.

    :param asked: the address, as the person typed it.
    :param heard: question (``plain``, ``forged``, ``names``, those of ``ODD_PATHS`` and
        ``application``) -> what came back; empty if nothing was asked.
    :param here: our own installation.
    """
    findings = []
    for topic, words in cases(asked, heard, here):
        for check in CHECKS:
            if check.topic == topic and holds(f"{check.when} {check.holds}", words):
                sentence, cure = (text.format_map(words) for text in (check.sentence, check.remedy))
                findings.append(Finding(check.level, topic, sentence, cure))
                break
    return findings


def diagnose_installation(here: Installation) -> list[Finding]:
    """What is right and what is wrong, if nobody is to be asked.

    >>> diagnose_installation(Installation("1.0"))[0].sentence
    'Nothing is wrong with the installation of wsgiproxy 1.0.'
    """
    return diagnose(Target("http", "", "/"), {}, here)


def verdict(findings: Sequence[Finding], heard: Mapping[str, Observed]) -> int:
    """The exit status: 0 healthy, 1 not, 2 if the backend was asked and did not answer."""
    if heard and heard["plain"].examination is None:
        return 2
    return int(any(finding.level == BAD for finding in findings))
