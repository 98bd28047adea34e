"""The stream of what changes, for pages that are open."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from wsgiproxy.observe.inspector.ring import Changes, Ring

__all__ = ["Live", "Streams"]

# Seconds in which changes are gathered, so that a burst does not become as many events.
_GATHERED = 0.1
# Seconds of silence after which a comment shows whether the page is still there.
_SILENCE = 5.0
# Milliseconds until a browser asks again.
_BEGINNING = b"retry: 1000\n\n"


class Streams:
    """The streams that are open.

    :param limit: how many there may be.
    """

    def __init__(self, limit: int = 8) -> None:
        self.limit = limit
        self.closed = threading.Event()
        self._open: dict[Live, None] = {}  # the oldest first
        self._lock = threading.Lock()

    def add(self, live: Live) -> bool:
        """Count one more; False if all are closed.

        The oldest ends if there are too many: that of a page which has been closed is noticed only
        when something is written to it, and that of an open one comes again.
        """
        with self._lock:
            if self.closed.is_set():
                return False
            oldest = next(iter(self._open)) if len(self._open) >= self.limit else None
            self._open[live] = None
        if oldest is not None:
            oldest.close()
        return True

    def remove(self, live: Live) -> None:
        """Count it no more."""
        with self._lock:
            self._open.pop(live, None)

    def close(self) -> None:
        """End all of them at once."""
        self.closed.set()
        with self._lock:
            streams = list(self._open)
        for live in streams:
            live.close()


class Live:
    """An event stream for one page: the state, and then exchanges as they come and change.

    :param ring: the exchanges.
    :param streams: those that are open.
    :param state: what the page is told of the ring.
    :param summaries: of exchanges, by their numbers; those that are gone are left out.
    """

    def __init__(
        self,
        ring: Ring,
        streams: Streams,
        state: Callable[[], dict[str, Any]],
        summaries: Callable[[set[int]], dict[str, Any]],
    ) -> None:
        self._streams = streams
        self._state = state
        self._summaries = summaries
        self._changes: Changes = ring.listen()
        self._is_begun = self._is_closed = False

    def __iter__(self) -> Live:
        return self

    def __next__(self) -> bytes:
        """Wait for the next block.

        :raises StopIteration: it is closed.
        """
        if not self._is_begun:
            self._is_begun = True
            return _BEGINNING + _event("state", self._state())
        numbers = self._gathered()
        if self._is_over:
            raise StopIteration
        blocks = []
        if numbers - {0}:
            blocks.append(_event("exchanges", self._summaries(numbers - {0})))
        if 0 in numbers:
            blocks.append(_event("state", self._state()))
        return b"".join(blocks) or b":\n\n"

    def _gathered(self) -> set[int]:
        """What has changed; empty after a silence."""
        end = monotonic() + _SILENCE
        numbers: set[int] = set()
        while not numbers and not self._is_over and (left := end - monotonic()) > 0:
            numbers = self._changes.wait(left)
        if numbers:
            self._streams.closed.wait(_GATHERED)
            numbers |= self._changes.wait(0)
        return numbers

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._streams.closed.is_set()

    def close(self) -> None:
        """End it, also while it waits."""
        self._is_closed = True
        self._changes.close()
        self._streams.remove(self)


def _event(name: str, value: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode("ascii")
