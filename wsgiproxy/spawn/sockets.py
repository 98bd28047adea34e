"""The three ways in which a process gets its listening socket, and who really has it.

A process of somebody else that takes the address in between never gets a byte: a port that
was free a moment ago is anybody's.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from typing import Protocol

from wsgiproxy.errors import ConnectFailed
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.process.procfs import Listening
from wsgiproxy.spawn import listeners
from wsgiproxy.spawn.atfork import making

__all__ = ["Inherited", "Port", "Socket", "Taken", "Unix", "open_socket"]

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_FIRST_QUIET = 10000  # programs that are given a port by people are mostly below
_LONGEST_PATH = 103  # bytes: sun_path of macOS and the BSDs; Linux takes 107
# Addresses of listeners -> where they may be reached. That of all IPv6 may be IPv4's, too.
_REACHED_AT = {
    bytes(4): (_LOOPBACK,),
    socket.inet_aton(_LOOPBACK): (_LOOPBACK,),
    bytes(10) + b"\xff\xff" + socket.inet_aton(_LOOPBACK): (_LOOPBACK,),
    bytes(16): (_LOOPBACK, "::1"),
    bytes(15) + b"\x01": ("::1",),
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
    """A socket of one of :data:`wsgiproxy.sansio.process.command.KINDS`.

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


def _listening(port: int | None) -> socket.socket:
    with making() as made:
        sock = made(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_LOOPBACK, port or 0))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"port {port}: {error.strerror}") from error
    return sock


def _free_port(port: int | None) -> int:
    """A port without a listener; the process binds it by itself, a moment later.

    :param port: that one; None for one that the kernel gives to no client in that moment.
    """
    for number in [port] if port is not None else [*_quiet_ports(), None]:
        try:
            # SO_REUSEADDR binds beside others, and listening does not.
            with _listening(number) as sock:
                return int(sock.getsockname()[1])
        except OSError:
            if number == port:
                raise
    raise AssertionError("the last number is the one that was asked for")


def _quiet_ports() -> list[int]:
    """Some ports below those that the kernel chooses for clients; none where that is not known."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
            first = int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return []
    ports = range(_FIRST_QUIET, min(first, 65536))
    return random.SystemRandom().sample(ports, min(8, len(ports)))


class _Probe:
    """A connection that waits in a queue until somebody accepts it: then somebody is there."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._accepted = False

    @property
    def has_arrived(self) -> bool:
        """Whether it has found its address."""
        return self._accepted or self._sock is not None

    def is_waiting(self, address: tuple[str, int], inode: int) -> bool:
        """Whether nobody has accepted it yet.

        :param inode: of the socket that listens there; 0 if it is not known.
        :raises OSError: there is no connection.
        """
        if self._accepted:
            return False
        if self._sock is None:
            self._sock = socket.create_connection(address, 5)
            waiting: int | None = inode  # it may not be in the queue yet
        else:
            waiting = listeners.backlog(inode)
        if waiting:
            return True
        self._accepted = True
        self.close()
        return False

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class Inherited:
    """We listen, and hand the socket over: nobody can come in between."""

    def __init__(self, port: int | None = None) -> None:
        sock = _listening(port)
        number = int(sock.getsockname()[1])
        self.inherited: socket.socket | None = sock
        self.origin = Origin("http", _LOOPBACK, number)
        self.values = {"fd": "3", "port": str(number)}
        self._inode = os.fstat(sock.fileno()).st_ino
        self._probe = _Probe()

    def missing(self, warden: int) -> str:
        """Somebody has to accept."""
        if self._probe.is_waiting((_LOOPBACK, self.origin.port), self._inode):
            return "nobody accepts connections on the socket that was handed over"
        return ""

    def check(self, sock: socket.socket) -> None:
        """Nobody else can listen there as long as we hold the socket."""
        if self.inherited is None or self.inherited.fileno() < 0:
            raise ConnectFailed("our process, and its socket, are gone")

    def close(self) -> None:
        """Close our copy, and the probe."""
        self._probe.close()
        if self.inherited is not None:
            self.inherited.close()


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
        pid = listeners.peer_pid(sock)
        if pid is None or pid == self._pid:
            return
        if pid not in listeners.family(self._warden):
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
        self._warden = 0
        self._holders: dict[int, listeners.Holder] = {}
        self._probe = _Probe()

    def missing(self, warden: int) -> str:
        """Whoever listens there has to be ours, at every address, and to accept."""
        self._warden = warden
        port = self.origin.port
        if not listeners.is_known():
            return self._unanswered(_LOOPBACK, 0)
        found, _ = self._ours()
        if not found:
            return f"nothing listens on port {port}"
        reached: dict[str, int] = {}
        for listener in found:
            for host in _REACHED_AT.get(listener.address, ()):
                reached.setdefault(host, listener.inode)
        missing = f"it listens on port {port}, but not on {_LOOPBACK}"
        for host in [self.origin.host] if self._probe.has_arrived else sorted(reached):
            missing = self._unanswered(host, reached.get(host, 0))
            if self._probe.has_arrived:
                break
        return missing

    def _ours(self) -> tuple[list[Listening], bool]:
        """Who listens on the port, and whether one of them did the last time.

        :raises Taken: one of them is not ours.
        """
        before = self._holders
        holders = {}
        port = self.origin.port
        found = listeners.listeners(port)
        for listener in found:
            known = before.get(listener.inode)
            held = known is not None and known.holds()
            holder = known if held else listeners.holder(listener.inode, self._warden)
            if holder is not None:
                holders[listener.inode] = holder
            elif any(each.inode == listener.inode for each in listeners.listeners(port)):
                raise Taken(f"a process that is not ours listens on port {port}")
            # Else it has ended between the two looks.
        self._holders = holders  # at one go: other threads connect, too
        stayed = not before.keys().isdisjoint(holders)
        return [each for each in found if each.inode in holders], stayed

    def _unanswered(self, host: str, inode: int) -> str:
        port = self.origin.port
        try:
            waits = self._probe.is_waiting((host, port), inode)
        except OSError as error:
            return f"no connection to port {port}: {error}"
        self.origin = Origin("http", host, port)
        return f"nobody accepts connections on port {port}" if waits else ""

    def check(self, sock: socket.socket) -> None:
        """Who listened before and listens after the connection was made has accepted it."""
        if not listeners.is_known():
            return
        try:
            _, stayed = self._ours()
        except Taken as error:
            raise ConnectFailed(str(error)) from error
        if not stayed:
            # Nobody knows who has accepted this one; the next is safe, if they are ours.
            raise ConnectFailed(f"port {self.origin.port} has lost its listener")

    def close(self) -> None:
        """Close the probe."""
        self._probe.close()
