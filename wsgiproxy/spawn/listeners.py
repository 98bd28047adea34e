"""Whose a listening socket is, as /proc says (Linux)."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from wsgiproxy.sansio.process import inetdiag
from wsgiproxy.sansio.process.procfs import Listening, listening, parents, socket_link

__all__ = ["Holder", "backlog", "family", "holder", "is_known", "listeners", "peer_pid"]


_NETLINK_SOCK_DIAG = 4


def is_known() -> bool:
    """Whether this system tells."""
    return os.path.exists("/proc/net/tcp")


def _by_netlink() -> list[Listening]:
    found: list[Listening] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        for each in (socket.AF_INET, socket.AF_INET6):
            kernel.send(inetdiag.request(each))
            last = False
            while not last:
                data = kernel.recv(65536)
                last = inetdiag.is_last(data)
                found += inetdiag.listening(data)
    return found


def _by_proc() -> list[Listening]:
    found: list[Listening] = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(name, encoding="utf-8") as file:
            found += listening(file.read())
    return found


def _listening() -> list[Listening]:
    try:
        return _by_netlink()
    except OSError:  # forbidden (RestrictAddressFamilies=), or not in this kernel
        return _by_proc()


def listeners(port: int) -> list[Listening]:
    """The sockets that listen on *port*, at whatever address."""
    return [found for found in _listening() if found.port == port]


def backlog(inode: int) -> int | None:
    """How many connections a listening socket has that nobody has accepted; None if unknown."""
    return next((found.waiting for found in _listening() if found.inode == inode), None)


def _stats() -> Iterator[str]:
    for name in glob.iglob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(name, encoding="utf-8", errors="replace") as file:
            yield file.read()


def family(root: int) -> set[int]:
    """A process and all its descendants."""
    known, found = parents(_stats()), {root}
    size = 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in known.items() if parent in found}
    return found


class Holder(NamedTuple):
    """A process that holds a socket, and under which number."""

    link: str
    target: str

    def holds(self) -> bool:
        """Whether it still does."""
        with contextlib.suppress(OSError):
            return os.readlink(self.link) == self.target
        return False


def holder(inode: int, root: int) -> Holder | None:
    """Who among *root* and its descendants holds a socket."""
    target = socket_link(inode)
    for pid in family(root):
        for link in glob.iglob(f"/proc/{pid}/fd/*"):
            found = Holder(link, target)
            if found.holds():
                return found
    return None


def peer_pid(sock: socket.socket) -> int | None:
    """The process that listens at the other end of a Unix socket; None if unknown."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
