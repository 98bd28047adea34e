"""Room for requests: how many one client may have in progress, and the queue of those that wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from wsgiproxy.errors import Busy

__all__ = ["Room"]


class Room:
    """The requests of one proxy in this process, for threads and event loops alike.

    :param limit: requests that one client may have at once; None for any number.
    :param queue_size: requests that may wait.
    """

    def __init__(self, limit: int | None, queue_size: int) -> None:
        self.limit = limit
        self._queue_size = queue_size
        self._lock = threading.Lock()
        self._clients: dict[str, int] = {}
        self._waiting: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def enter(self, client: str) -> bool:
        """Count a request of a client; False if it has as many as it may have."""
        assert self.limit is not None
        with self._lock:
            count = self._clients.get(client, 0)
            if count >= self.limit:
                return False
            self._clients[client] = count + 1
            return True

    def leave(self, client: str) -> None:
        """Count it out."""
        with self._lock:
            count = self._clients.get(client, 0) - 1
            if count > 0:
                self._clients[client] = count
            else:
                self._clients.pop(client, None)
        self.let_one_in()

    def queue(self, wake: Callable[[], None]) -> None:
        """Have *wake* called when there may be room.

        :raises Busy: as many wait as may.
        """
        with self._lock:
            if len(self._waiting) >= self._queue_size:
                raise Busy(f"queue_size={self._queue_size} requests wait for room")
            self._waiting.append(wake)

    def unqueue(self, wake: Callable[[], None]) -> None:
        """It waits no longer; if it has been called meanwhile, the next one is."""
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)
                return
        self.let_one_in()

    def let_one_in(self) -> None:
        """Have the first of those that wait look again."""
        if not self._waiting:
            return
        with self._lock:
            wake = self._waiting.popleft() if self._waiting else None
        if wake is not None:
            wake()

    def forget(self) -> None:
        """All of them are requests of the parent process."""
        self._lock = threading.Lock()
        self._clients.clear()
        self._waiting.clear()
