"""Large segments of frames, in portions: a flood of tiny frames leaves turns to others."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from time import perf_counter

from wsgiproxy.sansio.message import BLOCK

__all__ = ["PORTION", "Portions"]

#: Bytes that are parsed in one step; they may hold half as many frames.
PORTION = 8192
# Seconds after which others have their turn.
_TURN = 0.005


class Portions(ABC):
    """What has arrived and is not parsed yet: not for long, or until messages are taken."""

    __slots__ = ("_ends_by", "_going_on", "_is_parsing", "_loop", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        # Bytes of messages that the relay has not taken.
        self._size = 0
        # A portion is under way, and is not to be divided.
        self._is_parsing = False
        self._going_on: asyncio.Handle | None = None
        # The connection ended behind the rest: whether in a way that is an end of its protocol.
        self._ends_by: bool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    def data(self, data: bytes) -> None:
        """Parse a portion."""

    @abstractmethod
    def _is_at_frame(self) -> bool:
        """Whether the next byte is the first one of a frame."""

    @abstractmethod
    def _hold(self) -> None:
        """Read no more."""

    @abstractmethod
    def _resume(self) -> None:
        """Read on."""

    @abstractmethod
    def _ended(self, *, in_order: bool) -> None:
        """All has been parsed, and no more will come."""

    def _divide(self, data: bytes) -> None:
        """Parse as much as there is time and room for, and keep the rest."""
        if self._rest:
            self._rest += data  # what the loop had read when it was told to pause
            return
        began, at, self._is_parsing = perf_counter(), 0, True
        try:
            while at < len(data):
                size = self._portion(data, at)
                self.data(data[at : at + size])
                at += size
                if self._size >= BLOCK or perf_counter() - began > _TURN:
                    break
        finally:
            self._is_parsing = False
        self._rest = data[at:]
        if self._rest:
            self._hold()
            if self._size < BLOCK:
                self._go_on_soon()

    def _portion(self, data: bytes, at: int) -> int:
        """The size of the next portion: a large frame is not cut into many."""
        if len(data) - at > 10 and data[at + 1] & 0x7F == 127 and self._is_at_frame():
            return max(PORTION, 10 + int.from_bytes(data[at + 2 : at + 10], "big"))
        return PORTION

    def _end(self, *, in_order: bool) -> None:
        """The other end has closed its side of the connection, or it broke."""
        if self._rest:
            self._ends_by = in_order
        else:
            self._ended(in_order=in_order)

    def _read_on(self) -> None:
        """Go on with the rest, and then with the connection."""
        if self._rest:
            self._go_on_soon()
        else:
            self._resume()

    def _go_on_soon(self) -> None:
        if self._going_on is None:
            loop = self._loop = self._loop or asyncio.get_running_loop()
            self._going_on = loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = None
        if self._size >= BLOCK:
            return
        data, self._rest = self._rest, b""
        self._divide(data)
        if self._rest:
            return
        if self._ends_by is not None:
            self._ended(in_order=self._ends_by)
        elif self._size < BLOCK:
            self._resume()
