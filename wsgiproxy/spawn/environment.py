"""The environment of the child: few variables of this process, unless more are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from wsgiproxy.secretloader import SECRET_FILE

__all__ = ["DEFAULT", "environment", "withheld"]

#: Names of the variables that programs need; passwords have other names.
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
# Variables for this process alone: sockets of systemd, the keys of its own parent.
_PRIVATE = ("LISTEN_*", "NOTIFY_SOCKET", "WATCHDOG_*", SECRET_FILE)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def environment(names: Iterable[str], more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child.

    :param names: further variables of this process to pass on; ``*`` for all.
    :param more: variables to set.

    >>> import os
    >>> os.environ["DB_PASSWORD"] = "canary"
    >>> "DB_PASSWORD" in environment([], {}), environment(["DB_*"], {})["DB_PASSWORD"]
    (False, 'canary')
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if _matches(name, (*DEFAULT, *names)) and not _matches(name, _PRIVATE)
    }
    return {**passed, **more}


def withheld(names: Iterable[str], more: Mapping[str, str]) -> frozenset[str]:
    """Names of the variables of this process that a child does not get and that could be named.

    :param names: as :func:`environment` has them.
    :param more: as :func:`environment` has it.
    """
    passed = environment(names, more)
    return frozenset(
        name for name in os.environ if name not in passed and not _matches(name, _PRIVATE)
    )
