"""One run of the command, as seen from here: its warden, and the line to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn import supervisor
from wsgiproxy.spawn.atfork import making

__all__ = ["SupervisedProcess", "SupervisorMessage"]

_WARDEN = os.path.join(os.path.dirname(supervisor.__file__), "__main__.py")


class SupervisorMessage(NamedTuple):
    """One line of the warden.

    :param kind: a letter of :mod:`wsgiproxy.spawn.supervisor.loop`.
    :param text: the rest.
    """

    kind: str
    text: str


def _interpreter() -> str:
    """A Python to run the warden with; in uWSGI or mod_wsgi sys.executable is none."""
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
    """The other end of a lifeline. As long as a process holds one, the command may live.

    :param line: our end.
    :param warden: its pid, if it is a child of this process.
    :ivar is_ours: whether this process has started it, and not left it to others.
    """

    def __init__(self, line: socket.socket, warden: int | None = None) -> None:
        line.setblocking(False)
        self._line = line
        self._warden = warden
        self.is_ours = warden is not None
        self._heard = b""

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        folder: str,
        cwd: str | None,
        environment: Mapping[str, str],
        inherited: socket.socket | None = None,
        door: socket.socket | None = None,
    ) -> SupervisedProcess:
        """Run *command*.

        :param folder: what the warden removes at the end.
        :param inherited: a listening socket to hand over.
        :param door: a listening socket for further lifelines.
        :raises OSError: the warden cannot be started; what becomes of the command comes as
            the first line.
        """
        with making() as made:
            ours, theirs = map(made, socket.socketpair())
        with theirs:
            numbers = [-1 if each is None else each.fileno() for each in (theirs, door, inherited)]
            words = [*map(str, numbers), folder, cwd or "", *command]
            try:
                warden = _spawn([_interpreter(), "-I", "-S", _WARDEN, *words], environment, numbers)
            except BaseException:
                ours.close()
                raise
        return cls(ours, warden)

    @classmethod
    def join(cls, door: str) -> SupervisedProcess:
        """One more lifeline to what another process has started.

        :param door: path of the socket that the warden listens on.
        :raises OSError: nobody is there.
        """
        with making() as made:
            line = made(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            line.connect(door)
        except BaseException:
            line.close()
            raise
        return cls(line)

    def fileno(self) -> int:
        """For select and poll."""
        return self._line.fileno()

    def hear(self) -> list[SupervisorMessage] | None:
        """The lines that have come; None when nothing is left of the command."""
        try:
            data = self._line.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._heard = (self._heard + data).split(b"\n")
        texts = (line.decode("utf-8", "replace") for line in lines)
        return [SupervisorMessage(text[:1], text[2:]) for text in texts]

    def stop(self, grace: float) -> None:
        """Have it end: SIGTERM, and SIGKILL after *grace* seconds; returns at once."""
        # It has ended by itself, perhaps.
        with contextlib.suppress(OSError):
            self._line.send(b"S %g\n" % grace)

    def leave(self, grace: float) -> None:
        """Let go of it; whoever is the last to do so ends it, with so many seconds."""
        warden, self._warden = self._warden, None
        self.is_ours = False
        if warden is not None:
            # It lives as long as others want it to, and has to be waited for then.
            with contextlib.suppress(RuntimeError):  # no more threads
                threading.Thread(target=_wait_for, args=[warden], daemon=True).start()
        with contextlib.suppress(OSError):
            self._line.send(b"Q %g\n" % grace)
            # Our own end of the line hears that, too.
            self._line.shutdown(socket.SHUT_RDWR)

    def bury(self) -> None:
        """After its end: leave nothing behind."""
        self._line.close()
        warden, self._warden = self._warden, None
        if warden is not None:
            _wait_for(warden)

    def abandon(self) -> None:
        """In a forked process: it is the parent's, and none of ours."""
        self._line.close()
        self._warden = None


def _wait_for(warden: int) -> None:
    # Somebody else may wait for all children of this process.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(warden, 0)


def _spawn(words: list[str], environment: Mapping[str, str], numbers: list[int]) -> int:
    """Start a process that gets the descriptors *numbers*, and no input or output.

    Not by subprocess: it waits until its child has closed a pipe, which a process that another
    thread forks meanwhile holds open as long as it lives.
    """
    nothing = os.devnull
    actions: list[tuple[object, ...]] = []
    for number in numbers:
        if number >= 0:
            # So that exec does not close it; glibc before 2.29 needs the way by another number.
            actions += [(os.POSIX_SPAWN_DUP2, number, 0), (os.POSIX_SPAWN_DUP2, 0, number)]
    actions += [
        (os.POSIX_SPAWN_OPEN, 0, nothing, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, nothing, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # It has a session of its own only when it runs: a terminal's Ctrl-C has to wait until then.
    return os.posix_spawn(
        words[0],
        words,
        environment,
        file_actions=actions,
        setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )
