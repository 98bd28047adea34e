"""The folder by which several processes share one child.

A process that starts the child holds the lock of the file ``lock`` until the child is ready or has
failed. Each process with a request in flight holds a shared lock of ``use``, and a process that
stops the child the exclusive one; the kernel releases both when a process dies. ``current`` tells
how to join the child, ``failure`` when a start may be tried again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
import weakref
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn.atfork import making
from wsgiproxy.spawn.instance import ALIVE, CONTROL

__all__ = ["SharedFolder", "shared_folder"]

_FOLDER = re.compile("[0-9a-f]{16}")  # names that shared_folder() makes
_FACTS = {"folder", "unix", "port", "secret_file"}  # of Instance.facts()
_LOOK = 0.01  # seconds
_LONGEST = 80  # bytes of the path of a folder with Unix sockets


def shared_folder(share: str, identity: object) -> str:
    """The folder that the processes of one application share; it is made if need be.

    :param share: the folder in which to make it; empty for one that depends on the parent process
        and the arguments of this one, which are the same for the workers of one server.
    :param identity: the plan of the child; each has a folder of its own.
    :raises ConfigurationError: it belongs to another user, or other users may enter it.
    """
    known: tuple[object, ...] = (identity,)
    if not share:
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        share = os.path.join(base, f"wsgiproxy-{os.geteuid()}")
        # All workers of a server have its arguments, forked before or after the application was
        # made.
        known = os.getppid(), os.getcwd(), sys.argv, identity
    digest = hashlib.sha256(repr(known).encode()).hexdigest()
    return _private(os.path.join(_private(share), digest[:16]))


def _private(path: str) -> str:
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        status = os.lstat(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"share={path!r}: expected a folder that can be made: {error}"
        ) from error
    path = os.path.abspath(path)
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigurationError(
            f"share={path!r}: expected a path of at most {_LONGEST} bytes, or sockets in it have"
            " too long a name"
        )
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"share={path!r}: expected a folder of ours that nobody else may enter (chmod 700)"
        )
    return path


class SharedFolder:
    """The shared folder, as one process uses it.

    :param folder: of :func:`shared_folder`.
    :ivar pid: of the process; a forked one needs an object of its own, since flock(2) locks belong
        to open files, and these are its parent's.
    :raises OSError: the folder or its files cannot be opened.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.pid = os.getpid()
        self._numbers: list[int] = []
        self._open()
        weakref.finalize(self, _close, self._numbers).atexit = False
        with contextlib.suppress(OSError):
            self._tidy()

    def _open(self) -> None:
        for folder in (os.path.dirname(self.folder), self.folder):
            _private(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        numbers: list[int] = []
        try:
            with making() as register:
                register(self)
                # A locked folder is left alone by systemd-tmpfiles(8) and _tidy().
                numbers.append(_open_folder(self.folder))
                numbers += (os.open(self._path(name), flags, 0o600) for name in ("lock", "use"))
                self.close()
                self._numbers += numbers  # no fork can come in between
        except OSError:
            _close(numbers)
            raise
        _, self._lock, self._use = numbers
        self._alive = ""

    def close(self) -> None:
        """Close its files, which releases the locks."""
        _close(self._numbers)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _tidy(self) -> None:
        """Remove the folders of servers that have ended."""
        above, own = os.path.split(self.folder)
        for name in os.listdir(above):
            if name == own or not _FOLDER.fullmatch(name):
                continue
            path = os.path.join(above, name)
            with contextlib.suppress(OSError):
                number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    if _locked(number, fcntl.LOCK_EX):
                        shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(number)

    # Starting

    def lock(self) -> bool:
        """Take the lock for starting the child; False if another process has it."""
        if not _locked(self._lock, fcntl.LOCK_EX):
            return False
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path("lock")), os.fstat(self._lock)):
                return True
        self._open()  # the file was removed, with old temporary files
        return False

    def unlock(self) -> None:
        """Release the lock for starting the child."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def new_folder(self) -> tuple[str, socket.socket]:
        """A folder for a new instance, and its control socket; the caller holds the lock."""
        for name in os.listdir(self.folder):
            if name.startswith("run-"):  # of a supervisor that was killed
                shutil.rmtree(self._path(name), ignore_errors=True)
        folder = tempfile.mkdtemp(prefix="run-", dir=self.folder)
        with making() as register:
            control = register(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            control.bind(os.path.join(folder, CONTROL))
            control.listen(128)
        except BaseException:
            control.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, control

    def publish(self, facts: dict[str, Any]) -> None:
        """Write ``current``, by which other processes join the child; the caller holds the lock."""
        folder = facts["folder"]
        self._write("failure", {})
        os.close(os.open(os.path.join(folder, ALIVE), os.O_CREAT | os.O_WRONLY, 0o600))
        self._write("current", facts)
        self.join(folder)

    def current(self) -> dict[str, Any]:
        """The content of ``current``; empty if there is none."""
        facts = self._read("current")
        return facts if facts.keys() >= _FACTS else {}  # it may be of another version

    def join(self, folder: str) -> None:
        """Use the child in *folder*."""
        self._alive = os.path.join(folder, ALIVE)
        self.touch()

    def record_failure(self, failures: int, until: float) -> None:
        """Write ``failure``: no process is to start the child before *until* (monotonic clock)."""
        self._write("failure", {"failures": failures, "until": until})

    def failure(self) -> tuple[int, float]:
        """The content of ``failure``: failures in a row, and when a start may be tried again."""
        facts = self._read("failure")
        return int(facts.get("failures", 0)), float(facts.get("until", 0.0))

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        path = self._path(f"{name}.{os.getpid()}")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.replace(path, self._path(name))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            with open(self._path(name), encoding="utf-8") as file:
                facts: dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            return {}
        return facts

    # Using and stopping

    def claim(self) -> bool:
        """Take the shared lock of ``use``; False if the child is being stopped, or has been."""
        if not _locked(self._use, fcntl.LOCK_SH):
            return False
        if os.path.exists(self._alive):
            return True
        self.release()
        return False

    def is_abandoned(self) -> bool:
        """Whether a process that was stopping the child has died."""
        if os.path.exists(self._alive) or not _locked(self._use, fcntl.LOCK_SH):
            return False
        self.release()
        return True

    def release(self) -> None:
        """Release the lock of ``use``."""
        fcntl.flock(self._use, fcntl.LOCK_UN)

    def touch(self) -> None:
        """Set the time of the last use to now, by the monotonic clock, as the time of ``use``."""
        now = time.monotonic_ns()
        os.utime(self._use, ns=(now, now))

    def last_used(self) -> float:
        """The time of the last use by any process, in seconds of the monotonic clock."""
        return os.fstat(self._use).st_mtime_ns / 1e9

    def begin_stop(self) -> bool:
        """Take the exclusive lock of ``use``; False if another process uses the child."""
        if not _locked(self._use, fcntl.LOCK_EX):
            return False
        with contextlib.suppress(OSError):
            os.unlink(self._alive)
        return True


def _close(numbers: list[int]) -> None:
    while numbers:
        os.close(numbers.pop())


def _open_folder(path: str) -> int:
    """A descriptor of a folder, with a shared lock that keeps other processes from removing it."""
    while True:
        _private(path)
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        # A process that is just removing it holds the exclusive lock.
        if _locked(number, fcntl.LOCK_SH):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(number)):
                    return number
        os.close(number)
        time.sleep(_LOOK)


def _locked(number: int, kind: int) -> bool:
    # Without waiting: flock(2) has no time limit, and a waiting thread could not be interrupted.
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
