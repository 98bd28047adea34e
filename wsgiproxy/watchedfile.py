"""A file that is read again whenever it changes.

It knows nothing of what is in it: a parser makes a value of the bytes, or refuses them.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from wsgiproxy.errors import ConfigurationError

__all__ = ["WatchedFile"]

_log = logging.getLogger("wsgiproxy.error")
_T = TypeVar("_T")

# Seconds between two attempts to read a file that cannot be used as it is: the obstacle (too many
# open files, a mode) may go away without a change of the file.
_RETRY = 1.0

# The state of a file: every write and every chmod changes the ctime, which no program can set,
# and a renamed file has another inode.
_State = tuple[int, int, int]


def _state_of(status: os.stat_result) -> _State:
    return status.st_ctime_ns, status.st_size, status.st_ino


def _open_nonblocking(path: str, flags: int) -> int:
    """An opener that does not wait for a writer at the other end of a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)


class WatchedFile(Generic[_T]):
    """The value that a parser makes of a file, as the file is now.

    :param path: the file.
    :param setting: the name of the setting that holds the path, for messages.
    :param limit: bytes of the largest file.
    :param parse: makes the value of the content and the mode of the file, with a description of
        the value for the log; raises ConfigurationError.
    :param kept: the noun for the value in the log.
    :param hint: the end of the message about a file that does not exist.
    :raises ConfigurationError: the file cannot be read, or the parser refuses it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        setting: str,
        limit: int,
        parse: Callable[[bytes, int], tuple[_T, str]],
        *,
        kept: str,
        hint: str = "",
    ) -> None:
        # A daemon changes its directory, and must find the file then, too.
        self._path = os.path.abspath(path)
        self._setting = setting
        self._limit = limit
        self._parse = parse
        self._kept = kept
        self._hint = hint
        self._failed: _State | None = None
        self._retry_at = 0.0
        self._complaint = ""
        # One value, so that threads see all of it or nothing.
        self._loaded, _ = self._read()

    def current(self) -> _T:
        """The value of the file as it is now; of a file that cannot be used, the value before."""
        try:
            state: _State | None = _state_of(os.stat(self._path))
        except OSError:
            state = None
        if state != self._loaded[0] and (
            state != self._failed or time.monotonic() >= self._retry_at
        ):
            self._read_again(state)
        return self._loaded[1]

    def _read_again(self, state: _State | None) -> None:
        try:
            self._loaded, description = self._read()
        except ConfigurationError as error:
            self._failed, self._retry_at = state, time.monotonic() + _RETRY
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("keeping the old %s: %s", self._kept, error)
        else:
            self._complaint = ""
            _log.info("%s=%r: read again, %s", self._setting, self._path, description)

    def _read(self) -> tuple[tuple[_State, _T], str]:
        try:
            with open(self._path, "rb", opener=_open_nonblocking) as file:
                status = os.fstat(file.fileno())
                content = file.read(self._limit + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            hint = self._hint if isinstance(error, FileNotFoundError) else ""
            raise self._error(f"cannot be read: {reason}{hint}") from error
        if not stat.S_ISREG(status.st_mode) or len(content) > self._limit:
            raise self._error(f"expected a file of at most {self._limit} bytes")
        try:
            value, description = self._parse(content, stat.S_IMODE(status.st_mode))
        except ConfigurationError as error:
            raise self._error(str(error)) from error
        return (_state_of(status), value), description

    def _error(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self._setting}={self._path!r}: {text}")
