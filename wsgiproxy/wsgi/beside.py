"""Threads beside the requests of an application, for what its hooks begin there.

They are daemons: a program ends without waiting for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from wsgiproxy.hooks.exchange import MOST_BESIDE

__all__ = ["BesideThreads"]


class BesideThreads:
    """The threads of one application, of which so many run at once at most.

    :param most: the bound.
    """

    def __init__(self, most: int = MOST_BESIDE) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        # Made when it is needed: some proxies make all this for each request.
        self._end: threading.Event | None = None

    def begin(self, run: Callable[[threading.Event], None], name: str) -> bool:
        """Call a function in a thread; False if too many run, or the system has none left.

        :param run: is given an event that is set when it should end.
        :param name: of the hook, for the name of the thread.
        """

        def main() -> None:
            try:
                run(end)
            finally:
                with self._lock:
                    self._running.discard(thread)

        thread = threading.Thread(target=main, name=f"beside {name}", daemon=True)
        with self._lock:
            end = self._end = self._end or threading.Event()
            if len(self._running) >= self._most:
                # A fork copies the set, but no thread.
                self._running = {each for each in self._running if each.is_alive()}
            if len(self._running) >= self._most:
                return False
            self._running.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the program ends
            with self._lock:
                self._running.discard(thread)
            return False
        return True

    def close(self) -> None:
        """Have those that run end at their next wait; later ones may still begin."""
        with self._lock:
            end, self._end = self._end, None
        if end is not None:
            end.set()
