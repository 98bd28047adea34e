"""The processes that hold a listening socket, by netlink and /proc (Linux)."""

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
    """Whether this system lists listening sockets."""
    return os.path.exists("/proc/net/tcp")


def _by_netlink() -> list[Listening]:
    sockets: list[Listening] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        for each in (socket.AF_INET, socket.AF_INET6):
            kernel.send(inetdiag.request(each))
            last = False
            while not last:
                data = kernel.recv(65536)
                last = inetdiag.is_last(data)
                sockets += inetdiag.listening(data)
    return sockets


def _by_proc() -> list[Listening]:
    sockets: list[Listening] = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(name, encoding="utf-8") as file:
            sockets += listening(file.read())
    return sockets


def _listening() -> list[Listening]:
    try:
        return _by_netlink()
    except OSError:  # forbidden (RestrictAddressFamilies=), or not in this kernel
        return _by_proc()


def listeners(port: int) -> list[Listening]:
    """The sockets that listen on *port*, at any address."""
    return [each for each in _listening() if each.port == port]


def backlog(inode: int) -> int | None:
    """How many connections wait in the queue of a listening socket; None if it is not listed."""
    return next((each.waiting for each in _listening() if each.inode == inode), None)


def _stats() -> Iterator[str]:
    for name in glob.iglob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(name, encoding="utf-8", errors="replace") as file:
            yield file.read()


def family(root: int) -> set[int]:
    """A process and all its descendants."""
    known, pids = parents(_stats()), {root}
    size = 0
    while len(pids) > size:
        size = len(pids)
        pids |= {pid for pid, parent in known.items() if parent in pids}
    return pids


class Holder(NamedTuple):
    """A descriptor of a process for a socket.

    :param link: path of its link in /proc.
    :param target: of that link.
    """

    link: str
    target: str

    def holds(self) -> bool:
        """Whether the descriptor still refers to the socket."""
        with contextlib.suppress(OSError):
            return os.readlink(self.link) == self.target
        return False


def holder(inode: int, root: int) -> Holder | None:
    """The first descriptor of a socket in *root* and its descendants; None if there is none."""
    target = socket_link(inode)
    for pid in family(root):
        for link in glob.iglob(f"/proc/{pid}/fd/*"):
            descriptor = Holder(link, target)
            if descriptor.holds():
                return descriptor
    return None


def peer_pid(sock: socket.socket) -> int | None:
    """The pid of the process that listens at the other end of a Unix socket; None if unknown."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
