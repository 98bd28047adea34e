"""The connection of an owner: a process by which the command is kept alive."""

from __future__ import annotations

import os

__all__ = ["Owner"]

_BACKLOG = 262144  # bytes that may wait for an owner that is slow to read


class Owner:
    """The supervisor's end of one connection.

    :param number: its descriptor.
    :ivar grace: seconds between SIGTERM and SIGKILL once it is closed; None for the default.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self.number = number
        self.unsent = bytearray()
        self.grace: float | None = None
        self._lost = 0
        self._partial = b""

    def send(self, line: bytes, *, droppable: bool = False) -> None:
        """Queue *line*; a droppable one is dropped while too much is queued."""
        if droppable and len(self.unsent) > _BACKLOG:
            self._lost += 1
            return
        if self._lost:
            self.unsent += b"L %d\n" % self._lost
            self._lost = 0
        self.unsent += line + b"\n"

    def flush(self) -> bool:
        """Write what the connection takes; False if the other end is closed."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.number, self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def receive(self) -> list[bytes] | None:
        """The lines that have arrived; None at the end of the connection."""
        try:
            data = os.read(self.number, 4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        return lines
