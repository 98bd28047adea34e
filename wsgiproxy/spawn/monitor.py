"""The thread that lives as long as a child does: it listens to its warden and keeps the time."""

from __future__ import annotations

import os
import select
import threading
from time import monotonic
from typing import TYPE_CHECKING

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.process.lifecycle import Event, Phase, State
from wsgiproxy.spawn.coordination import Postponed
from wsgiproxy.spawn.sockets import Taken

if TYPE_CHECKING:
    from wsgiproxy.spawn.gateways import Gateways
    from wsgiproxy.spawn.instance import Instance
    from wsgiproxy.spawn.messages import Report
    from wsgiproxy.spawn.readiness import Check
    from wsgiproxy.spawn.state import Lifecycle
    from wsgiproxy.spawn.supervised import SupervisorMessage
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["Monitor"]

# Seconds between two looks at a start: it is over soon, or takes long.
_FIRST_TICK = 0.002
_LAST_TICK = 0.05


class Monitor(threading.Thread):
    """Attends one run, from its start to its end.

    :param life: the state that it changes.
    :param gateways: the way to the run.
    :param unready: asks whether it is ready: empty, or what is missing.
    :param report: told of everything.
    """

    def __init__(self, life: Lifecycle, gateways: Gateways, unready: Check, report: Report) -> None:
        super().__init__(name="spawn", daemon=True)
        self._life = life
        self._gateways = gateways
        self._unready = unready
        self._report = report
        self._gateway: Gateway | None = None
        self._is_over = False

    def wait(self, seconds: float) -> None:
        """Wait for its end. Not by join(), which never returns where gevent came too late."""
        with self._life.changed:
            self._life.changed.wait_for(lambda: self._is_over, seconds)

    def run(self) -> None:
        """What the thread does."""
        run, state = None, None
        try:
            self._report.starting()
            run = self._life.starter.begin(self._life.is_wanted)
            self._life.begun(run)
            self._follow(run)
        except Postponed as postponed:
            state = postponed.state
            self._report.note(str(postponed))
        except ConfigurationError as error:
            self._report.note(str(error))
            self._life.feed(Event.UNUSABLE)
        except Exception as error:  # the system says no, in one of its many ways
            self._report.trouble(error)
        finally:
            self._end(run, state)

    def _end(self, run: Instance | None, instead: State | None) -> None:
        if run is not None:
            self._gateways.close()
            run.bury()
        try:
            # Before anybody who waits can ask for the reason; and not under the lock, which a
            # handler may need, or somebody whom it waits for.
            self._report.ended(self._life.after_gone(instead), monotonic(), run)
        finally:
            with self._life.changed:
                self._life.gone(instead)
                self._is_over = True
                self._life.changed.notify_all()

    def _follow(self, run: Instance) -> None:
        """Until nothing is left of the command."""
        poll = select.poll()
        poll.register(run.child, select.POLLIN)
        tick = _FIRST_TICK
        lives = True
        while lives:
            event, idle, wait = self._life.keep_time()
            if event is not None:
                self._report.due(event, idle)
            if self._life.state.phase is Phase.STARTING:
                self._try(run)
                wait, tick = tick, min(tick * 1.3, _LAST_TICK)
            if poll.poll(None if wait is None else wait * 1000 + 1):
                lives = self._listen(run)
        run.kill()
        self._left_out(run)

    def _listen(self, run: Instance) -> bool:
        """Heed what the warden has said; False when nothing is left of the command."""
        told = run.child.hear()
        for each in told or ():
            self._heed(run, each)
        return told is not None

    def _left_out(self, run: Instance) -> None:
        """What we have only joined may end just then; that is no failed start."""
        if not run.child.is_ours and self._life.state.phase is Phase.STARTING:
            self._life.feed(Event.STOP)

    def _try(self, run: Instance) -> None:
        """Let it serve if it is ready."""
        try:
            missing = run.missing()
        except Taken as error:
            self._report.note(str(error))
            self._life.feed(Event.LATE)
            return
        if not missing:
            self._gateway = self._gateway or self._gateways.to(run)
            missing = self._unready(self._gateway, run)
        self._report.waiting(missing)
        if missing or self._gateway is None:
            return
        # What answers may have gone into the background meanwhile.
        if self._listen(run) and self._life.serves(run, self._gateway):
            self._report.ready(run)

    def _heed(self, run: Instance, told: SupervisorMessage) -> None:
        """What the warden says; see :mod:`wsgiproxy.spawn.supervisor.loop`."""
        kind, text = told
        if kind == "P":
            run.pid, run.warden = map(int, text.split())
            self._report.running(run.pid)
        elif kind == "E":
            number, _, path = text.partition(" ")
            self._report.note(f"it cannot be run: {os.strerror(int(number))}: {path!r}")
            self._life.feed(Event.UNUSABLE)
        elif kind in "Oo":
            run.lines.append(text)
            if kind == "O":
                self._report.output(text)
            else:
                self._report.held_back()
        elif kind == "L":
            self._report.output(f"({text} lines lost)")
        elif kind == "D" and self._life.state.phase is not Phase.DRAINING:
            self._life.feed(Event.STOP)  # another process has stopped it
        elif kind == "X":
            run.has_ended = True
            status, left = map(int, text.split())
            self._left_out(run)
            self._report.exited(status, left, self._life.state.phase)
            # What goes into the background has not ended as it should.
            self._life.feed(Event.CRASHED if status or left else Event.ENDED)
