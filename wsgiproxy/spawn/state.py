"""The state of a process, and who uses it: all that threads share, under one lock."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.sansio.process.lifecycle import (
    STOPPED,
    Action,
    Event,
    Phase,
    State,
    due,
    next_look,
    step,
)

if TYPE_CHECKING:
    from wsgiproxy.spawn.coordination import Coordination
    from wsgiproxy.spawn.instance import Instance
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["Lifecycle", "ProcessLimits"]


class ProcessLimits(NamedTuple):
    """How long, and how many; seconds.

    :param start: until it has to be ready.
    :param stop: between SIGTERM and SIGKILL.
    :param idle: without a request until it is stopped; None for never.
    :param waiting: requests that may wait at the same time.
    """

    start: float
    stop: float
    idle: float | None
    waiting: int


class Lifecycle:
    """Where a process is in its life; the lock is ``changed``, and told of every change.

    :param starter: what may be done alone, and what needs agreement.
    :param limits: how long, and how many.
    :ivar state: changed by :meth:`step` alone.
    :ivar gateway: the way to it while it is ready, else None.
    :ivar run: the run that there is, ready or not.
    :ivar postponed: it has not even been tried the last time, since another process has just
        failed.
    """

    def __init__(self, starter: Coordination, limits: ProcessLimits) -> None:
        self.starter = starter
        self.limits = limits
        self.closed = False
        self.forget()

    def forget(self) -> None:
        """The state in which nothing has been started."""
        self.changed = threading.Condition()
        self.state = STOPPED
        self.gateway: Gateway | None = None
        self.run: Instance | None = None
        self.postponed = False
        self._in_flight = 0
        self._was_used = False
        # Whether the requests in flight hold the run that is there now: those of one that has
        # crashed may still be in flight.
        self._claimed = False
        self._last_used = monotonic()

    def step(self, event: Event, now: float, gateway: Gateway | None = None) -> Action:
        """The one place where the state changes; the lock is held.

        :param now: of the monotonic clock.
        :param gateway: the way to it, should it be ready now.
        """
        before = self.state
        self.state, action = step(before, event, now, start_timeout=self.limits.start)
        if self.state is not before:
            self.gateway = gateway if self.state.phase is Phase.READY else None
            if action is Action.END:
                self.end_run()
            self.changed.notify_all()
        return action

    def feed(self, event: Event) -> None:
        """The same for whoever does not hold the lock."""
        with self.changed:
            self.step(event, monotonic())

    def is_wanted(self) -> bool:
        """Whether a start goes on being worth its while."""
        state = self.state
        return state.phase is Phase.STARTING and monotonic() < state.until

    def end_run(self) -> None:
        """End the run, if there is one; returns at once."""
        if self.run is not None:
            self.starter.end(self.run, self.limits.stop, self.closed)

    # Use

    def take(self) -> Gateway | None:
        """Begin to use it; None if it cannot be used. The lock is held."""
        gateway = self.gateway
        if gateway is not None and not self._claimed:
            self._claimed = self.starter.claim()
            if not self._claimed:
                return None
        if gateway is not None:
            self._in_flight += 1
        return gateway

    def leave(self, *, used: bool = True) -> None:
        """The request is answered, or will never be.

        :param used: it counts as use.
        """
        with self.changed:
            self._in_flight = max(0, self._in_flight - 1)  # it may be from before a fork
            if used:
                self._last_used = monotonic()
                self._was_used = True
            if self._claimed and not self._in_flight:
                used, self._was_used = self._was_used, False
                self._claimed = False
                self.starter.release(used)

    def keep_time(self) -> tuple[Event | None, float, float | None]:
        """Do what is due.

        :returns: the event, for how many seconds nobody has used it, and the seconds until
            something may be due; None if nothing will.
        """
        with self.changed:
            now = monotonic()
            last = now if self._in_flight else self.starter.last_used(self._last_used)
            idle = max(0.0, now - last)
            event = due(self.state, now, idle, self.limits.idle)
            if event is Event.IDLE and not self.starter.begin_stop():
                self._last_used, event, idle = now, None, 0.0  # another process uses it
            if event is not None:
                self.step(event, now)
            return event, idle, next_look(self.state, now, idle, self.limits.idle)

    # A run, from its beginning to its end

    def begun(self, run: Instance) -> None:
        """There is a run; perhaps somebody has stopped it already."""
        with self.changed:
            self.run = run
            if self.state.phase is not Phase.STARTING:
                self.end_run()

    def serves(self, run: Instance, gateway: Gateway) -> bool:
        """It is ready; False if it is too late."""
        with self.changed:
            self._last_used = monotonic()
            self.starter.serves(run)
            self.step(Event.ANSWERS, self._last_used, gateway)
            return self.state.phase is Phase.READY

    def after_gone(self, instead: State | None = None) -> State:
        """The state that :meth:`gone` will lead to, unless somebody stops it meanwhile."""
        state = self.state if instead is None else instead
        return step(state, Event.GONE, monotonic(), start_timeout=self.limits.start)[0]

    def gone(self, instead: State | None = None) -> None:
        """Nothing is left of the run.

        :param instead: the state to be in, if it is known elsewhere.
        """
        self.run = None
        self._claimed = False
        self.postponed = instead is not None
        if instead is not None:
            self.state = instead
            self.changed.notify_all()
        self.step(Event.GONE, monotonic())
        self.starter.ended(self.state)
