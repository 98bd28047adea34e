"""What is told of a process: in the log, and to the requests that it cannot serve."""

from __future__ import annotations

import logging
import math
import re
import signal
from collections.abc import Iterable
from logging import Logger
from time import monotonic
from typing import TYPE_CHECKING

from wsgiproxy.errors import NotStarted, ProxyError
from wsgiproxy.sansio.process.lifecycle import Event, Phase, State
from wsgiproxy.sansio.process.withheld import missed

if TYPE_CHECKING:
    from wsgiproxy.spawn.instance import Instance

__all__ = ["Report"]

# Seconds between two lines about a start that takes long.
_INTERVAL = 5.0
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")  # ECMA-48: SGR, EL


class Report:
    """The story of one command, told as it happens.

    Records have ``extra={"spawn": ...}`` with the phase, and at DEBUG ``missing``, so that a
    handler can draw it; ``brief`` is the message without the lines of output
    that were logged before.

    :param log: the logger; its child ``output`` gets what the command says.
    :param command: as a person would type it.
    """

    def __init__(self, log: Logger, command: str) -> None:
        self._log = log
        self._output = log.getChild("output")
        self._command = _plain(command)
        self._reason = ""
        self._missing = ""
        self._lines: tuple[str, ...] = ()
        self._hint = ""
        self._all_shown = True
        self._began = self._said = 0.0

    def starting(self) -> None:
        """A start begins."""
        self._reason = self._missing = ""
        self._lines = ()
        self._hint = ""
        self._all_shown = self._output.isEnabledFor(logging.INFO)
        self._began = self._said = monotonic()
        self._tell(Phase.STARTING, "starting: %s", self._command)

    def running(self, pid: int) -> None:
        """The command runs."""
        self._log.debug("running as process %s", pid)

    def waiting(self, missing: str) -> None:
        """It is not ready yet, for that reason."""
        now = monotonic()
        if missing != self._missing:
            self._missing = missing
            more = {"spawn": Phase.STARTING, "missing": missing}
            self._log.debug("waiting: %s", missing, extra=more)
        if missing and now - self._said >= _INTERVAL:
            self._said = now
            self._tell(
                Phase.STARTING, "still starting after %.0f s: %s", now - self._began, missing
            )

    def ready(self, run: Instance) -> None:
        """It serves."""
        origin = run.socket.origin
        where = f"unix:{origin.unix}" if origin.unix else f"http://{origin.authority}"
        seconds = monotonic() - self._began
        self._tell(Phase.READY, "ready after %.2f s: process %s at %s", seconds, run.pid, where)

    def note(self, reason: str) -> None:
        """Why it will not serve; the first reason counts."""
        self._reason = self._reason or reason

    def due(self, event: Event, idle: float) -> None:
        """Its time is over."""
        if event is Event.IDLE:
            self._tell(Phase.DRAINING, "stopping: no request for %.0f s", idle)
        else:
            seconds = monotonic() - self._began
            self.note(f"it was not ready after {seconds:.0f} s: {self._missing}")

    def exited(self, status: int, left: int, phase: Phase) -> None:
        """The command has ended, as it should or not.

        :param status: negative for a signal.
        :param left: how many processes it has left behind.
        """
        if phase is Phase.DRAINING:
            return
        how = f"by {_signal(-status)}" if status < 0 else f"with status {status}"
        what = "it went into the background: its main process" if left else "it"
        if phase is Phase.STARTING:
            self.note(f"{what} ended {how} before it was ready")
        elif status or left:
            self.note(f"{what} ended {how}")
        else:
            self._tell(Phase.DRAINING, "it ended with status 0")

    def output(self, line: str) -> None:
        """A line of its output; control characters would be obeyed by a terminal."""
        self._output.info("%s", _plain(line))

    def held_back(self) -> None:
        """A line of its output was not logged, since there were too many."""
        self._all_shown = False

    def trouble(self, error: Exception) -> None:
        """It could not even be tried, or we have failed."""
        if isinstance(error, OSError):
            self.note(str(error))
        else:
            self._log.exception("unexpected failure of the spawner")
            self.note(f"unexpected {type(error).__name__}")

    def ended(self, state: State, now: float, run: Instance | None) -> None:
        """Nothing is left of it."""
        self._lines = tuple(map(_plain, run.lines)) if run is not None else ()
        self._hint = _hint(self._lines, run)
        if state.phase is Phase.STOPPED and not self._reason:
            self._tell(state.phase, "stopped")
            return
        reason = self._reason or "the process that watches it has ended"
        pause = (
            "" if state.until == math.inf else f"; not tried again for {state.until - now:.0f} s"
        )
        text = "".join(f"\n  | {line}" for line in self._lines)
        said = f"; its last lines:{text}" if text else "; it has written nothing"
        # Of several processes that use it, one has started it.
        level = logging.WARNING if run is not None and not run.child.is_ours else logging.ERROR
        what = (self._command, reason, pause + self._hint, said)
        more: dict[str, object] = {"spawn": state.phase}
        if self._lines and self._all_shown:
            more["brief"] = (
                f"{self._command}: {reason}{pause}{self._hint}; its last lines are above"
            )
        self._log.log(level, "%s: %s%s%s", *what, extra=more)

    def failure(self) -> ProxyError:
        """What a request is told that has waited for it in vain."""
        error = NotStarted(f"{self._command}: {self._reason}")
        error.detail = "\n".join([f"{error}{self._hint}", *self._lines])
        return error

    def _tell(self, phase: Phase, text: str, *values: object) -> None:
        self._log.info(text, *values, extra={"spawn": phase})


def _plain(line: str) -> str:
    # Colours mean nothing without the terminal.
    line = _COLOURS.sub("", line)
    return "".join(
        each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in line
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint(lines: Iterable[str], run: Instance | None) -> str:
    """What to do if the output names a variable that was not passed on: names, never values."""
    names = missed(lines, run.withheld) if run is not None else []
    if not names:
        return ""
    verbs = "is set here and was" if len(names) == 1 else "are set here and were"
    flags = " ".join(f"--inherit-env {name}" for name in names)
    return f"; {', '.join(names)} {verbs} not passed on: inherit_env ({flags}) does that"
