"""The process of an application: started by the first request, ended when it is not needed."""

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
from wsgiproxy.sansio.process.lifecycle import Action, Event, Phase, retry_after
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

# Seconds after which a waiting request checks again whether its client is still connected.
_SLICE = 0.5
# Seconds at the exit of the program for an instance whose application was not closed.
_LAST_WAIT = 15.0


class Backend:
    """A child process, for requests and for the program that has made the application.

    :param command: the command, for messages.
    :param coordination: starts it.
    :param limits: limits of the process.
    :param gateways: makes the gateway to an instance.
    :param check: finds out whether an instance is ready.
    :param log: the logger.
    """

    def __init__(
        self,
        command: Sequence[str],
        coordination: Coordination,
        limits: ProcessLimits,
        *,
        gateways: Gateways,
        check: Check,
        log: Logger,
    ) -> None:
        self.command = shlex.join(command)
        self.lifecycle = Lifecycle(coordination, limits)
        self._report = Report(log, self.command)
        self._gateways = gateways
        self._check = check
        self._thread: Monitor | None = None
        self._waiting = 0
        _backends.add(self)

    # For requests

    def enter(self, environ: Mapping[str, Any], seconds: float) -> Gateway:
        """The gateway to the instance, which is started if need be.

        The caller ends the request by ``lifecycle.leave()``.

        :param seconds: how long to wait.
        :raises ProxyError: it is not ready in that time.
        """
        with self.lifecycle.changed:
            return self.lifecycle.take() or self._wait(environ, monotonic() + seconds)

    def _wait(self, environ: Mapping[str, Any], deadline: float) -> Gateway:
        lifecycle = self.lifecycle
        if self._waiting >= lifecycle.limits.waiting:
            raise NotReady(f"max_waiting={lifecycle.limits.waiting} requests wait for it already")
        has_gone = client_watch(environ)
        tried = False
        self._waiting += 1
        try:
            while True:
                now = monotonic()
                gateway = self._request(now, tried)
                if gateway is not None:
                    return gateway
                state = lifecycle.state
                tried = tried or state.phase is Phase.STARTING
                if now >= deadline:
                    raise NotReady(f"it is {state.phase.value} for too long to wait for it")
                lifecycle.changed.wait(max(0.001, min(_SLICE, deadline - now, state.until - now)))
                if has_gone is not None and has_gone():
                    raise ClientGone("the client left while the process was starting")
        finally:
            self._waiting -= 1

    def _request(self, now: float, tried: bool) -> Gateway | None:
        """The gateway; None if the request has to wait.

        :param tried: the request has waited for a start already.
        """
        lifecycle = self.lifecycle
        if lifecycle.closed:
            raise Unavailable("the application is closed")
        failed = lifecycle.state.phase is Phase.FAILED
        pausing = lifecycle.state.phase is Phase.BACKING_OFF
        if tried and not lifecycle.postponed and (failed or pausing):
            raise self._report.failure()
        action = lifecycle.step(Event.REQUEST, now)
        if action is Action.SERVE:
            return lifecycle.take()
        if action is Action.START:
            self._start_thread(now)
        if action is Action.REFUSE:
            if failed:
                raise self._report.failure()
            error = Pausing("it has failed, and is not tried again yet")
            error.retry_after = retry_after(lifecycle.state, now)
            raise error
        return None

    def _start_thread(self, now: float) -> None:
        self._thread = Monitor(self.lifecycle, self._gateways, self._check, self._report)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no more threads
            self._thread = None
            self._report.note(str(error))
            self.lifecycle.step(Event.GONE, now)
            raise self._report.failure() from error

    # For the program

    @property
    def pid(self) -> int | None:
        """The pid of the command, while it runs."""
        instance = self.lifecycle.instance
        return instance.pid or None if instance is not None else None

    @property
    def lines(self) -> list[str]:
        """The last lines of its output, while it runs."""
        instance = self.lifecycle.instance
        return list(instance.lines) if instance is not None else []

    def start(self) -> None:
        """Begin a start if the state allows one; returns at once."""
        with self.lifecycle.changed:
            now = monotonic()
            if self.lifecycle.closed:
                return
            if self.lifecycle.step(Event.REQUEST, now) is Action.START:
                self._start_thread(now)

    def stop(self, *, wait: bool = True) -> None:
        """End the instance, if there is one; the next request starts another."""
        lifecycle = self.lifecycle
        with lifecycle.changed:
            if lifecycle.state.phase is Phase.READY and not lifecycle.closed:
                lifecycle.coordination.begin_stop()
            lifecycle.step(Event.STOP, monotonic())
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.wait(lifecycle.limits.stop + 5)

    def close(self, *, wait: bool = True) -> None:
        """End the instance, and refuse later requests."""
        with self.lifecycle.changed:
            self.lifecycle.closed = True
            self.lifecycle.changed.notify_all()
        self.stop(wait=wait)

    def after_fork(self) -> None:
        """Leave the instance to the parent, in a forked process."""
        if self.lifecycle.instance is not None:
            self.lifecycle.instance.abandon()
        self.lifecycle.reset()
        self.lifecycle.coordination.after_fork()
        self._thread = None
        self._waiting = 0


_backends: weakref.WeakSet[Backend] = weakref.WeakSet()


def _after_fork() -> None:
    for backend in list(_backends):
        backend.after_fork()


def _close_all() -> None:
    backends = list(_backends)
    for backend in backends:
        backend.close(wait=False)  # all stop at the same time
    for backend in backends:
        backend.close()
    for thread in threading.enumerate():  # of applications that are garbage already
        if isinstance(thread, Monitor):
            thread.wait(_LAST_WAIT)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)
