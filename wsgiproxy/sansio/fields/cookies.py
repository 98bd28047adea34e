"""Cookies that stay on our side: they are neither sent on, nor set by the upstream.

It refuses to guess what a cookie means: names alone count, as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Container

from wsgiproxy.sansio.message import Headers

__all__ = ["not_sent", "not_set"]

# Some servers join the lines of Cookie by a comma, and some applications part them there.
_PART = re.compile("([;,])")


def _name(pair: str) -> str:
    # Browsers send a cookie without a name back as its value: "=session=x" is "session=x".
    return pair.lstrip("= \t").partition("=")[0].strip(" \t")


def not_sent(headers: Headers, names: Container[str]) -> Headers:
    """The fields of a request without the cookies of those names (RFC 6265, 5.4).

    >>> not_sent([("Cookie", "a=1; session=x; b=2"), ("Cookie", "session=y")], ["session"])
    [('Cookie', 'a=1; b=2')]
    """
    found: Headers = []
    for name, value in headers:
        if name.lower() != "cookie":
            found.append((name, value))
            continue
        first, *others = _PART.split(value)
        # Each with what parts it from the one before.
        pieces = [("", first), *zip(others[::2], others[1::2], strict=True)]
        kept = "".join(part + pair for part, pair in pieces if _name(pair) not in names)
        kept = kept.lstrip(";, \t")
        if kept:
            found.append((name, kept))
    return found


def not_set(headers: Headers, names: Container[str]) -> Headers:
    """The fields of an answer without those that set a cookie of those names.

    >>> not_set([("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "session=x")], ["session"])
    [('Set-Cookie', 'a=1; Path=/')]
    """
    return [
        (name, value)
        for name, value in headers
        if name.lower() != "set-cookie" or _name(value.partition(";")[0]) not in names
    ]
