"""The thread of an instance: it receives the messages of the supervisor and keeps time limits."""

from __future__ import annotations

import os
import select
import threading
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

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
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["Monitor"]

# Seconds between two checks of a start: the first, and the longest.
_FIRST_TICK = 0.002
_LAST_TICK = 0.05

G = TypeVar("G")


class Monitor(threading.Thread, Generic[G]):
    """Starts one instance and accompanies it to its end.

    :param lifecycle: the state that it changes.
    :param gateways: makes the gateway to the instance.
    :param check: finds out whether the instance is ready.
    :param report: writes the log.
    :ivar is_over: all is done, also what follows from the end of the instance.
    """

    def __init__(
        self, lifecycle: Lifecycle[G], gateways: Gateways[G], check: Check, report: Report
    ) -> None:
        super().__init__(name="spawn", daemon=True)
        self._lifecycle = lifecycle
        self._gateways = gateways
        self._check = check
        self._report = report
        self._probe: Gateway | None = None
        self.is_over = False

    def wait(self, seconds: float) -> None:
        """Wait for the thread's end; join() never returns where gevent was patched in later."""
        with self._lifecycle.changed:
            self._lifecycle.changed.wait_for(lambda: self.is_over, seconds)

    def run(self) -> None:
        """Run the thread."""
        instance, state = None, None
        try:
            self._report.starting()
            instance = self._lifecycle.coordination.begin(self._lifecycle.is_wanted)
            self._lifecycle.set_started(instance)
            self._watch(instance)
        except Postponed as postponed:
            state = postponed.state
            self._report.note(str(postponed))
        except ConfigurationError as error:
            self._report.note(str(error))
            self._lifecycle.feed(Event.UNUSABLE)
        except Exception as error:  # the system may refuse a start in many ways
            self._report.trouble(error)
        finally:
            self._end(instance, state)

    def _end(self, instance: Instance | None, instead: State | None) -> None:
        if instance is not None:
            self._gateways.close()
            instance.close()
        try:
            # Before a waiting request can ask for the reason; and without the lock, which a
            # logging handler, or a thread that it waits for, may need.
            self._report.ended(self._lifecycle.state_after_end(instead), monotonic(), instance)
        finally:
            with self._lifecycle.changed:
                self._lifecycle.set_ended(instead)
                self.is_over = True
                self._lifecycle.notify()

    def _watch(self, instance: Instance) -> None:
        """Return when the command and all its descendants have ended."""
        poll = select.poll()
        poll.register(instance.child, select.POLLIN)
        tick = _FIRST_TICK
        lives = True
        while lives:
            event, idle, wait = self._lifecycle.check_time()
            if event is not None:
                self._report.due(event, idle)
            if self._lifecycle.state.phase is Phase.STARTING:
                self._check_readiness(instance)
                wait, tick = tick, min(tick * 1.3, _LAST_TICK)
            if poll.poll(None if wait is None else wait * 1000 + 1):
                lives = self._receive(instance)
        instance.kill()
        self._forgive_joined(instance)

    def _receive(self, instance: Instance) -> bool:
        """Handle the messages of the supervisor; False when the supervisor has ended."""
        messages = instance.child.receive()
        for kind, text in messages or ():
            self._take(instance, kind, text)
        return messages is not None

    def _forgive_joined(self, instance: Instance) -> None:
        """An instance of another process that ends before its use here is no failed start."""
        if not instance.child.is_own and self._lifecycle.state.phase is Phase.STARTING:
            self._lifecycle.feed(Event.STOP)

    def _check_readiness(self, instance: Instance) -> None:
        """Let requests use the instance if it is ready."""
        try:
            missing = instance.missing()
        except Taken as error:
            # While a process exits, its socket listens for a moment without a descriptor.
            if self._receive(instance) and self._lifecycle.state.phase is Phase.STARTING:
                self._report.note(str(error))
                self._lifecycle.feed(Event.LATE)
            return
        if not missing:
            self._probe = self._probe or self._gateways.probe(instance)
            missing = self._check(self._probe, instance)
        self._report.waiting(missing)
        if missing or self._probe is None:
            return
        # The command may have ended meanwhile, and a descendant have answered.
        if self._receive(instance):
            gateway = self._gateways.serving(self._probe, instance)
            if self._lifecycle.set_ready(instance, gateway):
                self._report.ready(instance)

    def _take(self, instance: Instance, kind: str, text: str) -> None:
        """Handle a message of the supervisor; see :mod:`wsgiproxy.spawn.supervisor.loop`."""
        if kind == "P":
            instance.pid, instance.supervisor = map(int, text.split())
            self._report.running(instance.pid)
        elif kind == "E":
            number, _, path = text.partition(" ")
            self._report.note(f"it cannot be run: {os.strerror(int(number))}: {path!r}")
            self._lifecycle.feed(Event.UNUSABLE)
        elif kind in "Oo":
            instance.lines.append(text)
            if kind == "O":
                self._report.output(text)
            else:
                self._report.held_back()
        elif kind == "L":
            self._report.output(f"({text} lines lost)")
        elif kind == "D":
            if self._lifecycle.state.phase is not Phase.DRAINING:
                self._lifecycle.feed(Event.STOP)  # another process has stopped it
            self._gateways.end_upgrades()
        elif kind == "X":
            instance.has_ended = True
            status, left = map(int, text.split())
            self._forgive_joined(instance)
            self._report.exited(status, left, self._lifecycle.state.phase)
            # A command that has left descendants behind has failed, whatever its exit status.
            self._lifecycle.feed(Event.CRASHED if status or left else Event.ENDED)
