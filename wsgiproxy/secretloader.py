"""Key files: the keys in them, refused where other users may write them."""

from __future__ import annotations

import os
import secrets
import stat

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.sansio.keys import Keyring, base64url, has_lines, parse_keys
from wsgiproxy.watchedfile import WatchedFile

__all__ = ["SECRET_FILE", "KeyFile", "get_secret", "new_key"]

#: The environment variable in which a spawner tells its child where their common keys are.
SECRET_FILE = "WSGIPROXY_SECRET_FILE"

# Bytes: far more than any number of keys.
_LIMIT = 65536


class KeyFile:
    """The keys in a file, which is read again whenever it changes.

    :param path: the file: lines ``keyid:base64url``, or one secret of at least 32 bytes.
    :param setting: the name of the setting that holds the path, for messages.
    :param signs: whether the first key must be able to sign.
    :raises ConfigurationError: it cannot be read, holds no key, or others may write it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        setting: str = "secret_file",
        *,
        signs: bool = False,
    ) -> None:
        self._name = f"{setting}={os.path.abspath(path)!r}"
        self._signs = signs
        self._content = b""
        self._file = WatchedFile(
            path,
            setting,
            _LIMIT,
            self._parse,
            kept="keys",
            hint="; `wsgiproxy keygen` makes one",
        )

    @property
    def content(self) -> bytes:
        """The bytes of the file, as they were read last."""
        return self._content

    def keyring(self) -> Keyring:
        """The keys as they are now. If the new file is broken, the old ones; and a log line."""
        return self._file.current()

    def _parse(self, content: bytes, mode: int) -> tuple[Keyring, str]:
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(f"others than its owner may write it ({mode:o}): chmod 600")
        keyring = parse_keys(content)
        if self._signs:
            keyring.signer()
        if has_lines(self._content) and not has_lines(content):
            # Any text is a secret of 0.2, also the error page that a download has brought.
            raise ConfigurationError("expected lines of keys, as before")
        # Public halves are no secrets. A warning, no error: Docker and Kubernetes mount secrets so.
        if mode & stat.S_IROTH and any(key.sign for key in keyring.keys.values()):
            warn_once(f"{self._name}: all users may read it ({mode:o})")
        self._content = content
        return keyring, f"keys {[*keyring.keys]}"


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
