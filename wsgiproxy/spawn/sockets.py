"""The three ways in which a child gets its listening socket, and the check of who listens on it.

No byte is sent to a foreign process that listens at the address instead of the child: any process
can take a port that was free a moment ago.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from typing import TypeAlias

from wsgiproxy.errors import ConnectFailed
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.process.procfs import Listening
from wsgiproxy.spawn import listeners
from wsgiproxy.spawn.atfork import making

__all__ = ["Inherited", "Port", "Socket", "Taken", "Unix", "open_socket"]

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_FIRST_QUIET = 10000  # ports that people choose for their programs are mostly below
_LONGEST_PATH = 103  # bytes: sun_path of macOS and the BSDs; Linux takes 107
# Addresses of listeners -> where they may be reached; :: may include IPv4.
_REACHED_AT = {
    bytes(4): (_LOOPBACK,),
    socket.inet_aton(_LOOPBACK): (_LOOPBACK,),
    bytes(10) + b"\xff\xff" + socket.inet_aton(_LOOPBACK): (_LOOPBACK,),
    bytes(16): (_LOOPBACK, "::1"),
    bytes(15) + b"\x01": ("::1",),
}


class Taken(Exception):
    """A foreign process listens at the address of the child."""


Socket: TypeAlias = "Inherited | Unix | Port"


def open_socket(kind: str, folder: str, port: int | None) -> Socket:
    """A socket of one of :data:`wsgiproxy.sansio.process.command.KINDS`.

    :param folder: a private folder, for a Unix socket.
    :param port: its port; None for any free one.
    :raises OSError: there is no such socket.
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
    with making() as register:
        sock = register(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_LOOPBACK, port or 0))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"port {port}: {error.strerror}") from error
    return sock


def _free_port(port: int | None) -> int:
    """A port without a listener, for a child that listens on it a moment later.

    :param port: that one; None for one that the kernel does not give to clients.
    """
    for number in [port] if port is not None else [*_quiet_ports(), None]:
        try:
            # With SO_REUSEADDR, bind(2) succeeds beside a listener, and listen(2) fails.
            with _listening(number) as sock:
                return int(sock.getsockname()[1])
        except OSError:
            if number == port:
                raise
    raise AssertionError("the last number is port")


