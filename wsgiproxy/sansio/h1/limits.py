"""What a message may cost, in bytes and in time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Limits", "Timeouts"]


class Limits(NamedTuple):
    """What a head may cost; beyond it the message is refused.

    :param head: bytes of a whole head, 64 KiB.
    :param fields: field lines, 200.
    :param line: bytes of one line, 8 KiB, which is also nginx's and gunicorn's limit.
    :param interim: 1xx responses before the final one, 16.
    """

    head: int = 65536
    fields: int = 200
    line: int = 8192
    interim: int = 16

    def excess(self, size: int, longest: int, count: int) -> str:
        """The limit that is exceeded, for a message; empty if none is.

        :param size: bytes of the head.
        :param longest: bytes of its longest line.
        :param count: its field lines.

        >>> Limits().excess(9000, 8300, 3)
        'a line of 8300 bytes in the head, over the limit of 8192'
        """
        if size > self.head:
            return f"a head of {size} bytes, over max_head={self.head}"
        if longest > self.line:
            return f"a line of {longest} bytes in the head, over the limit of {self.line}"
        if count > self.fields:
            return f"{count} header fields, over the limit of {self.fields}"
        return ""


class Timeouts:
    """How long to wait, in seconds; there is no total.

    :param connect: for one address, TLS included.
    :param head: for the whole final head, from the end of the request on.
    :param idle: between two reads or two writes.
    """

    __slots__ = ("connect", "head", "idle")

    def __init__(self, connect: float = 10.0, head: float = 60.0, idle: float = 60.0) -> None:
        self.connect = connect
        self.head = head
        self.idle = idle
