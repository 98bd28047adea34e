"""Users and their passwords: the lines of a htpasswd file, which is read again when it changes.

Only bcrypt is taken (``htpasswd -B``): the older forms are no protection if the file is seen.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import threading
from collections.abc import Mapping

from wsgiproxy.errors import ConfigurationError, Unavailable
from wsgiproxy.sansio.extras import extra
from wsgiproxy.watchedfile import WatchedFile

__all__ = ["PasswordFile"]

# As bcrypt writes it: version, cost, 22 characters of salt and 31 of the digest.
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_LARGEST = 1 << 20  # bytes of the file
_LONGEST = 72  # bytes of a password that bcrypt looks at
_REMEMBERED = 1024
# One client has one password checked at a time. By the hash of its address: that two of them
# share a turn now and then does no harm.
_TURNS = 64
_MAX_WAIT = 10.0  # seconds to wait for it


class PasswordFile:
    """Checks passwords of users.

    bcrypt is slow by design. Passwords that were right are remembered, since a browser sends its
    own with every request. A client that tries wrong ones takes neither all processors, nor the
    turn of other clients.

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
        try:
            import bcrypt  # noqa: F401 (the extra `forward`; to be missed now, not later)
        except ImportError as error:
            raise ConfigurationError(
                f"credentials={path!r}: expected the package bcrypt: {extra('forward')}"
            ) from error
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._working = threading.Semaphore(max(1, (os.cpu_count() or 1) // 2))
        # Under a key of this process, so that nothing can be made of what is remembered.
        self._key = secrets.token_bytes(32)
        self._right: dict[tuple[str, str], bytes] = {}
        self._file = WatchedFile(path, "credentials", _LARGEST, _parse, kept="passwords")

    def __call__(self, user: str, password: str, address: str = "") -> bool:
        """Whether *user* has that password; it takes as long for a user who does not exist.

        :param address: the address of the client.
        :raises Unavailable: the client waits for too many checks already.
        """
        hashes = self._file.current()
        known = hashes.get(user)
        received = hmac.digest(self._key, password.encode(), "sha256")
        right = None if known is None else self._right.get((user, known))
        if right is not None and hmac.compare_digest(right, received):
            return True
        matches = self._matches(password, known or _slowest(hashes), address)
        if known is None or not matches:
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right[user, known] = received
        return True

    def _matches(self, password: str, hashed: str, address: str) -> bool:
        import bcrypt

        turn = self._turns[hash(address) % _TURNS]
        if not turn.acquire(timeout=_MAX_WAIT):
            raise Unavailable(f"too many passwords of {address!r} are being checked")
        try:
            with self._working:
                data = password.encode()
                # More than bcrypt looks at would match by its beginning; it takes its time, too.
                same = bcrypt.checkpw(data[:_LONGEST], hashed.encode())
                return same and len(data) <= _LONGEST
        finally:
            turn.release()


def _parse(content: bytes, _mode: int) -> tuple[Mapping[str, str], str]:
    """User -> hash.

    :raises ConfigurationError: a line is no bcrypt hash, or there is none.
    """
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeError as error:
        raise ConfigurationError(f"expected a file of lines user:hash: {error}") from error
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, hashed = line.strip().partition(":")
        if not user or not _HASH.fullmatch(hashed) or user in hashes:
            raise ConfigurationError(
                f"line {number}: expected user:hash with a hash of bcrypt, as"
                " `htpasswd -B` writes it, one line for each user"
            )
        hashes[user] = hashed
    if not hashes:
        raise ConfigurationError("expected a line user:hash")
    return hashes, f"{len(hashes)} users"


def _slowest(hashes: Mapping[str, str]) -> str:
    """The hash that takes longest to check: the cost stands behind the version."""
    return max(hashes.values(), key=lambda each: each[4:6])
