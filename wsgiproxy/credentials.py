"""Who has a password: the lines of a htpasswd file, which is read again when it changes.

Only bcrypt is taken (``htpasswd -B``): the older forms are no protection if the file is seen.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import threading
from collections.abc import Mapping

from wsgiproxy.errors import ConfigurationError

__all__ = ["PasswordFile"]

_log = logging.getLogger("wsgiproxy.error")
# As bcrypt writes it: version, cost, 22 characters of salt and 31 of the digest.
_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_LONGEST = 72  # bytes of a password that bcrypt looks at
_REMEMBERED = 1024


class PasswordFile:
    """Says whether a password is right.

    :param path: lines ``user:hash``; empty ones and those with ``#`` are left out.
    :raises ConfigurationError: it cannot be read, or a line is no bcrypt hash.

    >>> from tempfile import NamedTemporaryFile
    >>> import bcrypt
    >>> with NamedTemporaryFile("wb") as file:
    ...     line = b"alice:" + bcrypt.hashpw(b"wonder", bcrypt.gensalt(4))
    ...     file.write(line) and file.flush()
    ...     check = PasswordFile(file.name)
    >>> check("alice", "wonder"), check("alice", "queen"), check("bob", "wonder")
    (True, False, False)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._state: object = None
        self._lock = threading.Lock()
        # Of passwords that were right: every request of a browser brings its own, and bcrypt is
        # slow by design. Under a key of this process, so that nothing can be made of them.
        self._key = secrets.token_bytes(32)
        self._right: dict[tuple[str, str], bytes] = {}
        self._state, self._hashes = self._read()

    def __call__(self, user: str, password: str) -> bool:
        """Whether *user* has that password; it takes as long for who does not exist."""
        self._read_again()
        known = self._hashes.get(user)
        mask = known or next(iter(self._hashes.values()))
        given = hmac.digest(self._key, password.encode(), "sha256")
        right = self._right.get((user, mask))
        if right is not None and hmac.compare_digest(right, given):
            return True
        if not _matches(password, mask) or known is None:
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right[user, mask] = given
        return True

    def _read_again(self) -> None:
        try:
            if _state(os.stat(self._path)) == self._state:
                return
        except OSError:
            return  # those who were in it stay
        with self._lock:
            try:
                self._state, self._hashes = self._read()
            except ConfigurationError as error:
                self._state = _state(os.stat(self._path))
                _log.error("keeping the old passwords: %s", error)

    def _read(self) -> tuple[object, Mapping[str, str]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                state = _state(os.fstat(file.fileno()))
                lines = file.read().splitlines()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"credentials={self._path!r}: expected a file of lines user:hash: {error}"
            ) from error
        hashes: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            user, colon, mask = line.strip().partition(":")
            if not user or not colon or not _HASH.fullmatch(mask):
                raise ConfigurationError(
                    f"credentials={self._path!r}: line {number}: expected user:hash with a hash"
                    " of bcrypt, as `htpasswd -B` writes it"
                )
            hashes[user] = mask
        if not hashes:
            raise ConfigurationError(f"credentials={self._path!r}: expected a line user:hash")
        return state, hashes


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ctime_ns, found.st_size, found.st_ino


def _matches(password: str, mask: str) -> bool:
    import bcrypt  # the extra `forward`; nobody else needs it

    data = password.encode()
    # More than bcrypt looks at would match by its beginning; it still takes its time.
    return bcrypt.checkpw(data[:_LONGEST], mask.encode()) and len(data) <= _LONGEST
