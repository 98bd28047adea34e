"""What hooks send while the upstream is silent in the middle of a body, and when.

It waits for nothing, and looks at no clock: the edges do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiproxy.hooks.changes import Changes

__all__ = ["Idle", "IdleCall"]


class IdleCall:
    """One function, and when it is due.

    :param seconds: of silence before it is called, and between two calls.
    :param function: gives what is sent.
    :param now: when the first silence begins.
    """

    __slots__ = ("function", "seconds", "since")

    def __init__(self, seconds: float, function: Callable[[], bytes], now: float) -> None:
        self.seconds = seconds
        self.function = function
        self.since = now


class Idle:
    """What is sent while the upstream is silent in the middle of a body.

    :param calls: one for each function.

    >>> from wsgiproxy.hooks.changes import Changes
    >>> changes = Changes([(bytes, None, (15, lambda: b":"))])
    >>> idle = changes.idle(100.0)
    >>> idle.left(104.0), idle.passed(b"", changes, 104.0), idle.passed(b"", changes, 115.0)
    (11.0, b'', b':')
    >>> idle.passed(b"a", changes, 120.0), idle.left(121.0)
    (b'a', 14.0)
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: list[IdleCall]) -> None:
        self._calls = calls

    def left(self, now: float) -> float:
        """Seconds until a function is to be called; 0 if it is late."""
        return max(0.0, min(call.since + call.seconds - now for call in self._calls))

    def passed(self, found: bytes, changes: Changes, now: float) -> bytes:
        """What is sent for a block, or for the silence if it is empty.

        :param found: of the upstream.
        :param changes: what a block goes through.
        :raises HookFailed: a function fails, or returns something else than bytes.
        """
        if found:
            for call in self._calls:
                call.since = now
            return changes.block(found)
        data = b""
        for call in self._calls:
            if now - call.since >= call.seconds:
                call.since = now
                data += call.function()
        return data
