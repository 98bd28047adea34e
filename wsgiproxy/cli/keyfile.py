"""Key files: created, and replaced as a whole. Messages name files and key ids, and no key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator

from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.keys import base64url, parse_keys

__all__ = ["added", "change", "create", "promoted", "removed"]

_SHARED, _SECRET = 0o644, 0o600


# -- text ------------------------------------------------------------------------------


def _lines(content: bytes) -> list[str]:
    """The lines of a key file; a secret without a key id becomes a line with one.

    :raises ConfigurationError: it holds no key.
    """
    first = parse_keys(content).first
    lines = content.decode("latin-1").splitlines()
    if not any(_keyid(line) for line in lines):
        return [f"{first.keyid}:{base64url(content.rstrip(bytes([13, 10])))}"]
    return lines


_KEY_LINE = re.compile(r"\s*([A-Za-z0-9._-]{1,64}):\S+\s*")


def _keyid(line: str) -> str:
    match = _KEY_LINE.fullmatch(line)
    return match[1] if match else ""


def _whole(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def _index(lines: list[str], keyid: str) -> int:
    for number, line in enumerate(lines):
        if _keyid(line) == keyid:
            return number
    known = [name for line in lines if (name := _keyid(line))]
    raise ConfigurationError(f"no key {keyid!r} in it: there are {', '.join(map(repr, known))}")


def _first(lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if _keyid(line))


def added(content: bytes, line: str) -> bytes:
    """The content with one more key, as the second: it verifies, and does not sign yet.

    :raises ConfigurationError: it holds a key of that name, or no key at all.
    """
    lines = _lines(content)
    if any(_keyid(each) == _keyid(line) for each in lines):
        raise ConfigurationError(f"the key {_keyid(line)!r} is there already")
    lines.insert(_first(lines) + 1, line)
    return _whole(lines)


def promoted(content: bytes, keyid: str) -> bytes:
    """The content with one of its keys as the first, which signs.

    :raises ConfigurationError: it holds no key of that name.
    """
    lines = _lines(content)
    line = lines.pop(_index(lines, keyid))
    place = _first(lines) if any(map(_keyid, lines)) else len(lines)
    lines.insert(place, line)
    return _whole(lines)


def removed(content: bytes, keyid: str) -> bytes:
    """The content without one of its keys.

    :raises ConfigurationError: it holds no key of that name, or that one signs.
    """
    lines = _lines(content)
    number = _index(lines, keyid)
    if number == _first(lines) and parse_keys(content).first.sign is not None:
        raise ConfigurationError(
            f"the key {keyid!r} signs: let another one sign before (--promote)"
        )
    del lines[number]
    return _whole(lines)


# -- files -----------------------------------------------------------------------------


def create(path: str, content: bytes, *, shared: bool = False) -> None:
    """Create a file.

    :param shared: other users may read it: it holds public halves alone.
    :raises CannotStart: it exists, or cannot be created.
    """
    with _named(path):
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _SECRET)
        except FileExistsError:
            raise CannotStart(
                f"{path} is there already, and is left as it is; --rotate adds a key to it"
            ) from None
        try:
            with open(number, "wb") as file:
                _write(file.fileno(), content, _SHARED if shared else _SECRET)
        except BaseException:
            os.unlink(path)
            raise


def change(path: str, edit: Callable[[bytes], bytes]) -> None:
    """Replace a file by one with a changed content, and with its mode and owner.

    :param edit: makes the new content of the old one.
    :raises ConfigurationError: the file is no key file, or *edit* refuses.
    :raises CannotStart: it cannot be read or written.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    with _named(path), _locked(folder):
        with open(path, "rb") as file:
            status, old = os.fstat(file.fileno()), file.read()
        try:
            new = edit(old)
            parse_keys(new)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}; it is left as it is") from error
        number, name = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
        try:
            with open(number, "wb") as file:
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(number, status.st_uid, status.st_gid)
                _write(number, new, stat.S_IMODE(status.st_mode))
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _write(number: int, content: bytes, mode: int) -> None:
    os.fchmod(number, mode)  # whatever the umask is
    while content:
        content = content[os.write(number, content) :]
    os.fsync(number)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Lock a folder: of two changes at the same time, one would be lost."""
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CannotStart(f"{path}: {reason[:1].lower()}{reason[1:]}") from error
