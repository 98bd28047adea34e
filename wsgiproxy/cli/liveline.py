"""A line at the bottom of a terminal that moves while a command is starting or stopping.

It is never wider than the terminal, and erased when the wait is over.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, TextIO
from unicodedata import east_asian_width

from wsgiproxy.cli.log import HANDLED
from wsgiproxy.cli.terminal import is_terminal
from wsgiproxy.sansio.process.lifecycle import Phase

__all__ = ["LiveLine", "erase", "fitted", "hidden", "plain"]

_WHEEL = "|/-\\"
_INTERVAL = 0.1  # seconds; a start that is over sooner is never drawn
_ERASE = "\r\x1b[2K"  # ECMA-48: EL, the whole line
_VERBS = {Phase.STARTING: "starting", Phase.DRAINING: "stopping"}
_LEAST = 20  # columns for the command, if the terminal is wide enough


def plain(text: str) -> str:
    """*text* with control characters and surrogates escaped.

    >>> plain("sh -c 'a\\nb\\x1b[2J'")
    "sh -c 'a\\\\nb\\\\x1b[2J'"
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def fitted(text: str, columns: int) -> str:
    """The beginning of *text* in at most so many columns.

    A character counts as two columns where some terminals draw it wide (UAX #11), else as one,
    also if it combines with the one before.

    >>> fitted("starting", 8), fitted("starting", 7), fitted("日本語", 5)
    ('starting', 'star...', '日...')
    """
    if sum(map(_columns, text)) <= columns:
        return text
    room, end = columns - 3, 0
    for each in text:
        room -= _columns(each)
        if room < 0:
            break
        end += 1
    return (text[:end] + "...")[: max(columns, 0)]


def _columns(character: str) -> int:
    return 2 if east_asian_width(character) in "WFA" else 1


if TYPE_CHECKING:
    _Handler = logging.StreamHandler[TextIO]
else:
    _Handler = logging.StreamHandler  # Python 3.10 has no type for it


class LiveLine(_Handler):
    """A log handler that writes its records above a line about the command.

    It reads two attributes of a record: ``spawn``, the phase that :mod:`wsgiproxy.spawn` sets,
    and ``missing``, the reason why the command is not ready. A record below :attr:`least` changes
    the line alone.

    :param title: the command, for people to read.
    :param stream: the terminal; stderr by default.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._title = plain(title)
        #: The least level that is written.
        self.least: int = logging.INFO
        self._verb = self._missing = ""
        self._began = 0.0
        self._drawn = False
        self._turns = 0
        self._thread: threading.Thread | None = None

    @classmethod
    def attach(cls, title: str) -> bool:
        """Replace the handler of the log; False if stderr is not a terminal."""
        if not is_terminal(sys.stderr):
            return False
        logger = logging.getLogger("wsgiproxy")
        before = logger.handlers[0]
        live = cls(title)
        live.setFormatter(before.formatter)
        live.filters = before.filters
        live.least = max(logger.level, logging.DEBUG)
        for each in map(logging.getLogger, HANDLED):
            each.removeHandler(before)
            each.addHandler(live)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record above the line."""
        try:
            self._update(record)
            self._write(f"{self.format(record)}\n" if record.levelno >= self.least else "")
        except Exception:  # as in every handler of logging
            self.handleError(record)

    def _update(self, record: logging.LogRecord) -> None:
        phase = getattr(record, "spawn", None)
        if phase is None:
            return
        verb = _VERBS.get(phase, "")
        if verb != self._verb:
            self._verb, self._missing = verb, ""
            self._began, self._turns = monotonic(), 0
        self._missing = getattr(record, "missing", self._missing)
        if verb and self._thread is None:
            self._thread = threading.Thread(target=self._turn, name="live line", daemon=True)
            self._thread.start()

    def _turn(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is closed
            while True:
                sleep(_INTERVAL)
                with self._locked():
                    if not self._verb:
                        self._thread = None
                        return
                    if monotonic() - self._began >= _INTERVAL:
                        self._turns += 1
                        self._drawn = True
                        self._write("")

    def _write(self, text: str) -> None:
        """Write *text* over the line, and the line below it, in one write."""
        # While the command stops, the ^C of the terminal may be there.
        erase = _ERASE if self._drawn or self._verb == _VERBS[Phase.DRAINING] else ""
        self._drawn = self._drawn and bool(self._verb)
        self.stream.write(erase + text + (self._line() if self._drawn else ""))
        self.stream.flush()

    def _line(self) -> str:
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        # Without the last column: some terminals begin a new line when it is written.
        return self.line(monotonic() - self._began, (columns or 80) - 1)

    def line(self, seconds: float, columns: int) -> str:
        """The text of the line, after so many seconds, in at most so many columns."""
        wheel = _WHEEL[self._turns % len(_WHEEL)]
        head = f"{wheel} {self._verb} for {seconds:.1f} s: "
        tail = f" ({plain(self._missing)})" if self._missing else ""
        room = columns - len(head) - sum(map(_columns, tail))
        return fitted(head + fitted(self._title, max(room, _LEAST)) + tail, columns)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the line while another writer uses the terminal."""
        with self._locked():
            if self._drawn:
                self._drawn = False
                self.stream.write(_ERASE)
                self.stream.flush()
            yield


def erase() -> None:
    """Erase the line of the cursor, without a lock: the process ends at once."""
    if is_terminal(sys.stderr):
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), _ERASE.encode())


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Erase the live line, if there is one, while another writer uses the terminal."""
    with contextlib.ExitStack() as stack:
        for each in logging.getLogger("wsgiproxy").handlers:
            if isinstance(each, LiveLine):
                stack.enter_context(each.hidden())
        yield
