"""The process of an application: started by the first request, ended when it is not needed."""

from __future__ import annotations

import atexit
import os
import shlex
import threading
import weakref
from collections.abc import Callable, Sequence
from logging import Logger
from time import monotonic
from typing import Any, Generic, TypeVar

from wsgiproxy.errors import ClientGone, NotReady, Pausing, Unavailable
from wsgiproxy.observe.watched import SPAWNERS
from wsgiproxy.sansio.process.lifecycle import Action, Event, Phase, retry_after
from wsgiproxy.spawn.coordination import Coordination
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.spawn.messages import Report
from wsgiproxy.spawn.monitor import Monitor
from wsgiproxy.spawn.readiness import Check
from wsgiproxy.spawn.state import Lifecycle, ProcessLimits

__all__ = ["Backend", "Wait"]

# Seconds after which a waiting request checks again whether its client is still connected.
_SLICE = 0.5
# Seconds at the exit of the program for an instance whose application was not closed.
_LAST_WAIT = 15.0
# Seconds after SIGKILL until the end of an instance is no longer waited for.
_AFTER_KILL = 5.0

G = TypeVar("G")


class Wait:
    """One request that needs the instance, until it gets it.

    :param deadline: how long it may wait, by :func:`time.monotonic`.
    :ivar seconds: until it has to look again, whatever changes before.
    :ivar has_tried: it has waited for a start already.
    :ivar is_counted: it is one of those that wait.
    """

    __slots__ = ("deadline", "has_tried", "is_counted", "seconds")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.seconds = 0.0
        self.has_tried = self.is_counted = False


class Backend(Generic[G]):
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
        gateways: Gateways[G],
        check: Check,
        log: Logger,
    ) -> None:
        self.command = shlex.join(command)
        self.lifecycle: Lifecycle[G] = Lifecycle(coordination, limits, gateways.begin_end)
        self._report = Report(log, self.command)
        self._gateways = gateways
        self._check = check
        self._thread: Monitor[G] | None = None
        self._waiting = 0
        _backends.add(self)
        SPAWNERS.add(self)

    # For requests

    def enter(self, seconds: float, has_gone: Callable[[], bool] | None = None) -> G:
        """The gateway to the instance, which is started if need be.

        The caller ends the request by ``lifecycle.leave()``.

        :param seconds: how long to wait.
        :param has_gone: whether the client has left.
        :raises ProxyError: it is not ready in that time.
        """
        wait = Wait(monotonic() + seconds)
        with self.lifecycle.changed:
            try:
                while (gateway := self.look(wait)) is None:
                    self.lifecycle.changed.wait(min(_SLICE, wait.seconds))
                    if has_gone is not None and has_gone():
                        raise ClientGone("the client left while the process was starting")
                return gateway
            finally:
                self.forget(wait)

    def look(self, wait: Wait) -> G | None:
        """The gateway, or None if the request has to wait, for a change or ``wait.seconds``.

        The caller ends the wait by :meth:`forget`, and the request as after :meth:`enter`.

        :raises ProxyError: it need not wait any longer.
        """
        lifecycle = self.lifecycle
        with lifecycle.changed:
            if not wait.is_counted:
                gateway = lifecycle.take()
                if gateway is not None:
                    return gateway
                self._count(wait)
            now = monotonic()
            gateway = self._request(now, wait.has_tried)
            if gateway is not None:
                return gateway
            state = lifecycle.state
            wait.has_tried = wait.has_tried or state.phase is Phase.STARTING
            if now >= wait.deadline:
                raise NotReady(f"it is {state.phase.value} for too long to wait for it")
            wait.seconds = max(0.001, min(wait.deadline - now, state.until - now))
            return None

    def _count(self, wait: Wait) -> None:
        most = self.lifecycle.limits.waiting
        if self._waiting >= most:
            raise NotReady(f"max_waiting={most} requests wait for it already")
        self._waiting += 1
        wait.is_counted = True

    def forget(self, wait: Wait) -> None:
        """End a wait, whatever has come of it."""
        with self.lifecycle.changed:
            if wait.is_counted:
                wait.is_counted = False
                self._waiting = max(0, self._waiting - 1)  # it may be from before a fork

    def _request(self, now: float, tried: bool) -> G | None:
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

    @property
    def longest_stop(self) -> float:
        """Seconds for which the end of an instance is waited for."""
        return self.lifecycle.limits.stop + _AFTER_KILL

    def begin_stop(self) -> Monitor[G] | None:
        """Begin to end the instance, if there is one; the next request starts another.

        :returns: what is over when the instance has ended.
        """
        lifecycle = self.lifecycle
        with lifecycle.changed:
            if lifecycle.state.phase is Phase.READY and not lifecycle.closed:
                lifecycle.coordination.begin_stop()
            lifecycle.step(Event.STOP, monotonic())
            return self._thread

    def begin_close(self) -> Monitor[G] | None:
        """Begin to end the instance, and refuse later requests."""
        with self.lifecycle.changed:
            self.lifecycle.closed = True
            self.lifecycle.notify()
        return self.begin_stop()

    def stop(self) -> None:
        """End the instance, and wait for its end."""
        self._await(self.begin_stop())

    def close(self, *, wait: bool = True) -> None:
        """The same, and refuse later requests."""
        thread = self.begin_close()
        if wait:
            self._await(thread)

    def _await(self, thread: Monitor[G] | None) -> None:
        if thread is not None and thread is not threading.current_thread():
            thread.wait(self.longest_stop)

    def after_fork(self) -> None:
        """Leave the instance to the parent, in a forked process."""
        if self.lifecycle.instance is not None:
            self.lifecycle.instance.abandon()
        self.lifecycle.reset()
        self.lifecycle.coordination.after_fork()
        self._thread = None
        self._waiting = 0


_backends: weakref.WeakSet[Backend[Any]] = weakref.WeakSet()


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
