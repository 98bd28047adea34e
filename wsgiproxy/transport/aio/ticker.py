"""One timer of an event loop for all requests in flight, instead of one for each."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

__all__ = ["TICK", "Ticker"]

#: Seconds between two turns of the timer.
TICK = 0.25


class Ticked(Protocol):
    """What has limits in time."""

    def tick(self, now: float) -> float:
        """Look at the clock.

        :param now: of :func:`time.monotonic`, in seconds.
        :returns: seconds until the next look.
        """


class Ticker:
    """Calls all that has limits in time when it wants to be called, four times a second at most.

    :param loop: the event loop of all of them.
    """

    __slots__ = ("_due", "_is_set", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[Ticked, float] = {}
        self._is_set = False

    def add(self, ticked: Ticked) -> None:
        """Call *ticked* at the next turn, and then when it says."""
        self._due[ticked] = 0.0
        if not self._is_set:
            self._is_set = True
            self._loop.call_later(TICK, self._tick)

    def discard(self, ticked: Ticked) -> None:
        """Call it no more."""
        self._due.pop(ticked, None)

    def _tick(self) -> None:
        now, due = monotonic(), self._due
        for ticked in [each for each, when in due.items() if when <= now]:
            if ticked in due:  # another one may have ended it
                left = ticked.tick(now)
                if ticked in due:
                    due[ticked] = now + left
        self._is_set = bool(due)
        if self._is_set:
            self._loop.call_later(TICK, self._tick)
