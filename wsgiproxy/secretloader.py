"""Key files: read, watched for changes, and refused when others could write them."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import time
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.sansio.keys import Keyring, base64url, has_lines, parse_keys

__all__ = ["SECRET_FILE", "KeyFile", "get_secret", "new_key", "open_at_once", "state_of"]

#: The environment variable in which a spawner tells its child where their common keys are.
SECRET_FILE = "WSGIPROXY_SECRET_FILE"

_log = logging.getLogger("wsgiproxy.error")
# Far more than any number of keys.
_LIMIT = 65536

# Seconds between two attempts to read a file that cannot be used as it is: what stands in
# the way (too many open files, a mode) may go away without a change of the file.
_RETRY = 1.0

# What tells one state of a file from another: every write and every chmod changes the ctime,
# which nobody can set, and a renamed file has another inode.
_State = tuple[int, int, int]


def state_of(found: os.stat_result) -> _State:
    """What is another value when a file has changed."""
    return found.st_ctime_ns, found.st_size, found.st_ino


class _Loaded(NamedTuple):
    """A file as it was read: one value, so that threads see all of it or nothing."""

    state: _State
    content: bytes
    keys: Keyring

    def __repr__(self) -> str:
        # Debuggers show what they find; the content is a secret.
        return f"_Loaded({[*self.keys.keys]})"


def open_at_once(path: str, flags: int) -> int:
    """An opener that does not wait for somebody to write the other end of a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)


class KeyFile:
    """The keys in a file, which is read again whenever it changes.

    :param path: the file: lines ``keyid:base64url``, or one secret of at least 32 bytes.
    :param setting: its name, for messages.
    :param signs: whether its first key must be able to sign.
    :raises ConfigurationError: it cannot be read, holds no key, or others may write it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        setting: str = "secret_file",
        *,
        signs: bool = False,
    ) -> None:
        # A daemon changes its directory, and must find the file then, too.
        self._path = os.path.abspath(path)
        self._setting = setting
        self._signs = signs
        self._tried: _State | None = None
        self._retry_at = 0.0
        self._complaint = ""
        self._loaded = self._read()

    @property
    def content(self) -> bytes:
        """What the file holds, as it was read last."""
        return self._loaded.content

    def keyring(self) -> Keyring:
        """The keys as they are now. If the new file is broken, the old ones; and a log line."""
        try:
            state: _State | None = state_of(os.stat(self._path))
        except OSError:
            state = None
        if state != self._loaded.state and (
            state != self._tried or time.monotonic() >= self._retry_at
        ):
            self._reread(state)
        return self._loaded.keys

    def _reread(self, state: _State | None) -> None:
        try:
            loaded = self._read()
            if has_lines(self.content) and not has_lines(loaded.content):
                # Any text is a secret of 0.2, also the error page that a download has brought.
                raise self._error("expected lines of keys, as before")
            self._loaded = loaded
        except ConfigurationError as error:
            self._tried, self._retry_at = state, time.monotonic() + _RETRY
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("keeping the old keys: %s", error)
        else:
            self._complaint = ""
            _log.info("%s=%r: read again, keys %s", self._setting, self._path, [*loaded.keys.keys])

    def _read(self) -> _Loaded:
        try:
            with open(self._path, "rb", opener=open_at_once) as file:
                found = os.fstat(file.fileno())
                content = file.read(_LIMIT + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            hint = "; `wsgiproxy keygen` makes one" if isinstance(error, FileNotFoundError) else ""
            raise self._error(f"cannot be read: {reason}{hint}") from error
        if not stat.S_ISREG(found.st_mode) or len(content) > _LIMIT:
            raise self._error(f"expected a file of at most {_LIMIT} bytes")
        mode = stat.S_IMODE(found.st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._error(f"others than its owner may write it ({mode:o}): chmod 600")
        try:
            keys = parse_keys(content)
            if self._signs:
                keys.signer()
        except ConfigurationError as error:
            raise self._error(str(error)) from error
        # Public halves are no secrets.
        if mode & stat.S_IROTH and any(key.sign for key in keys.keys.values()):
            # A warning, no error: Docker and Kubernetes mount secrets so.
            warn_once(f"{self._setting}={self._path!r}: everybody may read it ({mode:o})")
        return _Loaded(state_of(found), content, keys)

    def _error(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self._setting}={self._path!r}: {text}")


_files: dict[str, KeyFile] = {}


def get_secret(secret_file: str | os.PathLike[str]) -> bytes:
    """The content of a key file, for :func:`wsgiproxy.signature.sign_request`.

    It is kept, and read again when the file changes.

    :param secret_file: its path.
    :raises ConfigurationError: as for :class:`KeyFile`.
    """
    path = os.fspath(secret_file)
    file = _files.get(path)
    if file is None:
        file = _files[path] = KeyFile(path)
    file.keyring()
    return file.content


def new_key(keyid: str) -> str:
    """One line of a key file, with 32 random bytes.

    >>> len(new_key("k1").partition(":")[2])
    43
    """
    return f"{keyid}:{base64url(secrets.token_bytes(32))}"
