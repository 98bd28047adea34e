"""Parameters of challenges: the value of one changed, all else left byte for byte.

It reads no more of the grammar (RFC 9110, 11.6.1) than is needed to tell a parameter from the
text of a quoted string.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from wsgiproxy.sansio.memo import remembered

__all__ = ["map_parameter"]


@remembered(limit=8)
def _expression(name: str) -> re.Pattern[str]:
    # A quoted string that does not end reaches to the end of the field: looked at once, not
    # once from each of its characters.
    return re.compile(
        rf'(?<![!#$%&*+.^_`|~0-9A-Za-z\x27-])({name}[ \t]*=[ \t]*)"((?:[^"\\]|\\.)*)"'
        r'|"(?:[^"\\]|\\.)*(?:"|\\?\Z)',
        re.IGNORECASE | re.DOTALL,
    )


_PAIR = re.compile(r"\\(.)", re.DOTALL)


def map_parameter(challenges: str, name: str, change: Callable[[str], str]) -> str:
    """Change the value of one parameter, wherever it is a quoted string.

    :param challenges: the value of WWW-Authenticate, with any number of challenges.
    :param name: the parameter, in any case (RFC 9110, 11.2).
    :param change: from the value without quotes to another one.

    >>> map_parameter('Basic realm="a=b", Bearer b="a", a="b"', "a", str.upper)
    'Basic realm="a=b", Bearer b="a", a="B"'
    """

    def changed(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        text = _PAIR.sub(r"\1", match[2])
        new = change(text)
        return match[0] if new == text else match[1] + _quoted(new)

    return _expression(name).sub(changed, challenges)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
