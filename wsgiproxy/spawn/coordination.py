"""Which process starts the child and which may end it: one process alone, or several together."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable

from wsgiproxy.sansio.process.lifecycle import LONGEST_PAUSE, Phase, State
from wsgiproxy.spawn.instance import Instance, Plan
from wsgiproxy.spawn.shared import SharedFolder, shared_folder

__all__ = ["Coordination", "Postponed", "Shared"]

# Seconds between two looks at the work of another process: flock(2) has no time limit, and no
# descriptor becomes ready when a file changes.
_LOOK = 0.01
# Seconds between SIGTERM and SIGKILL for a child whose stop another process began before it died.
_ABANDONED = 5.0
# Seconds for a port to become free: another process may still hold that of the last instance.
_FREED = 1.0


class Postponed(Exception):
    """Another process has failed to start the child a moment ago.

    :ivar state: the state that follows from that.
    """

    def __init__(self, state: State) -> None:
        super().__init__("another process has failed to start it")
        self.state = state


class Coordination:
    """The steps on which several processes would have to agree, for one process alone.

    :param plan: what to start.
    :cvar has_files: the steps of a request read and write files.
    """

    has_files = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def begin(self, is_wanted: Callable[[], bool]) -> Instance:
        """Start an instance, or join the one of another process.

        :param is_wanted: whether the start is still worth waiting for.
        :raises Postponed: another process has failed to start it a moment ago.
        :raises OSError: it cannot be started.
        """
        return Instance.start(self._plan)

    def set_ready(self, instance: Instance) -> None:
        """Let other processes join the instance, which is ready."""

    def set_ended(self, state: State) -> None:
        """Let other processes start one: the instance has ended, which led to *state*."""

    def claim(self) -> bool:
        """Keep other processes from stopping the instance; False if it is being stopped."""
        return True

    def release(self, used: bool) -> None:
        """Let other processes stop it again.

        :param used: whether one of the requests since :meth:`claim` counts as use.
        """

    def last_used(self, own: float) -> float:
        """The time of its last use by any process.

        :param own: the time of its last use by this one.
        """
        return own

    def begin_stop(self) -> bool:
        """Keep all processes from using it; False if another one uses it."""
        return True

    def end(self, instance: Instance, grace: float, closing: bool) -> None:
        """End the instance, as far as other processes are concerned.

        :param grace: seconds between SIGTERM and SIGKILL.
        :param closing: this process will not use it again.
        """
        instance.child.stop(grace)

    def after_fork(self) -> None:
        """Leave to the parent what is the parent's, in a forked process."""


class Shared(Coordination):
    """The first process that needs the child starts it; it lives until the last one leaves it.

    :param plan: what to start.
    :param share: the folder in which they meet; empty for one of each parent process.
    :raises ConfigurationError: the folder cannot be used.
    """

    has_files = True

    def __init__(self, plan: Plan, share: str) -> None:
        super().__init__(plan)
        self._share = share
        self._shared = self._meet()
        self._has_begun = False
        self._starts = False
        self._instance: Instance | None = None

    def _meet(self) -> SharedFolder:
        return SharedFolder(shared_folder(self._share, self._plan))

    def begin(self, is_wanted: Callable[[], bool]) -> Instance:
        """Join the instance that another process has started, or start it."""
        if os.getpid() != self._shared.pid:
            # A forked process, with another parent and perhaps another user. If its parent has
            # used the folder, it goes on with that one.
            self._shared = SharedFolder(self._shared.folder) if self._has_begun else self._meet()
        self._has_begun = True
        deadline = math.inf
        while True:
            busy = None
            try:
                instance = self._join() or (self._start() if self._shared.lock() else None)
            except OSError as error:
                now = time.monotonic()
                deadline = min(deadline, now + _FREED)
                if error.errno != errno.EADDRINUSE or now > deadline:
                    raise
                instance, busy = None, error
            if instance is not None:
                return instance
            if not is_wanted():
                raise busy or OSError("another process starts it, and is not ready in time")
            time.sleep(_LOOK)

    def _join(self) -> Instance | None:
        facts = self._shared.current()
        if not facts:
            return None
        try:
            instance = Instance.join(facts)
        except (FileNotFoundError, ConnectionRefusedError):  # it has ended
            return None
        self._shared.join(instance.folder)
        self._instance = instance
        return instance

    def _start(self) -> Instance:
        """Start it; this process keeps the lock until it is ready or has failed."""
        shared = self._shared
        with contextlib.ExitStack() as undo:
            undo.callback(shared.unlock)
            instance = self._join()  # another process had the lock before
            if instance is not None:
                return instance
            failures, until = shared.failure()
            now = time.monotonic()
            if now < until <= now + LONGEST_PAUSE:  # or it is from before a reboot
                raise Postponed(State(Phase.BACKING_OFF, now, until, failures))
            folder, control = shared.new_folder()
            with control:
                instance = Instance.start(self._plan, folder, control)
            self._starts = True
            self._instance = instance
            undo.pop_all()
        return instance

    def set_ready(self, instance: Instance) -> None:
        """Publish the instance, if this process has started it."""
        if self._starts:
            self._shared.publish(instance.facts())
            self._starts = False
            self._shared.unlock()

    def set_ended(self, state: State) -> None:
        """Record a failure, if this process has started it, and release all locks."""
        if self._starts:
            self._starts = False
            if state.phase in (Phase.BACKING_OFF, Phase.FAILED):
                with contextlib.suppress(OSError):  # the disk may be full
                    self._shared.record_failure(state.failures, state.until)
            self._shared.unlock()
        self._instance = None
        if self._shared.pid == os.getpid():  # else this process has failed to open the folder
            self._shared.release()

    def claim(self) -> bool:
        """Take the lock of its users."""
        claimed = self._shared.claim()
        if not claimed and self._instance is not None and self._shared.is_abandoned():
            self._instance.child.stop(_ABANDONED)  # the stop that another process has begun
        return claimed

    def release(self, used: bool) -> None:
        """Release the lock of its users."""
        if used:
            self._shared.touch()
        self._shared.release()

    def last_used(self, own: float) -> float:
        """The later one of the time of this process and that of the others."""
        return max(own, self._shared.last_used())

    def begin_stop(self) -> bool:
        """Take the lock of its users alone."""
        return self._shared.begin_stop()

    def end(self, instance: Instance, grace: float, closing: bool) -> None:
        """End it, or leave it to the other processes."""
        if closing:
            instance.child.leave(grace)
        else:
            instance.child.stop(grace)

    def after_fork(self) -> None:
        """Forget the instance; the next start opens the folder again."""
        self._starts = False
        self._instance = None
