"""What the command says: line by line, and no faster than anybody could read it."""

from __future__ import annotations

import os
import time

__all__ = ["Output"]

_BLOCK = 65536
_LONGEST_LINE = 2000  # bytes
# A flood is cut: beyond so many lines in one second only the last ones are told, and beyond so
# many bytes the command has to wait, since reading costs as much as writing.
_LINES_A_SECOND = 1000
_BYTES_A_SECOND = 4 << 20
_LAST_LINES = 50


class Output:
    """The lines of the command.

    :param number: descriptor of our end of the pipe.
    """

    def __init__(self, number: int) -> None:
        if number >= 0:
            os.set_blocking(number, False)
        self.number = number
        self._rest = b""
        self._held: list[bytes] = []
        self._lost = 0
        self._second = 0.0
        self._lines = self._bytes = 0

    def is_paused(self) -> float:
        """Seconds for which a flood is not read, so that the command has to wait; 0 for none."""
        left = self._second + 1.0 - time.monotonic()
        return left if self._bytes >= _BYTES_A_SECOND and left > 0 else 0.0

    def held_for(self) -> float | None:
        """Seconds for which lines are held back; None if none are."""
        return max(0.0, self._second + 1.0 - time.monotonic()) if self._held else None

    def read(self) -> list[bytes]:
        """The lines to tell now."""
        now = time.monotonic()
        told = []
        if now - self._second >= 1.0:
            told = self._release()
            self._second, self._lines, self._bytes = now, 0, 0
        try:
            data = os.read(self.number, _BLOCK)
        except BlockingIOError:
            return told
        if not data:
            self.close()
            return told + self._release()
        self._bytes += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        room = max(0, _LINES_A_SECOND - self._lines)
        self._lines += len(lines)
        self._hold(lines[room:])
        return told + [_shortened(line) for line in lines[:room]]

    def _hold(self, lines: list[bytes]) -> None:
        """Keep the last lines for later, and count those that go."""
        self._held += lines
        self._lost += max(0, len(self._held) - _LAST_LINES)
        del self._held[:-_LAST_LINES]

    def _release(self) -> list[bytes]:
        held, self._held = self._held, []
        lost, self._lost = self._lost, 0
        note = [b"(%d lines left out)" % lost] if lost else []
        return note + [_shortened(line) for line in held]

    def rest(self) -> list[bytes]:
        """All that is left to tell, at the end."""
        told = []
        for _ in range(16):  # a pipe holds one block; what is left behind may write for ever
            if self.number < 0:
                break
            before = self._bytes
            told += self.read()
            if self._bytes == before:
                break
        if self._rest:
            self._hold([self._rest])
            self._rest = b""
        return told + self._release()

    def close(self) -> None:
        """Read no more; more than once does no harm."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


def _shortened(line: bytes) -> bytes:
    return line[:_LONGEST_LINE].rstrip(b"\r")
