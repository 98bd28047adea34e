"""The doctor's rules: who may ask, what is answered, and what follows from the answers."""

from __future__ import annotations

from wsgiproxy.sansio.diagnosis.finding import (
    BAD,
    OK,
    WARN,
    Finding,
    Installation,
    Observed,
    Target,
)
from wsgiproxy.sansio.diagnosis.findings import diagnose, diagnose_installation, verdict
from wsgiproxy.sansio.diagnosis.probes import FORGED, NAMES, ODD_PATHS
from wsgiproxy.sansio.diagnosis.question import (
    ENVIRON_KEY,
    HEADER,
    INNER,
    INNER_KEY,
    Question,
    ask,
    asked,
)
from wsgiproxy.sansio.diagnosis.report import Examination, read_examination, shown

__all__ = [
    "BAD",
    "ENVIRON_KEY",
    "FORGED",
    "HEADER",
    "INNER",
    "INNER_KEY",
    "NAMES",
    "ODD_PATHS",
    "OK",
    "WARN",
    "Target",
    "Examination",
    "Finding",
    "Observed",
    "Installation",
    "Question",
    "ask",
    "asked",
    "diagnose",
    "diagnose_installation",
    "read_examination",
    "shown",
    "verdict",
]
