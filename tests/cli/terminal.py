"""``python -m wsgiproxy`` on a terminal: what a person types, and what is seen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.spawn.children import LIMIT, until

__all__ = ["Screen", "Terminal", "columns_of", "on_a_terminal"]

_ROOT = Path(__file__).resolve().parents[2]
# Ctrl-C is for the group in front of a terminal, which has to be the one that controls us.
_START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "wsgiproxy", *sys.argv[1:]])
"""
_LIVE = re.compile(r"[|/\\-] (?:starting|stopping) for [0-9]+\.[0-9] s: ")
_SEQUENCES = re.compile(r"\x1b\[2K|[^\x1b\r\n]+|\r|\n|\x1b", re.DOTALL)


def columns_of(text: str) -> int:
    """The columns that most terminals need for it."""
    widths = {"W": 2, "F": 2}
    return sum(
        0 if unicodedata.combining(each) else widths.get(unicodedata.east_asian_width(each), 1)
        for each in text
    )


class Screen:
    """What is seen of some output; it knows of no sequence but one, which erases a line.

    :ivar rows: the lines, without regard to their width.
    :ivar lives: each text that the live line has had.
    :ivar faults: what should never be seen.
    """

    def __init__(self, output: str) -> None:
        self.rows = [""]
        self.lives: list[str] = []
        self.faults: list[str] = []
        column = 0
        for each in _SEQUENCES.findall(output):
            if each == "\x1b[2K":
                self.rows[-1] = ""
            elif each == "\r":
                column = 0
            elif each == "\n":
                if _LIVE.search(self.rows[-1]):
                    self.faults.append(f"a live line that stays: {self.rows[-1]!r}")
                self.rows.append("")
            else:
                row = self.rows[-1]
                self.rows[-1] = row[:column] + each + row[column + len(each) :]
                column += len(each)
                self._look_at(self.rows[-1])

    def _look_at(self, row: str) -> None:
        if _LIVE.match(row):
            self.lives.append(row)
        elif _LIVE.search(row):
            self.faults.append(f"a live line in the middle: {row!r}")
        if not row.replace("\t", " ").isprintable():
            self.faults.append(f"control characters: {row!r}")

    @property
    def text(self) -> str:
        return "\n".join(self.rows)


class Terminal:
    """One running command on a terminal of its own.

    :param columns: its width; 0 if it is unknown.
    """

    def __init__(self, arguments: tuple[str, ...], env: Mapping[str, str], columns: int) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(
            ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24 * bool(columns), columns, 0, 0)
        )
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, *arguments],
                env={**os.environ, "PYTHONPATH": path, "TERM": "xterm", "NO_COLOR": "1", **env},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._number = ours
        self._read = bytearray()
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # the process has ended
            while data := os.read(self._number, 65536):
                self._read += data

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return bytes(self._read).decode("utf-8", "replace")

    @property
    def screen(self) -> Screen:
        return Screen(self.output)

    def wait_for(self, text: str) -> None:
        """Return when *text* has been written."""
        until(lambda: text in self.output or not self._reader.is_alive(), f"no {text!r}")
        assert text in self.output, self.output

    @property
    def port(self) -> int:
        self.wait_for(" ends it.")
        found = re.search(r"http://[^ ]*?:([0-9]+)/", self.output)
        assert found
        return int(found[1])

    def press_ctrl_c(self) -> None:
        os.write(self._number, b"\x03")

    def wait(self) -> int:
        """Its exit status, when all has been written."""
        status = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        return status

    def close(self) -> None:
        """End what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()
        os.close(self._number)


@contextlib.contextmanager
def on_a_terminal(
    *arguments: str, env: Mapping[str, str] | None = None, columns: int = 80
) -> Iterator[Terminal]:
    """Run a command for the time of a block."""
    terminal = Terminal(arguments, env or {}, columns)
    try:
        yield terminal
    finally:
        terminal.close()
