"""The other end of a lifeline: somebody who wants the command to live."""

from __future__ import annotations

import os

__all__ = ["Listener"]

_BACKLOG = 262144  # bytes that may wait for somebody who is slow to read


class Listener:
    """One connection.

    :param number: its descriptor.
    :ivar grace: seconds to stop in when it has left; None if it has just gone.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self.number = number
        self.unsent = bytearray()
        self.lost = 0
        self.heard = b""
        self.grace: float | None = None

    def tell(self, line: bytes, *, droppable: bool = False) -> None:
        """Have *line* sent; it may get lost where too much waits already."""
        if droppable and len(self.unsent) > _BACKLOG:
            self.lost += 1
            return
        if self.lost:
            self.unsent += b"L %d\n" % self.lost
            self.lost = 0
        self.unsent += line + b"\n"

    def flush(self) -> bool:
        """Send what there is room for; False if nobody is there."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.number, self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def hear(self) -> list[bytes] | None:
        """The lines that have come; None at the end."""
        try:
            data = os.read(self.number, 4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self.heard = (self.heard + data).split(b"\n")
        return lines
