"""Messages about an instance: in the log, and for requests that it cannot serve."""

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
from wsgiproxy.spawn.readiness import address

if TYPE_CHECKING:
    from wsgiproxy.spawn.instance import Instance

__all__ = ["Report"]

# Seconds between two records of a start that takes long.
_INTERVAL = 5.0
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")  # ECMA-48: SGR, EL


class Report:
    """Writes a log record for each event of an instance, and keeps the reason of a failure.

    Records have the attribute ``spawn``, the phase, and at DEBUG ``missing``, for handlers;
    ``brief`` is the message without the lines of output that were logged before.

    :param log: the logger; its child ``output`` gets the output of the command.
    :param command: as it would be typed in a shell.
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
        self._since = self._logged = 0.0

    def starting(self) -> None:
        """Log the beginning of a start."""
        self._reason = self._missing = ""
        self._lines = ()
        self._hint = ""
        self._all_shown = self._output.isEnabledFor(logging.INFO)
        self._since = self._logged = monotonic()
        self._info(Phase.STARTING, "starting: %s", self._command)

    def running(self, pid: int) -> None:
        """Log that the command runs."""
        self._log.debug("running as process %s", pid)

    def waiting(self, missing: str) -> None:
        """Log why the instance is not ready yet: each reason once, and every few seconds."""
        now = monotonic()
        if missing != self._missing:
            self._missing = missing
            more = {"spawn": Phase.STARTING, "missing": missing}
            self._log.debug("waiting: %s", missing, extra=more)
        if missing and now - self._logged >= _INTERVAL:
            self._logged = now
            self._info(
                Phase.STARTING, "still starting after %.0f s: %s", now - self._since, missing
            )

    def ready(self, instance: Instance) -> None:
        """Log that the instance is ready."""
        text, seconds = "ready after %.2f s: process %s at %s", monotonic() - self._since
        self._info(Phase.READY, text, seconds, instance.pid, address(instance.socket.origin))

    def note(self, reason: str) -> None:
        """Keep the reason of a failure; the first one counts."""
        self._reason = self._reason or reason

    def due(self, event: Event, idle: float) -> None:
        """Log or keep that a time limit is over.

        :param idle: seconds without a request.
        """
        if event is Event.IDLE:
            self._info(Phase.DRAINING, "stopping: no request for %.0f s", idle)
        else:
            seconds = monotonic() - self._since
            self.note(f"it was not ready after {seconds:.0f} s: {self._missing}")

    def exited(self, status: int, left: int, phase: Phase) -> None:
        """Log or keep that the command has ended.

        :param status: its exit status; negative for a signal.
        :param left: how many processes it has left behind.
        :param phase: the phase in which it has ended.
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
            self._info(Phase.DRAINING, "it ended with status 0")

    def output(self, line: str) -> None:
        """Log a line of output, without control characters, which a terminal would obey."""
        self._output.info("%s", _plain(line))

    def held_back(self) -> None:
        """Record that a line of output was not logged."""
        self._all_shown = False

    def trouble(self, error: Exception) -> None:
        """Keep, and if unexpected log, an exception that has ended a start."""
        if isinstance(error, OSError):
            self.note(str(error))
        else:
            self._log.exception("unexpected failure of the spawner")
            self.note(f"unexpected {type(error).__name__}")

    def ended(self, state: State, now: float, instance: Instance | None) -> None:
        """Log that all processes of the instance have ended.

        :param state: the state after that.
        :param instance: None if none could be started.
        """
        self._lines = tuple(map(_plain, instance.lines)) if instance is not None else ()
        self._hint = _hint(self._lines, instance)
        if state.phase is Phase.STOPPED and not self._reason:
            self._info(state.phase, "stopped")
            return
        reason = self._reason or "the process that watches it has ended"
        pause = (
            "" if state.until == math.inf else f"; not tried again for {state.until - now:.0f} s"
        )
        text = "".join(f"\n  | {line}" for line in self._lines)
        output = f"; its last lines:{text}" if text else "; it has written nothing"
        # Of several processes that use it, the one that has started it logs an error.
        joined = instance is not None and not instance.child.is_own
        level = logging.WARNING if joined else logging.ERROR
        failure = f"{self._command}: {reason}{pause}{self._hint}"
        more: dict[str, object] = {"spawn": state.phase}
        if self._lines and self._all_shown:
            more["brief"] = f"{failure}; its last lines are above"
        self._log.log(level, "%s%s", failure, output, extra=more)

    def failure(self) -> ProxyError:
        """The error for a request that has waited for a start that failed."""
        error = NotStarted(f"{self._command}: {self._reason}")
        error.detail = "\n".join([f"{error}{self._hint}", *self._lines])
        return error

    def _info(self, phase: Phase, text: str, *values: object) -> None:
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


def _hint(lines: Iterable[str], instance: Instance | None) -> str:
    """Advice if the output names variables that were not passed on: names, never values."""
    names = missed(lines, instance.withheld) if instance is not None else []
    if not names:
        return ""
    verbs = "is set here and was" if len(names) == 1 else "are set here and were"
    flags = " ".join(f"--inherit-env {name}" for name in names)
    return f"; {', '.join(names)} {verbs} not passed on: inherit_env ({flags}) does that"
