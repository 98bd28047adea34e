"""Who has a password: the lines of a htpasswd file, which is read again when it changes.

Only bcrypt is taken (``htpasswd -B``): the older forms are no protection if the file is seen.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Mapping

from wsgiproxy.errors import ConfigurationError, Unavailable
from wsgiproxy.sansio.extras import extra
from wsgiproxy.secretloader import open_at_once, state_of

__all__ = ["PasswordFile"]

_log = logging.getLogger("wsgiproxy.error")
# As bcrypt writes it: version, cost, 22 characters of salt and 31 of the digest.
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_LARGEST = 1 << 20  # bytes of the file
_LONGEST = 72  # bytes of a password that bcrypt looks at
_REMEMBERED = 1024
# One client has one password checked at a time. By the hash of its address: that two of them
# share a turn now and then does no harm.
_TURNS = 64
_PATIENCE = 10.0  # seconds to wait for it


class PasswordFile:
    """Says whether a password is right.

    bcrypt is slow by design. Passwords that were right are remembered, since every request of a
    browser brings its own; and whoever tries wrong ones has neither all processors to himself,
    nor the turn of others.

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
        try:
            import bcrypt  # noqa: F401 (the extra `forward`; to be missed now, not later)
        except ImportError as error:
            raise self._error(f"expected the package bcrypt: {extra('forward')}") from error
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._working = threading.Semaphore(max(1, (os.cpu_count() or 1) // 2))
        # Under a key of this process, so that nothing can be made of what is remembered.
        self._key = secrets.token_bytes(32)
        self._right: dict[tuple[str, str], bytes] = {}
        self._tried = _state(self._path)
        self._hashes = self._read()

    def __call__(self, user: str, password: str, address: str = "") -> bool:
        """Whether *user* has that password; it takes as long for who does not exist.

        :param address: of the client.
        :raises Unavailable: it has too many of them checked already.
        """
        self._read_again()
        known = self._hashes.get(user)
        given = hmac.digest(self._key, password.encode(), "sha256")
        right = None if known is None else self._right.get((user, known))
        if right is not None and hmac.compare_digest(right, given):
            return True
        found = self._matches(password, known or _dearest(self._hashes), address)
        if known is None or not found:
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right[user, known] = given
        return True

    def _matches(self, password: str, hashed: str, address: str) -> bool:
        import bcrypt

        turn = self._turns[hash(address) % _TURNS]
        if not turn.acquire(timeout=_PATIENCE):
            raise Unavailable(f"too many passwords of {address!r} are being checked")
        try:
            with self._working:
                data = password.encode()
                # More than bcrypt looks at would match by its beginning; it takes its time, too.
                same = bcrypt.checkpw(data[:_LONGEST], hashed.encode())
                return same and len(data) <= _LONGEST
        finally:
            turn.release()

    def _read_again(self) -> None:
        if _state(self._path) == self._tried:
            return
        with self._lock:
            state = _state(self._path)
            if state == self._tried:  # another thread was faster
                return
            self._tried = state
            try:
                self._hashes = self._read()
            except ConfigurationError as error:
                _log.error("keeping the old passwords: %s", error)

    def _read(self) -> Mapping[str, str]:
        try:
            with open(self._path, "rb", opener=open_at_once) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._error("expected a file of lines user:hash")
                text = file.read(_LARGEST + 1).decode("utf-8")
        except (OSError, UnicodeError) as error:
            raise self._error(f"expected a file of lines user:hash: {error}") from error
        hashes: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            user, _, hashed = line.strip().partition(":")
            if not user or not _HASH.fullmatch(hashed) or user in hashes:
                raise self._error(
                    f"line {number}: expected user:hash with a hash of bcrypt, as"
                    " `htpasswd -B` writes it, one line for each user"
                )
            hashes[user] = hashed
        if not hashes or len(text) > _LARGEST:
            raise self._error(f"expected a line user:hash, and no more than {_LARGEST} bytes")
        return hashes

    def _error(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"credentials={self._path!r}: {text}")


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        return state_of(os.stat(path))
    except OSError:
        return None


def _dearest(hashes: Mapping[str, str]) -> str:
    """The hash that takes longest: the cost stands behind the version."""
    return max(hashes.values(), key=lambda each: each[4:6])
