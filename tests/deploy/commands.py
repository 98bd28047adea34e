"""Command lines of the files in docs/deploy, read as the command reads them; nothing is run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from wsgiproxy.cli import parser

__all__ = ["ROOT", "checked", "refused"]

ROOT = Path(__file__).resolve().parents[2]


def refused(words: Sequence[str]) -> str:
    """What the command line says against the words of a command; nothing, if it takes them."""
    assert Path(words[0]).name == "wsgiproxy", words
    try:
        parser().parse_args(list(words[1:]))
    except ValueError as error:
        return str(error)
    return ""


def checked(file: Path) -> tuple[int, str]:
    """The status of ``wsgiproxy check FILE``, and what it says."""
    command = [sys.executable, "-m", "wsgiproxy", "check", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr
