"""Who starts the child, and who may end it: one process alone, or several together."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable
from typing import Protocol

from wsgiproxy.sansio.process.lifecycle import LONGEST_PAUSE, Phase, State
from wsgiproxy.spawn.instance import Instance, Plan
from wsgiproxy.spawn.shared import SharedFolder, shared_folder

__all__ = ["Single", "Postponed", "Coordination", "SharedFolder", "coordination"]

# Seconds between two looks at what another process is doing: no lock has a time limit, and
# no descriptor tells of a file.
_LOOK = 0.01
# Seconds between SIGTERM and SIGKILL for what nobody can use any more.
_ABANDONED = 5.0
# Seconds for a port to become free: another process may still hold that of a run just ended.
_FREED = 1.0


class Postponed(Exception):
    """Another process has just failed to start it.

    :ivar state: the state to be in.
    """

    def __init__(self, state: State) -> None:
        super().__init__("another process has failed to start it")
        self.state = state


class Coordination(Protocol):
    """What one process may do by itself, and several have to agree on."""

    def begin(self, wanted: Callable[[], bool]) -> Instance:
        """Get a run that is alive: start it, or find it.

        :param wanted: whether anybody still waits for it.
        :raises Postponed: it has just failed elsewhere.
        :raises OSError: it cannot be had.
        """

    def serves(self, run: Instance) -> None:
        """It is ready."""

    def ended(self, state: State) -> None:
        """It is gone, and that is the state now."""

    def claim(self) -> bool:
        """Begin to use it; False if it is just being stopped."""

    def release(self, used: bool) -> None:
        """Use it no more.

        :param used: what was done with it counts as use.
        """

    def last_used(self, ours: float) -> float:
        """When anybody has used it last.

        :param ours: when this process has.
        """

    def begin_stop(self) -> bool:
        """Keep everybody from using it; False if somebody does."""

    def end(self, run: Instance, grace: float, closing: bool) -> None:
        """End it.

        :param grace: seconds between SIGTERM and SIGKILL.
        :param closing: it is this process that ends.
        """

    def forked(self) -> None:
        """We are in a new process now."""


def coordination(plan: Plan, share: str | None) -> Coordination:
    """The starter for the setting ``share``.

    :raises ConfigurationError: the folder cannot be used.
    """
    if share is None:
        return Single(plan)
    return Shared(plan, share)


class Single:
    """There is nobody to agree with."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def begin(self, wanted: Callable[[], bool]) -> Instance:
        """Start it."""
        return Instance.start(self._plan)

    def serves(self, run: Instance) -> None:
        """Nobody has to know."""

    def ended(self, state: State) -> None:
        """Nobody has to know."""

    def claim(self) -> bool:
        """It is ours."""
        return True

    def release(self, used: bool) -> None:
        """It stays ours."""

    def last_used(self, ours: float) -> float:
        """Nobody else has."""
        return ours

    def begin_stop(self) -> bool:
        """Nobody else could."""
        return True

    def end(self, run: Instance, grace: float, closing: bool) -> None:
        """End it."""
        run.child.stop(grace)

    def forked(self) -> None:
        """There is nothing to share with the parent."""


class Shared:
    """The first that needs it starts it, and it lives as long as any of them.

    :param plan: what to start.
    :param share: where they meet; empty for a place that follows from who they are.
    """

    def __init__(self, plan: Plan, share: str) -> None:
        self._plan = plan
        self._share = share
        self._shared = self._meet()
        self._has_begun = False
        self._starts = False
        self._run: Instance | None = None

    def _meet(self) -> SharedFolder:
        return SharedFolder(shared_folder(self._share, self._plan))

    def begin(self, wanted: Callable[[], bool]) -> Instance:
        """Find it, or be the one that starts it."""
        if os.getpid() != self._shared.pid:
            # A worker by now, with another parent and perhaps another user; but if the process
            # that forked us has used it, we go on where it does.
            self._shared = SharedFolder(self._shared.folder) if self._has_begun else self._meet()
        self._has_begun = True
        patience = math.inf
        while True:
            busy = None
            try:
                run = self._found() or (self._started() if self._shared.lock() else None)
            except OSError as error:
                now = time.monotonic()
                patience = min(patience, now + _FREED)
                if error.errno != errno.EADDRINUSE or now > patience:
                    raise
                run, busy = None, error
            if run is not None:
                return run
            if not wanted():
                raise busy or OSError("another process starts it, and is not ready in time")
            time.sleep(_LOOK)

    def _found(self) -> Instance | None:
        facts = self._shared.current()
        if not facts:
            return None
        try:
            run = Instance.join(facts)
        except (FileNotFoundError, ConnectionRefusedError):  # it is gone, and nobody has said so
            return None
        self._shared.joined(run.folder)
        self._run = run
        return run

    def _started(self) -> Instance:
        """Start it; the lock is ours until it serves or has failed."""
        shared = self._shared
        with contextlib.ExitStack() as undo:
            undo.callback(shared.unlock)
            run = self._found()  # by whoever had the lock before
            if run is not None:
                return run
            failures, until = shared.failure()
            now = time.monotonic()
            if now < until <= now + LONGEST_PAUSE:  # or it is from before a reboot
                raise Postponed(State(Phase.BACKING_OFF, now, until, failures))
            folder, door = shared.new_folder()
            with door:
                run = Instance.start(self._plan, folder, door)
            self._starts = True
            self._run = run
            undo.pop_all()
        return run

    def serves(self, run: Instance) -> None:
        """Tell the others, if it was us."""
        if self._starts:
            self._shared.publish(run.facts())
            self._starts = False
            self._shared.unlock()

    def ended(self, state: State) -> None:
        """Tell the others how long to wait, if it was us."""
        if self._starts:
            self._starts = False
            if state.phase in (Phase.BACKING_OFF, Phase.FAILED):
                with contextlib.suppress(OSError):  # the disk may be full
                    self._shared.record_failure(state.failures, state.until)
            self._shared.unlock()
        self._run = None
        if self._shared.pid == os.getpid():  # else there was no place to meet in
            self._shared.release()  # of whoever used it, or was stopping it

    def claim(self) -> bool:
        """Hold the lock of the users."""
        claimed = self._shared.claim()
        if not claimed and self._run is not None and self._shared.is_abandoned():
            self._run.child.stop(_ABANDONED)  # what somebody else has begun
        return claimed

    def release(self, used: bool) -> None:
        """Let go of the lock of the users."""
        if used:
            self._shared.touch()
        self._shared.release()

    def last_used(self, ours: float) -> float:
        """What the file says."""
        return max(ours, self._shared.last_used())

    def begin_stop(self) -> bool:
        """Be the only one to hold the lock of the users."""
        return self._shared.begin_stop()

    def end(self, run: Instance, grace: float, closing: bool) -> None:
        """End it, or leave it to the others."""
        if closing:
            run.child.leave(grace)
        else:
            run.child.stop(grace)

    def forked(self) -> None:
        """What is shared is the parent's; there will be a place of our own."""
        self._starts = False
        self._run = None
