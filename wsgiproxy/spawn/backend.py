"""The process behind the application: started when asked for, ended when idle, never lost.

One thread lives as long as a child does, listens to its warden and keeps the time. Everything
that changes the state goes through :func:`wsgiproxy.sansio.lifecycle.step` under one lock.
"""

from __future__ import annotations

import atexit
import os
import select
import shlex
import threading
import weakref
from collections.abc import Mapping
from logging import Logger
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.errors import (
    ClientGone,
    ConfigurationError,
    NotReady,
    Unavailable,
)
from wsgiproxy.sansio.lifecycle import (
    STOPPED,
    Action,
    Event,
    Phase,
    State,
    due,
    next_look,
    retry_after,
    step,
)
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.spawn.readiness import Check
from wsgiproxy.spawn.report import Report
from wsgiproxy.spawn.run import Plan, Run
from wsgiproxy.spawn.sockets import Taken
from wsgiproxy.watch import client_watch

if TYPE_CHECKING:
    from wsgiproxy.exactproxy import Gateway
    from wsgiproxy.spawn.child import Told

__all__ = ["Backend", "Limits"]

# Seconds: a waiting request looks after its client so often; a start is looked after at first
# every few milliseconds, and then less and less often.
_SLICE = 0.5
_FIRST_TICK = 0.002
_LAST_TICK = 0.05


class Limits(NamedTuple):
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


