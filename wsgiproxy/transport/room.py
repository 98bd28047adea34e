"""Room for requests: how many one client may have in progress, and the queue of those that wait."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
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
        #: What wakes each of those that wait, by its place in the queue.
        self.waiting: dict[int, Callable[[], None]] = {}
        # The places of those that have not been woken.
        self._asleep: list[int] = []
        self._last = 0

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self.waiting)

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

    def queue(self, wake: Callable[[], None]) -> int:
        """Have *wake* called when there may be room, once.

        :return: the place in the queue, kept up to :meth:`unqueue`.
        :raises Busy: as many wait as may.
        """
        with self._lock:
            if len(self.waiting) >= self._queue_size:
                raise Busy(f"queue_size={self._queue_size} requests wait for room")
            self._last = place = self._last + 1
            self.waiting[place] = wake
            self._asleep.append(place)
        return place

    def listen(self, place: int) -> None:
        """Have it called once more; to be done before looking, so that no call is missed."""
        with self._lock:
            if place in self.waiting:
                insort(self._asleep, place)

    def unqueue(self, place: int) -> None:
        """It waits no longer; if it has been called meanwhile, another one is."""
        with self._lock:
            self.waiting.pop(place, None)
            index = bisect_left(self._asleep, place)
            if self._asleep[index : index + 1] == [place]:
                del self._asleep[index]
                return
        self.let_one_in()

    def let_one_in(self, behind: int = 0) -> None:
        """Have the first of those that wait look again.

        :param behind: a place that has looked already, as all before it have: what is free may be
            of no use there. So each free place is looked at once by each, and by no more.
        """
        if not self.waiting:
            return
        with self._lock:
            index = bisect_right(self._asleep, behind)
            if index == len(self._asleep):
                return
            wake = self.waiting[self._asleep.pop(index)]
        wake()

    def forget(self) -> None:
        """All of them are requests of the parent process."""
        self._lock = threading.Lock()
        self._clients.clear()
        self.waiting.clear()
        self._asleep.clear()
