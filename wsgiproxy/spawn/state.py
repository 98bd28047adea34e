"""The state of an instance and its use by requests: what threads share, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

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

__all__ = ["Lifecycle", "ProcessLimits"]

G = TypeVar("G")

# The phases that a failure leads to.
_PAUSES = (Phase.BACKING_OFF, Phase.FAILED)


class ProcessLimits(NamedTuple):
    """Limits of a process; times in seconds.

    :param start: until it has to be ready.
    :param stop: between SIGTERM and SIGKILL.
    :param idle: without a request until it is stopped; None for never.
    :param waiting: requests that may wait at the same time.
    """

    start: float
    stop: float
    idle: float | None
    waiting: int


class Lifecycle(Generic[G]):
    """The state of the instance; the condition ``changed`` is its lock, notified of each change.

    Who cannot wait for a condition, such as an event loop, is one of its ``listeners``.

    :param coordination: the steps on which several processes have to agree.
    :param limits: limits of the process.
    :param begin_end: called before the instance is told to end, with the lock held.
    :ivar state: changed by :meth:`step` alone.
    :ivar gateway: the gateway to the instance while it is ready, else None.
    :ivar instance: the instance from its start to its end, else None.
    :ivar postponed: the last start was not tried, since another process has just failed.
    :ivar starts: how often it was started here.
    :ivar failures: how often that, or what was started, has failed.
    :ivar listeners: called after each change, in any thread and with the lock held.
    """

    def __init__(
        self,
        coordination: Coordination,
        limits: ProcessLimits,
        begin_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.coordination = coordination
        self.limits = limits
        self._begin_end = begin_end
        self.closed = False
        self.reset()

    def reset(self) -> None:
        """Set the state in which nothing has been started."""
        self.changed = threading.Condition()
        self.state = STOPPED
        self.listeners = set[Callable[[], None]]()
        self.gateway: G | None = None
        self.instance: Instance | None = None
        self.postponed = False
        self.starts = self.failures = 0
        self._in_flight = 0
        self._was_used = False
        # Whether the requests in flight have claimed the present instance: those of one that has
        # crashed may still be in flight.
        self._claimed = False
        self._last_used = monotonic()

    def notify(self) -> None:
        """Wake all that wait for a change; the caller holds the lock."""
        self.changed.notify_all()
        for listener in tuple(self.listeners):
            listener()

    def step(self, event: Event, now: float, gateway: G | None = None) -> Action:
        """Change the state by *event*; the caller holds the lock.

        :param now: of the monotonic clock.
        :param gateway: the gateway to the instance, if it is ready after this event.
        """
        before = self.state
        self.state, action = step(before, event, now, start_timeout=self.limits.start)
        if self.state is not before:
            self._count(action, before.phase)
            self.gateway = gateway if self.state.phase is Phase.READY else None
            if action is Action.END:
                self._begin_end()
                self._end_instance()
            self.notify()
        return action

    def _count(self, action: Action, before: Phase) -> None:
        self.starts += action is Action.START
        self.failures += self.state.phase in _PAUSES and before not in _PAUSES

    def feed(self, event: Event) -> None:
        """The same for a caller without the lock."""
        with self.changed:
            self.step(event, monotonic())

    def is_wanted(self) -> bool:
        """Whether a start is still to go on."""
        state = self.state
        return state.phase is Phase.STARTING and monotonic() < state.until

    def _end_instance(self) -> None:
        if self.instance is not None:
            self.coordination.end(self.instance, self.limits.stop, self.closed)

    # Use

    def take(self) -> G | None:
        """Begin a request; None if the instance cannot be used. The caller holds the lock."""
        if self.gateway is None:
            return None
        self._claimed = self._claimed or self.coordination.claim()
        if not self._claimed:
            return None
        self._in_flight += 1
        return self.gateway

    def take_at_once(self) -> G | None:
        """The same, without the lock, for an event loop: None also if it would have to wait."""
        if self.gateway is None or not self.changed.acquire(blocking=False):
            return None
        try:
            return self.take() if self._claimed or not self.coordination.has_files else None
        finally:
            self.changed.release()

    def leave_at_once(self, *, used: bool = True) -> bool:
        """As :meth:`leave`, for an event loop: False if it would have to wait."""
        if not self.changed.acquire(blocking=False):
            return False
        try:
            is_last = self._claimed and self._in_flight <= 1
            if is_last and self.coordination.has_files:
                return False
            self.leave(used=used)
            return True
        finally:
            self.changed.release()

    def leave(self, *, used: bool = True) -> None:
        """End a request that :meth:`take` has begun.

        :param used: whether it counts as use.
        """
        with self.changed:
            self._in_flight = max(0, self._in_flight - 1)  # it may be from before a fork
            if used:
                self._last_used = monotonic()
                self._was_used = True
            if self._claimed and not self._in_flight:
                used, self._was_used = self._was_used, False
                self._claimed = False
                self.coordination.release(used)

    def check_time(self) -> tuple[Event | None, float, float | None]:
        """Change the state by the event that is due, if any.

        :returns: that event, the seconds without a request, and the seconds until the next event
            may be due; None for no such time.
        """
        with self.changed:
            now = monotonic()
            last = now if self._in_flight else self.coordination.last_used(self._last_used)
            idle = max(0.0, now - last)
            event = due(self.state, now, idle, self.limits.idle)
            if event is Event.IDLE and not self.coordination.begin_stop():
                self._last_used, event, idle = now, None, 0.0  # another process uses it
            if event is not None:
                self.step(event, now)
            return event, idle, next_look(self.state, now, idle, self.limits.idle)

    # An instance, from its start to its end

    def set_started(self, instance: Instance) -> None:
        """Set the instance, which has been started; end it if a stop came meanwhile."""
        with self.changed:
            self.instance = instance
            if self.state.phase is not Phase.STARTING:
                self._end_instance()

    def set_ready(self, instance: Instance, gateway: G) -> bool:
        """Let requests use the instance; False if it is being stopped already."""
        with self.changed:
            self._last_used = monotonic()
            self.coordination.set_ready(instance)
            self.step(Event.READY, self._last_used, gateway)
            return self.state.phase is Phase.READY

    def state_after_end(self, instead: State | None) -> State:
        """The state that :meth:`set_ended` will lead to, unless a stop comes meanwhile."""
        state = self.state if instead is None else instead
        return step(state, Event.GONE, monotonic(), start_timeout=self.limits.start)[0]

    def set_ended(self, instead: State | None = None) -> None:
        """Record that all processes of the instance have ended; the caller holds the lock.

        :param instead: the state that another process has led to.
        """
        self.instance = None
        self._claimed = False
        self.postponed = instead is not None
        if instead is not None:
            self.state = instead
            self.notify()
        self.step(Event.GONE, monotonic())
        self.coordination.set_ended(self.state)
