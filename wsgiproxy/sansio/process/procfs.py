"""Parsers for files of /proc (Linux, proc(5)): listening sockets and parents of processes."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Listening", "listening", "parents", "socket_link"]

# sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
_LISTENS = re.compile(
    r"^ *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F:]+ 0A "
    r"[0-9A-F]+:([0-9A-F]{1,16}) \S+ \S+ +\d+ +\d+ (\d{1,20})",
    re.MULTILINE,
)
# "pid (name) state ppid ...": the name may hold anything.
_STAT = re.compile(r"\A(\d+) \(.*\) \S (\d+) ", re.DOTALL)


class Listening(NamedTuple):
    """A listening TCP socket.

    :param address: in network order, 4 or 16 bytes.
    :param port: its port.
    :param waiting: connections in its queue that are not accepted yet.
    :param inode: its inode, as in :func:`socket_link`.
    """

    address: bytes
    port: int
    waiting: int
    inode: int


def listening(text: str) -> Iterator[Listening]:
    """The listening sockets in the text of ``/proc/net/tcp`` or ``tcp6``.

    >>> list(listening("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000"
    ...     " 00000000  1000        0 4711 1 00000000ec0a575c 100 0 0 10 0"))
    [Listening(address=b'\\x7f\\x00\\x00\\x01', port=8080, waiting=2, inode=4711)]
    """
    for address, port, waiting, inode in _LISTENS.findall(text):
        # Words of 32 bits, each a number in the byte order of the machine.
        words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
        raw = b"".join(struct.pack("=I", word) for word in words)
        yield Listening(raw, int(port, 16), int(waiting, 16), int(inode))


def socket_link(inode: int) -> str:
    """The target of the link ``/proc/PID/fd/N`` of a socket."""
    return f"socket:[{inode}]"


def parents(stats: Iterator[str]) -> dict[int, int]:
    """Process id -> that of its parent, from the texts of ``/proc/PID/stat``.

    >>> parents(iter(["7 (a) b) S 1 7 7 0"]))
    {7: 1}
    """
    matches = map(_STAT.match, stats)
    return {int(match[1]): int(match[2]) for match in matches if match}
