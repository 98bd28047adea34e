"""One child for several processes: what they agree on, in a folder that is theirs alone.

``lock`` is held by whoever starts the child, until it serves or has failed. ``use`` is held,
shared, by every process that has a request in flight, and alone by the one that stops the child:
the kernel lets go of both when a process dies. ``current`` says where the child is, and
``failure`` when it may be tried again.
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
from wsgiproxy.spawn.instance import ALIVE, DOOR

__all__ = ["SharedFolder", "shared_folder"]

_FOLDER = re.compile("[0-9a-f]{16}")  # as shared_folder() calls them
_FACTS = {"folder", "unix", "port", "secret_file"}  # of Run.facts()
_LOOK = 0.01  # seconds
_LONGEST = 80  # bytes of a folder in which there are Unix sockets


def shared_folder(share: str, identity: object) -> str:
    """The folder that the processes of one application share; it is made if need be.

    :param share: where to make it; empty for a place that follows from the parent process and
        the arguments of this one, so that the workers of one server meet, and no others.
    :param identity: what runs: who wants something else has another folder.
    :raises ConfigurationError: it belongs to somebody else, or others may enter it.
    """
    known: tuple[object, ...] = (identity,)
    if not share:
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        share = os.path.join(base, f"wsgiproxy-{os.geteuid()}")
        # The workers of a server have its arguments, whether it has forked them before or after
        # the application was made.
        known = os.getppid(), os.getcwd(), sys.argv, identity
    digest = hashlib.sha256(repr(known).encode()).hexdigest()
    return _private(os.path.join(_private(share), digest[:16]))


def _private(path: str) -> str:
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        found = os.lstat(path)
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
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigurationError(
            f"share={path!r}: expected a folder of ours that nobody else may enter (chmod 700)"
        )
    return path


class SharedFolder:
    """The agreement, as one process takes part in it.

    :param folder: of :func:`shared_folder`.
    :ivar pid: of the process; a forked one needs an object of its own, since locks belong to
        open files, and those are its parent's.
    :raises OSError: there is no folder, or no descriptor, to be had.
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
            with making() as made:
                made(self)
                # For systemd-tmpfiles(8), and for _tidy(): it is in use, however old it looks.
                numbers.append(_open_folder(self.folder))
                numbers += (os.open(self._path(name), flags, 0o600) for name in ("lock", "use"))
                self.close()
                self._numbers += numbers  # while no fork can come in between
        except OSError:
            _close(numbers)
            raise
        _, self._lock, self._use = numbers
        self._run = ""

    def close(self) -> None:
        """Take part in it no more."""
        _close(self._numbers)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _tidy(self) -> None:
        """Remove the folders of servers that are gone."""
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
        """Whether it is now ours to start the child."""
        if not _locked(self._lock, fcntl.LOCK_EX):
            return False
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path("lock")), os.fstat(self._lock)):
                return True
        self._open()  # somebody has tidied up the temporary files
        return False

    def unlock(self) -> None:
        """Let others look."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def new_folder(self) -> tuple[str, socket.socket]:
        """A folder for a new run, and the socket at its door; the lock is held."""
        for name in os.listdir(self.folder):
            if name.startswith("run-"):  # of a warden that was killed
                shutil.rmtree(self._path(name), ignore_errors=True)
        folder = tempfile.mkdtemp(prefix="run-", dir=self.folder)
        with making() as made:
            door = made(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            door.bind(os.path.join(folder, DOOR))
            door.listen(128)
        except BaseException:
            door.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, door

    def publish(self, facts: dict[str, Any]) -> None:
        """Say where the child is; the lock is held."""
        folder = facts["folder"]
        self._write("failure", {})
        os.close(os.open(os.path.join(folder, ALIVE), os.O_CREAT | os.O_WRONLY, 0o600))
        self._write("current", facts)
        self.joined(folder)

    def current(self) -> dict[str, Any]:
        """Where the child is, if there is one."""
        found = self._read("current")
        return found if found.keys() >= _FACTS else {}  # it may be of another version

    def joined(self, folder: str) -> None:
        """It is the child of that folder that we use."""
        self._run = os.path.join(folder, ALIVE)
        self.touch()

    def record_failure(self, failures: int, until: float) -> None:
        """Say that it is not to be tried before *until* (of the monotonic clock)."""
        self._write("failure", {"failures": failures, "until": until})

    def failure(self) -> tuple[int, float]:
        """How often it has failed in a row, and until when it is not to be tried."""
        found = self._read("failure")
        return int(found.get("failures", 0)), float(found.get("until", 0.0))

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        path = self._path(f"{name}.{os.getpid()}")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.replace(path, self._path(name))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            with open(self._path(name), encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            return {}
        return found

    # Using and stopping

    def claim(self) -> bool:
        """Begin to use the child, unless it is being stopped, or has been."""
        if not _locked(self._use, fcntl.LOCK_SH):
            return False
        if os.path.exists(self._run):
            return True
        self.release()
        return False

    def is_abandoned(self) -> bool:
        """Whether who began to stop the child has died over it."""
        if os.path.exists(self._run) or not _locked(self._use, fcntl.LOCK_SH):
            return False
        self.release()
        return True

    def release(self) -> None:
        """Use it no more."""
        fcntl.flock(self._use, fcntl.LOCK_UN)

    def touch(self) -> None:
        """Note that it has been used just now; by a clock that all processes share."""
        now = time.monotonic_ns()
        os.utime(self._use, ns=(now, now))

    def last_used(self) -> float:
        """When anybody used it last, in seconds of the monotonic clock."""
        return os.fstat(self._use).st_mtime_ns / 1e9

    def begin_stop(self) -> bool:
        """Keep everybody from using it; False if somebody does."""
        if not _locked(self._use, fcntl.LOCK_EX):
            return False
        with contextlib.suppress(OSError):
            os.unlink(self._run)
        return True


def _close(numbers: list[int]) -> None:
    while numbers:
        os.close(numbers.pop())


def _open_folder(path: str) -> int:
    """A descriptor that holds a folder's lock, with others; of a folder that stays."""
    while True:
        _private(path)
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        # Who is just removing it holds the lock alone.
        if _locked(number, fcntl.LOCK_SH):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(number)):
                    return number
        os.close(number)
        time.sleep(_LOOK)


def _locked(number: int, kind: int) -> bool:
    # Never waiting: no lock has a time limit, and whoever waits for one cannot be told anything.
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
