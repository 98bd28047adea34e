"""One line on a terminal that moves while a process is starting."""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic
from typing import TextIO

from wsgiproxy.sansio.lifecycle import Phase

__all__ = ["LiveLine"]

_WHEEL = "|/-\\"
_INTERVAL = 0.1  # seconds
_ERASE = "\r\x1b[2K"


class LiveLine(logging.StreamHandler[TextIO]):
    """A handler that writes records as ever, and below them what is being waited for.

    It looks at ``record.spawn``, the phase that :mod:`wsgiproxy.spawn` gives to its records.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._began: float | None = None
        self._last = ""
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def attach(cls, logger: logging.Logger) -> None:
        """Take the place of the logger's first handler, with its format."""
        before = logger.handlers[0]
        live = cls()
        live.setFormatter(before.formatter)
        logger.removeHandler(before)
        logger.addHandler(live)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record above the line."""
        phase = getattr(record, "spawn", None)
        if self._began is not None:
            self.stream.write(_ERASE)
        super().emit(record)
        if phase is Phase.STARTING:
            self._began = self._began or monotonic()
            self._draw_from_now_on()
        elif phase is not None:
            self._began = None
            self._wake.set()
        if record.name.endswith(".output"):
            self._last = record.getMessage()

    def _draw_from_now_on(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._wake.clear()
            self._thread = threading.Thread(target=self._turn, name="live line", daemon=True)
            self._thread.start()

    def _turn(self) -> None:
        turns = 0
        while not self._wake.wait(_INTERVAL):
            self.acquire()
            try:
                began = self._began
                if began is None:
                    return
                self.stream.write(_ERASE + self.line(turns, monotonic() - began))
                self.stream.flush()
            finally:
                self.release()
            turns += 1

    def line(self, turns: int, seconds: float) -> str:
        """The line, as wide as the terminal at most."""
        text = f"{_WHEEL[turns % len(_WHEEL)]} starting for {seconds:.1f} s  {self._last}"
        try:
            width = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            width = 80
        return text[: width - 1]
