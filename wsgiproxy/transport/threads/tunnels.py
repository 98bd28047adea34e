"""The tunnels that are open: how many there may be, and the end of all of them.

They end with the process: its interpreter waits for the threads of a pool, such as gunicorn's, and
a tunnel may have nothing to say for hours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from wsgiproxy.errors import Unavailable
from wsgiproxy.observe.watched import TUNNELS
from wsgiproxy.transport.threads.tunnel import Tunnel

__all__ = ["Tunnels"]


class Tunnels:
    """The tunnels of one proxy that are open.

    :param limit: how many may be open; None for any number.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._changed = threading.Condition()
        self._open: set[Tunnel] = set()
        self._times_closed = 0
        _all.add(self)
        TUNNELS.add(self)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def times_closed(self) -> int:
        """How often all were ended: a tunnel that was begun before is not to be opened."""
        return self._times_closed

    def check(self) -> None:
        """See whether there is room for another one.

        :raises Unavailable: there is not.
        """
        if self.limit is not None and len(self._open) >= self.limit:
            raise Unavailable(f"max_websockets={self.limit} are open")

    @contextlib.contextmanager
    def opened(self, tunnel: Tunnel) -> Iterator[None]:
        """Count a tunnel as open, and close it at the end of the block.

        :raises Unavailable: there is no room for it.
        """
        _end_all_with_the_process()
        with self._changed:
            self.check()
            self._open.add(tunnel)
        try:
            if _process_ends:
                tunnel.close()
            yield
        finally:
            tunnel.close()
            with self._changed:
                self._open.discard(tunnel)
                self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """End all.

        :param seconds: how long to wait for their threads.
        """
        self._times_closed += 1
        for tunnel in list(self._open):
            tunnel.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, seconds)

    def forget(self) -> None:
        """Let go of those of the parent process."""
        self._changed = threading.Condition()
        self._open.clear()


_all: weakref.WeakSet[Tunnels] = weakref.WeakSet()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_process_ends = False


def _end_all_with_the_process() -> None:
    """Have all closed before the interpreter waits for the threads of pools.

    It ends the idle threads of all pools first, and one of these is ours. What is registered with
    :mod:`atexit` comes too late. Greenlets are not waited for.
    """
    global _pool
    with _lock:
        if _pool is not None or "gevent.monkey" in sys.modules:
            return
        _pool = ThreadPoolExecutor(1, "wsgiproxy-tunnels")
    with contextlib.suppress(RuntimeError):  # it ends, or has no more threads
        first = _pool.submit(threading.current_thread).result()
        threading.Thread(target=_watch, args=[first], daemon=True).start()


def _watch(thread: threading.Thread) -> None:
    global _process_ends
    thread.join()
    _process_ends = True
    for tunnels in list(_all):
        tunnels.close(0)


def _forget_all() -> None:
    global _lock, _pool
    _lock, _pool = threading.Lock(), None
    for tunnels in list(_all):
        tunnels.forget()


os.register_at_fork(after_in_child=_forget_all)