class Backend:
    """A child process, and who may use it.

    :param plan: what to run.
    :param limits: how long, and how many.
    :param gateways: the way to a run.
    :param unready: asks a gateway whether it is ready: empty, or what is missing.
    :param log: where to tell.
    """

    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        *,
        gateways: Gateways,
        unready: Check,
        log: Logger,
    ) -> None:
        self._plan = plan
        self._limits = limits
        self.gateways = gateways
        self._unready = unready
        self.command = shlex.join(plan.command)
        self.report = Report(log, self.command)
        self._forget()
        self.closed = False
        _backends.add(self)

    def _forget(self) -> None:
        """The state in which nothing has been started."""
        self._changed = threading.Condition()
        self._state = STOPPED
        self.gateway: Gateway | None = None
        self._run: Run | None = None
        self._thread: threading.Thread | None = None
        self._in_flight = self._waiting = 0
        self._last_used = monotonic()

    # For requests

    def enter(self, environ: Mapping[str, Any], patience: float) -> Gateway:
        """The gateway to the process, which is started if need be; :meth:`leave` afterwards.

        :param patience: seconds to wait for it.
        :raises ProxyError: it is not there, and will not be soon enough.
        """
        with self._changed:
            gateway = self.gateway
            if gateway is not None:
                self._in_flight += 1
                return gateway
            return self._wait(environ, monotonic() + patience)

    def leave(self) -> None:
        """The request is answered, or will never be."""
        with self._changed:
            self._in_flight -= 1
            self._last_used = monotonic()

    def _wait(self, environ: Mapping[str, Any], deadline: float) -> Gateway:
        has_gone = client_watch(environ)
        if self._waiting >= self._limits.waiting:
            raise NotReady(f"max_waiting={self._limits.waiting} requests wait for it already")
        tried = False
        self._waiting += 1
        try:
            while True:
                now = monotonic()
                gateway = self._asked(now, tried)
                if gateway is not None:
                    return gateway
                tried = tried or self._state.phase is Phase.STARTING
                left = min(deadline, self._state.until) - now
                if now >= deadline:
                    raise NotReady(f"it is {self._state.phase.value} for too long to wait for it")
                self._changed.wait(max(0.001, min(_SLICE, left)))
                if has_gone is not None and has_gone():
                    raise ClientGone("the client left while the process was starting")
        finally:
            self._waiting -= 1

    def _asked(self, now: float, tried: bool) -> Gateway | None:
        """One look at the state, for a request; None to go on waiting."""
        if self.closed:
            raise Unavailable("the application is closed")
        if tried and self._state.phase in (Phase.BACKING_OFF, Phase.FAILED):
            raise self.report.failure(self._state.phase)
        action = self._step(Event.ASKED, now)
        if action is Action.SERVE:
            self._in_flight += 1
            return self.gateway
        if action is Action.START:
            self._thread = threading.Thread(
                target=self._live, name=f"spawn {self._plan.command[0]}", daemon=True
            )
            self._thread.start()
        if action is Action.REFUSE:
            if self._state.phase is Phase.FAILED:
                raise self.report.failure(self._state.phase)
            error = NotReady("it has failed, and is not tried again yet")
            error.retry_after = retry_after(self._state, now)
            raise error
        return None

    # For those who own it

    @property
    def state(self) -> State:
        """The state that it is in."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The process number of the command, while it runs."""
        run = self._run
        return run.pid or None if run is not None else None

    @property
    def lines(self) -> list[str]:
        """The last lines of what it has written."""
        run = self._run
        return list(run.lines) if run is not None else []

    @property
    def starting_for(self) -> float | None:
        """Seconds since its start began; None unless it is starting."""
        state = self._state
        return monotonic() - state.since if state.phase is Phase.STARTING else None

    def stop(self, *, wait: bool = True) -> None:
        """End the process, if there is one; the next request starts another."""
        with self._changed:
            self._step(Event.STOP, monotonic())
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(self._limits.stop + 5)

    def close(self, *, wait: bool = True) -> None:
        """End the process, and start none again."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self.stop(wait=wait)

    def abandon(self) -> None:
        """In a forked process: all of it is the parent's."""
        run = self._run
        self._forget()
        if run is not None:
            run.abandon()

    # The thread

    def _live(self) -> None:
        """From the start of a child to its end."""
        run = None
        try:
            run = self._begin()
            self._follow(run)
        except ConfigurationError as error:
            self.report.note(str(error))
            self._feed(Event.UNUSABLE)
        except Exception as error:  # the system says no, in one of its many ways
            self.report.trouble(error)
        finally:
            self._end(run)

    def _begin(self) -> Run:
        self.report.starting()
        run = Run.start(self._plan)
        with self._changed:
            self._run = run
            if self._state.phase is not Phase.STARTING:
                run.child.stop(self._limits.stop)  # somebody was faster
        return run

    def _end(self, run: Run | None) -> None:
        if run is not None:
            self.gateways.close()
            run.bury()
        with self._changed:
            self._run = None
            self._step(Event.GONE, monotonic())
            self.report.ended(self._state, monotonic(), run.lines if run is not None else ())

    def _follow(self, run: Run) -> None:
        """Listen to the warden until nothing is left, and keep the time."""
        poll = select.poll()
        poll.register(run.child, select.POLLIN)
        gateway = None
        tick = _FIRST_TICK
        while True:
            wait = self._keep_time()
            if self._state.phase is Phase.STARTING:
                gateway = self._try(run, gateway)
                wait, tick = tick, min(tick * 1.3, _LAST_TICK)
            if not poll.poll(None if wait is None else wait * 1000 + 1):
                continue
            told = run.child.hear()
            if told is None:
                return
            for each in told:
                self._heed(run, each)

    def _keep_time(self) -> float | None:
        """Do what is due; seconds until something may be."""
        with self._changed:
            now = monotonic()
            idle = 0.0 if self._in_flight else now - self._last_used
            event = due(self._state, now, idle, self._limits.idle)
            if event is not None:
                self.report.due(event, idle)
                self._step(event, now)
            return next_look(self._state, now, idle, self._limits.idle)

    def _try(self, run: Run, gateway: Gateway | None) -> Gateway | None:
        """Serve if it is ready."""
        try:
            missing = run.missing()
        except Taken as error:
            self.report.note(str(error))
            self._feed(Event.LATE)
            return None
        if not missing:
            gateway = gateway or self.gateways.to(run)
            missing = self._unready(gateway, run)
        self.report.waiting(missing)
        if not missing:
            with self._changed:
                self._last_used = monotonic()
                self._step(Event.ANSWERS, monotonic(), gateway)
                if self._state.phase is Phase.READY:
                    self.report.ready(run)
        return gateway

    def _heed(self, run: Run, told: Told) -> None:
        kind, text = told
        if kind == "P":
            run.pid, run.warden = map(int, text.split())
            self.report.running(run.pid)
        elif kind == "E":
            self.report.note(f"it cannot be run: {os.strerror(int(text))}")
            self._feed(Event.UNUSABLE)
        elif kind in "Oo":
            run.lines.append(text)
            if kind == "O":
                self.report.output(text)
        elif kind == "L":
            self.report.output(f"({text} lines lost)")
        elif kind == "D":
            self._feed(Event.STOP)
        elif kind == "X":
            self.report.exited(int(text), self._state.phase)
            self._feed(Event.CRASHED if int(text) else Event.ENDED)

    def _feed(self, event: Event) -> None:
        with self._changed:
            self._step(event, monotonic())

    def _step(self, event: Event, now: float, gateway: Gateway | None = None) -> Action:
        """The one place where the state changes; the lock is held."""
        before = self._state
        self._state, action = step(before, event, now, start_timeout=self._limits.start)
        if self._state is not before:
            self.gateway = gateway if self._state.phase is Phase.READY else None
            if action is Action.END and self._run is not None:
                self._run.child.stop(self._limits.stop)
            self._changed.notify_all()
        return action


_backends: weakref.WeakSet[Backend] = weakref.WeakSet()


def _abandon_all() -> None:
    for backend in list(_backends):
        backend.abandon()


os.register_at_fork(after_in_child=_abandon_all)


def _close_all() -> None:
    backends = list(_backends)
    for backend in backends:
        backend.close(wait=False)  # all at once, and then wait for the slowest
    for backend in backends:
        backend.close()


atexit.register(_close_all)
