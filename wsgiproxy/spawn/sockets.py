"""The three ways in which a process gets its listening socket, and who really has it.

A process of somebody else that takes the address in between never gets a byte: a port that
was free a moment ago is anybody's.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Protocol

from wsgiproxy.errors import ConnectFailed
from wsgiproxy.sansio.message import Origin
from wsgiproxy.spawn import owner

__all__ = ["Inherited", "Port", "Socket", "Taken", "Unix", "open_socket"]

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_LONGEST_PATH = 103  # bytes: sun_path of macOS and the BSDs; Linux takes 107
# Addresses of listeners -> where to reach them: the wildcards, and the loopback ones.
_REACHED_AT = {
    bytes(4): _LOOPBACK,
    socket.inet_aton(_LOOPBACK): _LOOPBACK,
    bytes(16): _LOOPBACK,
    bytes(10) + b"\xff\xff" + socket.inet_aton(_LOOPBACK): _LOOPBACK,
    bytes(15) + b"\x01": "::1",
}


class Taken(Exception):
    """The address belongs to somebody else."""


class Socket(Protocol):
    """Where the process listens.

    :ivar origin: where to connect to.
    :ivar values: what the placeholders stand for.
    :ivar inherited: a socket to hand over, if any.
    """

    origin: Origin
    values: dict[str, str]
    inherited: socket.socket | None

    def missing(self, warden: int) -> str:
        """What is still missing before it can be used; empty if nothing is.

        :param warden: pid of the ancestor of all that may listen there.
        :raises Taken: somebody else listens there.
        """

    def check(self, sock: socket.socket) -> None:
        """Look at a new connection, before the first byte.

        :raises ConnectFailed: it is not to our process.
        """

    def close(self) -> None:
        """Give up our part of it."""


def open_socket(kind: str, folder: str, port: int | None) -> Socket:
    """A socket of one of :data:`wsgiproxy.sansio.command.KINDS`.

    :param folder: a private folder, for a Unix socket.
    :param port: the port to take; None for any free one.
    :raises OSError: it cannot be had.
    """
    if kind == "unix":
        path = os.path.join(folder, "socket")
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, "too long for a Unix socket", path)
        return Unix(path)
    if kind == "inherit":
        return Inherited(port)
    return Port(_free_port(port))


def _bound(port: int | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_LOOPBACK, port or 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _free_port(port: int | None) -> int:
    with _bound(port) as sock:
        if port:
            sock.listen(1)  # SO_REUSEADDR binds beside others, and listening does not
        return int(sock.getsockname()[1])


class Inherited:
    """We listen, and hand the socket over: nobody can come in between."""

    def __init__(self, port: int | None = None) -> None:
        sock = _bound(port)
        try:
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        number = int(sock.getsockname()[1])
        self.inherited: socket.socket | None = sock
        self.origin = Origin("http", _LOOPBACK, number)
        self.values = {"fd": "3", "port": str(number)}
        self._inode = os.fstat(sock.fileno()).st_ino
        self._probe: socket.socket | None = None

    def missing(self, warden: int) -> str:
        """A connection waits in the queue until somebody accepts: then somebody is there."""
        if self._probe is None:
            self._probe = socket.create_connection((_LOOPBACK, self.origin.port), 5)
            waiting: int | None = 1  # it may not be in the queue yet
        else:
            waiting = owner.backlog(self._inode)
        if waiting:
            return "nobody accepts connections on the socket that was handed over"
        self._probe.close()
        return ""

    def check(self, sock: socket.socket) -> None:
        """Nobody else can listen there as long as we hold the socket."""
        if self.inherited is None or self.inherited.fileno() < 0:
            raise ConnectFailed("our process, and its socket, are gone")

    def close(self) -> None:
        """Close our copy, and the probe."""
        for sock in (self._probe, self.inherited):
            if sock is not None:
                sock.close()


class Unix:
    """A Unix socket in a folder that nobody else may enter."""

    def __init__(self, path: str) -> None:
        self.inherited: socket.socket | None = None
        self.origin = Origin("http", "localhost", 80, path)
        self.values = {"socket": path}
        self._warden = self._pid = 0

    def missing(self, warden: int) -> str:
        """Somebody of ours has to listen."""
        self._warden = warden
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(self.origin.unix)
            except OSError:
                return "nothing listens on its socket"
            try:
                self.check(probe)
            except ConnectFailed as error:
                raise Taken(str(error)) from error
        return ""

    def check(self, sock: socket.socket) -> None:
        """The kernel says who listens."""
        pid = owner.peer_pid(sock)
        if pid is None or pid == self._pid:
            return
        if pid not in owner.family(self._warden):
            raise ConnectFailed(f"process {pid}, which is not ours, listens on {self.origin.unix}")
        self._pid = pid

    def close(self) -> None:
        """The folder goes as a whole."""


class Port:
    """A port that was free a moment ago, for programs that can do nothing else."""

    def __init__(self, port: int) -> None:
        self.inherited: socket.socket | None = None
        self.origin = Origin("http", _LOOPBACK, port)
        self.values = {"port": str(port)}
        self._warden = self._inode = 0
        self._holder: owner.Holder | None = None

    def missing(self, warden: int) -> str:
        """Whoever listens there has to be ours, at every address."""
        self._warden = warden
        port = self.origin.port
        if not owner.is_known():
            return self._unanswered(_LOOPBACK)
        found = owner.listeners(port)
        if not found:
            return f"nothing listens on port {port}"
        reached = {}
        for listener in found:
            holder = owner.holder(listener.inode, warden)
            if holder is None:
                raise Taken(f"a process that is not ours listens on port {port}")
            reached[_REACHED_AT.get(listener.address, "")] = listener.inode, holder
        host = min(filter(None, reached), default="")
        if not host:
            return f"it listens on port {port}, but not on {_LOOPBACK}"
        self.origin = Origin("http", host, port)
        self._inode, self._holder = reached[host]
        return self._unanswered(host)

    def _unanswered(self, host: str) -> str:
        try:
            with socket.create_connection((host, self.origin.port), 5) as probe:
                self.check(probe)
        except (OSError, ConnectFailed) as error:
            return f"no connection to port {self.origin.port}: {error}"
        return ""

    def check(self, sock: socket.socket) -> None:
        """The socket that listened before still does: it has accepted the connection."""
        if self._holder is None or self._holder.holds():
            return
        self._holder = owner.holder(self._inode, self._warden) or self._holder
        if not self._holder.holds():
            raise ConnectFailed(f"our process has given up port {self.origin.port}")

    def close(self) -> None:
        """There is nothing to close."""
