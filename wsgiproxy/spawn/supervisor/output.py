"""The output of the command: read by lines, at a limited rate."""

from __future__ import annotations

import os
import time

__all__ = ["Output"]

_BLOCK = 65536
_LONGEST_LINE = 2000  # bytes
# Of more lines in one second, only the last ones are sent. After so many bytes in one second, the
# command has to wait: reading its output costs as much as writing it.
_LINES_A_SECOND = 1000
_BYTES_A_SECOND = 4 << 20
_LAST_LINES = 50


class Output:
    """The lines of the command.

    :param number: descriptor of the reading end of the pipe; -1 for none.
    """

    def __init__(self, number: int) -> None:
        if number >= 0:
            os.set_blocking(number, False)
        self.number = number
        self._partial = b""
        self._held: list[bytes] = []
        self._lost = 0
        self._second = 0.0
        self._lines = self._bytes = 0

    def paused_for(self) -> float:
        """Seconds for which the output is not to be read, after too many bytes; 0 for none."""
        left = self._second + 1.0 - time.monotonic()
        return left if self._bytes >= _BYTES_A_SECOND and left > 0 else 0.0

    def held_for(self) -> float | None:
        """Seconds until the lines that are held back are due; None if none are held back."""
        return max(0.0, self._second + 1.0 - time.monotonic()) if self._held else None

    def read(self) -> list[bytes]:
        """The lines to send now."""
        now = time.monotonic()
        released = []
        if now - self._second >= 1.0:
            released = self._release()
            self._second, self._lines, self._bytes = now, 0, 0
        try:
            data = os.read(self.number, _BLOCK)
        except BlockingIOError:
            return released
        if not data:
            self.close()
            return released + self._release()
        self._bytes += len(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        room = max(0, _LINES_A_SECOND - self._lines)
        self._lines += len(lines)
        self._hold(lines[room:])
        return released + [_shortened(line) for line in lines[:room]]

    def _hold(self, lines: list[bytes]) -> None:
        """Hold back the last lines, and count those that are dropped."""
        self._held += lines
        self._lost += max(0, len(self._held) - _LAST_LINES)
        del self._held[:-_LAST_LINES]

    def _release(self) -> list[bytes]:
        held, self._held = self._held, []
        lost, self._lost = self._lost, 0
        note = [b"(%d lines left out)" % lost] if lost else []
        return note + [_shortened(line) for line in held]

    def rest(self) -> list[bytes]:
        """The lines that are not sent yet, at the end of the command."""
        lines = []
        for _ in range(16):  # a pipe holds one block; a descendant may go on writing
            if self.number < 0:
                break
            before = self._bytes
            lines += self.read()
            if self._bytes == before:
                break
        if self._partial:
            self._hold([self._partial])
            self._partial = b""
        return lines + self._release()

    def close(self) -> None:
        """Close the pipe; further calls have no effect."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


def _shortened(line: bytes) -> bytes:
    return line[:_LONGEST_LINE].rstrip(b"\r")
