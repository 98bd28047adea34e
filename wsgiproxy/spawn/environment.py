"""What the child learns of our environment: little, unless it is told more."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from wsgiproxy.secretloader import SECRET_FILE

__all__ = ["DEFAULT", "environment", "withheld"]

#: Names of the variables that every program needs; passwords have other names.
DEFAULT = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)
# What is said to us alone: a socket that systemd gave us, the keys of our own parent.
_OURS = ("LISTEN_*", "NOTIFY_SOCKET", "WATCHDOG_*", SECRET_FILE)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def environment(names: Iterable[str], more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child.

    :param names: further variables to take from ours; ``*`` for all.
    :param more: what it gets besides.

    >>> import os
    >>> os.environ["DB_PASSWORD"] = "canary"
    >>> "DB_PASSWORD" in environment([], {}), environment(["DB_*"], {})["DB_PASSWORD"]
    (False, 'canary')
    """
    wanted = (*DEFAULT, *names)
    taken = {
        name: value
        for name, value in os.environ.items()
        if _matches(name, wanted) and not _matches(name, _OURS)
    }
    return {**taken, **more}


def withheld(names: Iterable[str], more: Mapping[str, str]) -> frozenset[str]:
    """Names of our variables that a child does not get, but for those that were said to us alone.

    :param names: as :func:`environment` has them.
    :param more: as :func:`environment` has it.
    """
    passed = environment(names, more)
    return frozenset(
        name for name in os.environ if name not in passed and not _matches(name, _OURS)
    )
