"""The environment variables that a command names in its output and was not given."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

__all__ = ["missed"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A shorter word may be the name of a variable by chance.
_SHORTEST = 3
_MOST = 3


def missed(lines: Iterable[str], withheld: Collection[str]) -> list[str]:
    """The withheld variables that the output names, each once, at most three.

    :param lines: last lines of the output.
    :param withheld: names of variables that are set and were not passed on.

    >>> missed(["KeyError: 'DATABASE_URL'"], {"DATABASE_URL", "EDITOR"})
    ['DATABASE_URL']
    """
    words = (word for line in lines for word in _NAME.findall(line) if len(word) >= _SHORTEST)
    return list(dict.fromkeys(word for word in words if word in withheld))[:_MOST]
