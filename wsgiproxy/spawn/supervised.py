"""The application's end of the connection to a supervisor."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn import supervisor
from wsgiproxy.spawn.atfork import making

__all__ = ["SupervisedProcess"]

_SUPERVISOR = os.path.join(os.path.dirname(supervisor.__file__), "__main__.py")


def _interpreter() -> str:
    """A Python to run the supervisor; in uWSGI or mod_wsgi sys.executable is another program."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [
        sys.executable,
        *(
            os.path.join(prefix, "bin", name)
            for prefix in (sys.prefix, sys.base_prefix)
            for name in (version, "python3", "python")
        ),
        shutil.which("python3"),
    ]
    for place in places:
        if place and os.path.basename(place).startswith("python") and os.access(place, os.X_OK):
            return place
    raise ConfigurationError(f"sys.executable={sys.executable!r}: expected a Python interpreter")


class SupervisedProcess:
    """A connection to a supervisor: its command runs as long as one of them is open.

    :param sock: this process's end.
    :param pid: that of the supervisor, if it is a child of this process.
    :ivar is_own: this process has started the supervisor, and not left it to other processes.
    """

    def __init__(self, sock: socket.socket, pid: int | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._pid = pid
        self.is_own = pid is not None
        self._partial = b""

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        folder: str,
        cwd: str | None,
        environment: Mapping[str, str],
        inherited: socket.socket | None = None,
        control: socket.socket | None = None,
    ) -> SupervisedProcess:
        """Run *command*.

        :param folder: the folder that the supervisor removes at the end.
        :param inherited: a listening socket for the command.
        :param control: a listening socket for further connections.
        :raises OSError: the supervisor cannot be started; whether the command could be started is
            its first message.
        """
        with making() as register:
            sock, other = map(register, socket.socketpair())
        with other:
            sockets = (other, control, inherited)
            numbers = [-1 if each is None else each.fileno() for each in sockets]
            words = [*map(str, numbers), folder, cwd or "", *command]
            try:
                pid = _spawn(
                    [_interpreter(), "-I", "-S", _SUPERVISOR, *words], environment, numbers
                )
            except BaseException:
                sock.close()
                raise
        return cls(sock, pid)

    @classmethod
    def join(cls, path: str) -> SupervisedProcess:
        """Connect to a supervisor that another process has started.

        :param path: of its control socket.
        :raises OSError: it has ended.
        """
        with making() as register:
            sock = register(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def fileno(self) -> int:
        """The descriptor, for select and poll."""
        return self._sock.fileno()

    def receive(self) -> list[tuple[str, str]] | None:
        """The messages that have arrived, kind and text; None when the supervisor has ended."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        texts = (line.decode("utf-8", "replace") for line in lines)
        return [(text[:1], text[2:]) for text in texts]

    def stop(self, grace: float) -> None:
        """End it by SIGTERM, and SIGKILL after *grace* seconds; returns at once."""
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._sock.send(b"S %g\n" % grace)

    def leave(self, grace: float) -> None:
        """Leave it to other processes; without any, it is ended as by :meth:`stop`."""
        pid, self._pid = self._pid, None
        self.is_own = False
        if pid is not None:
            # The supervisor may live long, and has to be reaped at its end.
            with contextlib.suppress(RuntimeError):  # no more threads
                threading.Thread(target=_reap, args=[pid], daemon=True).start()
        with contextlib.suppress(OSError):
            self._sock.send(b"Q %g\n" % grace)
            # This wakes the thread that polls this end, too.
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, and reap the supervisor, which has ended."""
        self._sock.close()
        pid, self._pid = self._pid, None
        if pid is not None:
            _reap(pid)

    def abandon(self) -> None:
        """Close the copy of the connection, in a forked process."""
        self._sock.close()
        self._pid = None


def _reap(pid: int) -> None:
    # The program may wait for all its children by itself.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _spawn(words: list[str], environment: Mapping[str, str], numbers: list[int]) -> int:
    """Start a process that inherits the descriptors *numbers*, with /dev/null as stdin and stdout.

    Not by subprocess, which waits for the end of a pipe: a process that another thread forks
    meanwhile would keep that open.
    """
    actions: list[tuple[object, ...]] = []
    for number in numbers:
        if number >= 0:
            # It is inherited by this; glibc before 2.29 ignores a dup2 to the same number.
            actions += [(os.POSIX_SPAWN_DUP2, number, 0), (os.POSIX_SPAWN_DUP2, 0, number)]
    actions += [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Ctrl-C in a terminal has to wait until the supervisor has made a session of its own.
    return os.posix_spawn(
        words[0],
        words,
        environment,
        file_actions=actions,
        setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )
