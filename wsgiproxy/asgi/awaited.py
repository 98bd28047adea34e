"""The process of a spawner as event loops use it: they await what threads wait for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, Generic, TypeVar

from wsgiproxy.asgi.ahead import ReadAhead
from wsgiproxy.errors import Unavailable
from wsgiproxy.spawn.backend import Backend, Wait
from wsgiproxy.spawn.state import Lifecycle

__all__ = ["AwaitedBackend", "Worker"]

G = TypeVar("G")
T = TypeVar("T")


class Worker:
    """One thread for steps that take locks or use files, and that are all short.

    Not those of the event loop: an application may fill all of them with work that waits for us.
    """

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._pool, self._pid = ThreadPoolExecutor(1, "spawn-steps"), os.getpid()

    def submit(self, step: Callable[[], T]) -> Future[T]:
        """Do a step after those before it.

        :raises Unavailable: there is no thread.
        """
        if self._pid != os.getpid():  # a fork copies no thread
            self._renew()
        try:
            return self._pool.submit(step)
        except RuntimeError as error:  # the program ends, or the system has no more threads
            self._renew()
            raise Unavailable(str(error)) from error

    def do(self, step: Callable[[], object]) -> None:
        """Do a step that must be done, here if there is no thread."""
        try:
            self.submit(step)
        except Unavailable:
            step()

    async def run(self, step: Callable[[], T]) -> T:
        """Do a step, and wait for its result."""
        return await asyncio.wrap_future(self.submit(step))

    def close(self) -> None:
        """Let the thread end; a later step makes another."""
        pool, is_own = self._pool, self._pid == os.getpid()
        self._renew()
        if is_own:
            pool.shutdown(wait=False)


class _Changes:
    """The changes of a lifecycle, for one coroutine.

    :ivar next: done at the next change.
    """

    def __init__(self, lifecycle: Lifecycle[Any]) -> None:
        self._listeners = lifecycle.listeners
        self._loop = asyncio.get_running_loop()
        self.next: asyncio.Future[None] = self._loop.create_future()

    def __enter__(self) -> _Changes:
        self._listeners.add(self._changed)
        return self

    def __exit__(self, *exception: object) -> None:
        self._listeners.discard(self._changed)

    def _changed(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        before, self.next = self.next, self._loop.create_future()
        before.set_result(None)


class AwaitedBackend(Generic[G]):
    """A backend whose requests wait without a thread.

    :param backend: the process.
    :param worker: does what may block.
    """

    def __init__(self, backend: Backend[G], worker: Worker) -> None:
        self._backend = backend
        self._worker = worker

    async def enter(self, seconds: float, ahead: ReadAhead | None = None) -> G:
        """As :meth:`.Backend.enter`; the caller ends the request by :meth:`leave`.

        :param ahead: tells whether the client has left.
        """
        wait = Wait(monotonic() + seconds)
        with _Changes(self._backend.lifecycle) as changes:
            try:
                while True:
                    changed = changes.next  # before the look: no change is missed
                    gateway = await self._take(partial(self._backend.look, wait))
                    if gateway is not None:
                        return gateway
                    if ahead is not None:
                        await ahead.wait(changed, wait.seconds)
                    else:
                        await asyncio.wait([changed], timeout=wait.seconds)
            finally:
                self._worker.do(partial(self._backend.forget, wait))

    async def take(self) -> G | None:
        """What serves, without a start; None if there is nothing."""
        lifecycle = self._backend.lifecycle

        def take() -> G | None:
            with lifecycle.changed:
                return lifecycle.take()

        return await self._take(take)

    async def _take(self, take: Callable[[], G | None]) -> G | None:
        taking = self._worker.submit(take)
        try:
            return await asyncio.wrap_future(taking)
        except asyncio.CancelledError:
            # It may be under way, or done, and has then begun a request.
            taking.add_done_callback(self._give_back)
            raise

    def _give_back(self, taking: Future[G | None]) -> None:
        if taking.cancelled() or taking.exception() is not None or taking.result() is None:
            return
        self.leave(used=False)

    def leave(self, *, used: bool) -> None:
        """End a request, at once or soon.

        :param used: whether it counts as use.
        """
        lifecycle = self._backend.lifecycle
        if not lifecycle.leave_at_once(used=used):
            self._worker.do(partial(lifecycle.leave, used=used))

    async def start(self) -> None:
        """Begin a start if the state allows one."""
        await self._worker.run(self._backend.start)

    async def stop(self) -> None:
        """End the instance, and wait for its end."""
        with _Changes(self._backend.lifecycle) as changes:
            await self._ended(self._backend.begin_stop, changes)

    async def close(self) -> None:
        """The same, and refuse later requests."""
        with _Changes(self._backend.lifecycle) as changes:
            await self._ended(self._backend.begin_close, changes)
        self._worker.close()

    async def _ended(self, begin: Callable[[], Any], changes: _Changes) -> None:
        deadline = monotonic() + self._backend.longest_stop
        try:
            monitor = await self._worker.run(begin)
        except Unavailable:
            monitor = begin()
        while monitor is not None:
            changed, left = changes.next, deadline - monotonic()
            if monitor.is_over or left <= 0:
                return
            await asyncio.wait([changed], timeout=left)