def _quiet_ports() -> list[int]:
    """Some ports below the range that the kernel gives to clients; none where that is unknown."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
            first = int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return []
    ports = range(_FIRST_QUIET, min(first, 65536))
    return random.SystemRandom().sample(ports, min(8, len(ports)))


class _Probe:
    """A connection for finding out whether the listener accepts connections."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._accepted = False

    @property
    def is_made(self) -> bool:
        """Whether the connection has been made."""
        return self._accepted or self._sock is not None

    def is_waiting(self, address: tuple[str, int], inode: int) -> bool:
        """Whether the connection, which is made if need be, is not accepted yet.

        :param inode: of the listening socket; 0 if it is not known.
        :raises OSError: it cannot be made.
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
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class Inherited:
    """A socket that listens on a port of 127.0.0.1 and that the child inherits.

    :param port: its port; None for any free one.
    :ivar origin: where to connect to.
    :ivar values: the values for placeholders.
    :ivar inherited: the socket that the child inherits.
    """

    def __init__(self, port: int | None = None) -> None:
        sock = _listening(port)
        number = int(sock.getsockname()[1])
        self.inherited: socket.socket | None = sock
        self.origin = Origin("http", _LOOPBACK, number)
        self.values = {"fd": "3", "port": str(number)}
        self._inode = os.fstat(sock.fileno()).st_ino
        self._probe = _Probe()

    def missing(self, supervisor: int) -> str:
        """Why the socket cannot be used yet; empty if the child accepts connections."""
        if self._probe.is_waiting((_LOOPBACK, self.origin.port), self._inode):
            return "nobody accepts connections on the socket that was handed over"
        return ""

    def check(self, sock: socket.socket) -> None:
        """Check a new connection; no other process can listen there while the socket is open.

        :raises ConnectFailed: the socket is closed.
        """
        if self.inherited is None or self.inherited.fileno() < 0:
            raise ConnectFailed("our process, and its socket, are gone")

    def close(self) -> None:
        """Close the socket of this process, and the probe."""
        self._probe.close()
        if self.inherited is not None:
            self.inherited.close()


class Unix:
    """A Unix socket in a folder of mode 0700; the attributes are those of :class:`Inherited`.

    :param path: of the socket.
    """

    def __init__(self, path: str) -> None:
        self.inherited: socket.socket | None = None
        self.origin = Origin("http", "localhost", 80, path)
        self.values = {"socket": path}
        self._supervisor = self._pid = 0

    def missing(self, supervisor: int) -> str:
        """Why the socket cannot be used yet; empty if a descendant of the supervisor listens.

        :param supervisor: its pid.
        :raises Taken: a foreign process listens there.
        """
        self._supervisor = supervisor
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
        """Check which process listens at the other end of a new connection.

        :raises ConnectFailed: it is a foreign process.
        """
        pid = listeners.peer_pid(sock)
        if pid is None or pid == self._pid:
            return
        if pid not in listeners.family(self._supervisor):
            raise ConnectFailed(f"process {pid}, which is not ours, listens on {self.origin.unix}")
        self._pid = pid

    def close(self) -> None:
        """Close nothing; the socket is removed with its folder."""


class Port:
    """A port of which only the number is passed; the attributes are those of :class:`Inherited`.

    :param port: one that was free a moment ago.
    """

    def __init__(self, port: int) -> None:
        self.inherited: socket.socket | None = None
        self.origin = Origin("http", _LOOPBACK, port)
        self.values = {"port": str(port)}
        self._supervisor = 0
        self._holders: dict[int, listeners.Holder] = {}
        self._probe = _Probe()

    def missing(self, supervisor: int) -> str:
        """Why the port cannot be used yet; empty if the child accepts connections.

        :param supervisor: pid of the ancestor of each process that may listen there.
        :raises Taken: a foreign process listens there, at any address.
        """
        self._supervisor = supervisor
        port = self.origin.port
        if not listeners.is_known():
            return self._unanswered(_LOOPBACK, 0)
        own, _ = self._own_listeners()
        if not own:
            return f"nothing listens on port {port}"
        reached: dict[str, int] = {}
        for listener in own:
            for host in _REACHED_AT.get(listener.address, ()):
                reached.setdefault(host, listener.inode)
        missing = f"it listens on port {port}, but not on {_LOOPBACK}"
        for host in [self.origin.host] if self._probe.is_made else sorted(reached):
            missing = self._unanswered(host, reached.get(host, 0))
            if self._probe.is_made:
                break
        return missing

    def _own_listeners(self) -> tuple[list[Listening], bool]:
        """The sockets that listen on the port, and whether one of them did at the last call.

        :raises Taken: one of them belongs to a foreign process.
        """
        before = self._holders
        holders = {}
        port = self.origin.port
        sockets = listeners.listeners(port)
        for listener in sockets:
            known = before.get(listener.inode)
            held = known is not None and known.holds()
            holder = known if held else listeners.holder(listener.inode, self._supervisor)
            if holder is not None:
                holders[listener.inode] = holder
            elif any(each.inode == listener.inode for each in listeners.listeners(port)):
                raise Taken(f"a process that is not ours listens on port {port}")
            # Else the socket was closed between the two calls.
        self._holders = holders  # in one step: other threads connect, too
        stayed = not before.keys().isdisjoint(holders)
        return [each for each in sockets if each.inode in holders], stayed

    def _unanswered(self, host: str, inode: int) -> str:
        port = self.origin.port
        try:
            waits = self._probe.is_waiting((host, port), inode)
        except OSError as error:
            return f"no connection to port {port}: {error}"
        self.origin = Origin("http", host, port)
        return f"nobody accepts connections on port {port}" if waits else ""

    def check(self, sock: socket.socket) -> None:
        """Check that a socket of the child has listened before and after a connection was made.

        :raises ConnectFailed: there is none, or a foreign process listens.
        """
        if not listeners.is_known():
            return
        try:
            _, stayed = self._own_listeners()
        except Taken as error:
            raise ConnectFailed(str(error)) from error
        if not stayed:
            # Any process may have accepted this one; the next connection is safe.
            raise ConnectFailed(f"port {self.origin.port} has lost its listener")

    def close(self) -> None:
        """Close the probe."""
        self._probe.close()
