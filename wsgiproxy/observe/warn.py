"""Warnings that do not flood the log: of unsafe settings once, of refusals once a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from wsgiproxy.errors import ProxyError

__all__ = ["Refusals", "Seldom", "warn_of_wildcards", "warn_once"]

_log = logging.getLogger("wsgiproxy.error")
# Seconds between two lines about the same status.
_INTERVAL = 1.0
_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Log a warning, unless this process has logged the same one before."""
    if text not in _warned:
        _warned.add(text)
        _log.warning("%s", text)


_FORGED = "any peer that reaches this application can forge its clients"


def warn_of_wildcards(setting: str, entries: Iterable[str], danger: str = _FORGED) -> None:
    """Warn of an entry that stands for every address."""
    for entry in entries:
        if entry == "*" or entry.endswith("/0"):
            warn_once(f"{setting}={entry!r}: {danger}")


class Refusals:
    """The log of refused requests, of which any client can cause any number."""

    def __init__(self) -> None:
        # A flood of one status must not hide the lines about another.
        self._last: dict[int, float] = {}
        self._unlogged: dict[int, int] = {}

    def log(self, error: ProxyError) -> None:
        """Log the reason for a refusal, or count it for the next line."""
        now, status = time.monotonic(), error.status
        if now - self._last.get(status, -_INTERVAL) < _INTERVAL:
            self._unlogged[status] = self._unlogged.get(status, 0) + 1
            return
        self._last[status] = now
        unlogged = self._unlogged.pop(status, 0)
        more = f" (and {unlogged} more since the last line)" if unlogged else ""
        _log.warning("refused: %s %s: %s%s", status, type(error).__name__, error, more)


class Seldom:
    """A warning about something that fails for each request as long as it fails.

    :param log: that gets it.
    :param seconds: between two lines.
    """

    def __init__(self, log: logging.Logger, seconds: float = 60.0) -> None:
        self._log = log
        self._seconds = seconds
        self._next = 0.0
        self._unlogged = 0

    def warn(self, text: str) -> None:
        """Log a line, or count it for the next one."""
        now = time.monotonic()
        if now < self._next:
            self._unlogged += 1
            return
        more = f" (and {self._unlogged} more since the last line)" if self._unlogged else ""
        self._next, self._unlogged = now + self._seconds, 0
        self._log.warning("%s%s", text, more)
