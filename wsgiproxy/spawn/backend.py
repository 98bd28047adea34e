"""The process behind the application: there when it is asked for, and gone when it is not."""

from __future__ import annotations

import atexit
import os
import shlex
import threading
import weakref
from collections.abc import Mapping, Sequence
from logging import Logger
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ClientGone, NotReady, Pausing, Unavailable
from wsgiproxy.sansio.process.lifecycle import Action, Event, Phase, State, retry_after
from wsgiproxy.spawn.coordination import Coordination
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.spawn.messages import Report
from wsgiproxy.spawn.monitor import Monitor
from wsgiproxy.spawn.readiness import Check
from wsgiproxy.spawn.state import Lifecycle, ProcessLimits
from wsgiproxy.wsgi.client import client_watch

if TYPE_CHECKING:
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["Backend"]

# A request that waits looks after its client so often, in seconds.
_SLICE = 0.5
# Seconds at the exit of the program for what was not closed before.
_LAST_WAIT = 15.0


class Backend:
    """A child process, for requests and for those who own it.

    :param command: what runs, for people to read.
    :param starter: starts it.
    :param limits: how long, and how many.
    :param gateways: the way to a run.
    :param unready: asks a gateway whether it is ready: empty, or what is missing.
    :param log: where to tell.
    """

    def __init__(
        self,
        command: Sequence[str],
        starter: Coordination,
        limits: ProcessLimits,
        *,
        gateways: Gateways,
        unready: Check,
        log: Logger,
    ) -> None:
        self.command = shlex.join(command)
        self.life = Lifecycle(starter, limits)
        self._report = Report(log, self.command)
        self._gateways = gateways
        self._unready = unready
        self._thread: Monitor | None = None
        self._waiting = 0
        _backends.add(self)

    # For requests

    def enter(self, environ: Mapping[str, Any], patience: float) -> Gateway:
        """The way to the process, which is started if need be; ``life.leave()`` afterwards.

        :param patience: seconds to wait for it.
        :raises ProxyError: it is not there, and will not be soon enough.
        """
        with self.life.changed:
            return self.life.take() or self._wait(environ, monotonic() + patience)

    def _wait(self, environ: Mapping[str, Any], deadline: float) -> Gateway:
        life = self.life
        if self._waiting >= life.limits.waiting:
            raise NotReady(f"max_waiting={life.limits.waiting} requests wait for it already")
        has_gone = client_watch(environ)
        tried = False
        self._waiting += 1
        try:
            while True:
                now = monotonic()
                gateway = self._asked(now, tried)
                if gateway is not None:
                    return gateway
                tried = tried or life.state.phase is Phase.STARTING
                if now >= deadline:
                    raise NotReady(f"it is {life.state.phase.value} for too long to wait for it")
                life.changed.wait(max(0.001, min(_SLICE, deadline - now, life.state.until - now)))
                if has_gone is not None and has_gone():
                    raise ClientGone("the client left while the process was starting")
        finally:
            self._waiting -= 1

    def _asked(self, now: float, tried: bool) -> Gateway | None:
        """One look at the state, for a request; None to go on waiting.

        :param tried: the request has waited for a start already.
        """
        life = self.life
        if life.closed:
            raise Unavailable("the application is closed")
        failed = life.state.phase is Phase.FAILED
        if tried and not life.postponed and (failed or life.state.phase is Phase.BACKING_OFF):
            raise self._report.failure()
        action = life.step(Event.ASKED, now)
        if action is Action.SERVE:
            return life.take()
        if action is Action.START:
            self._start_thread(now)
        if action is Action.REFUSE:
            if failed:
                raise self._report.failure()
            error = Pausing("it has failed, and is not tried again yet")
            error.retry_after = retry_after(life.state, now)
            raise error
        return None

    def _start_thread(self, now: float) -> None:
        self._thread = Monitor(self.life, self._gateways, self._unready, self._report)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no more of them
            self._thread = None
            self._report.note(str(error))
            self.life.step(Event.GONE, now)
            raise self._report.failure() from error

    # For those who own it

    @property
    def state(self) -> State:
        """The state that it is in."""
        return self.life.state

    @property
    def pid(self) -> int | None:
        """The process number of the command, while it runs."""
        run = self.life.run
        return run.pid or None if run is not None else None

    @property
    def lines(self) -> list[str]:
        """The last lines of what it has written."""
        run = self.life.run
        return list(run.lines) if run is not None else []

    @property
    def starting_for(self) -> float | None:
        """Seconds since its start began; None unless it is starting."""
        state = self.life.state
        return monotonic() - state.since if state.phase is Phase.STARTING else None

    def wanted(self) -> None:
        """Start it, unless it is there or must not be; returns at once."""
        with self.life.changed:
            now = monotonic()
            if not self.life.closed and self.life.step(Event.ASKED, now) is Action.START:
                self._start_thread(now)

    def stop(self, *, wait: bool = True) -> None:
        """End the process, if there is one; the next request starts another."""
        life = self.life
        with life.changed:
            if life.state.phase is Phase.READY and not life.closed:
                life.starter.begin_stop()
            life.step(Event.STOP, monotonic())
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.wait(life.limits.stop + 5)

    def close(self, *, wait: bool = True) -> None:
        """End the process, and start none again."""
        with self.life.changed:
            self.life.closed = True
            self.life.changed.notify_all()
        self.stop(wait=wait)

    def abandon(self) -> None:
        """In a forked process: all of it is the parent's."""
        run = self.life.run
        if run is not None:
            run.abandon()
        self.life.forget()
        self.life.starter.forked()
        self._thread = None
        self._waiting = 0


_backends: weakref.WeakSet[Backend] = weakref.WeakSet()


def _abandon_all() -> None:
    for backend in list(_backends):
        backend.abandon()


def _close_all() -> None:
    backends = list(_backends)
    for backend in backends:
        backend.close(wait=False)  # all at once, and then wait for the slowest
    for backend in backends:
        backend.close()
    for thread in threading.enumerate():  # of an application that nobody holds any more
        if isinstance(thread, Monitor):
            thread.wait(_LAST_WAIT)


os.register_at_fork(after_in_child=_abandon_all)
atexit.register(_close_all)
