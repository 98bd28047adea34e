"""Cookies that stay on our side, and the path and domain of those that the upstream sets.

What a cookie means is not guessed: names alone count, as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Container

from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.location import public_path
from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.message import Headers

__all__ = ["cookie_values", "map_cookie", "not_sent", "not_set"]

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


def cookie_values(headers: Headers, name: str) -> list[str]:
    """The values of all cookies of that name in a request, as they are written.

    >>> cookie_values([("Cookie", "a=1; b=2"), ("Cookie", "a=3")], "a")
    ['1', '3']
    """
    return [
        pair.lstrip("= \t").partition("=")[2].strip(" \t")
        for field, value in headers
        if field.lower() == "cookie" and name in value
        for pair in _PART.split(value)[::2]
        if _name(pair) == name
    ]


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


def map_cookie(value: str, base: Base, known: Public, scope: bool, domain: str | None) -> str:
    """Map Path and Domain of one Set-Cookie (RFC 6265, 4.1.2).

    A path is scoped to the mount, and ``__Host-`` cookies are never touched, since they
    are bound to ``Path=/`` and to no domain.

    :param scope: map the path, and give one to a cookie whose path is outside.
    :param domain: replaces the domain; empty removes it; None leaves it.

    >>> from wsgiproxy.sansio.href import parse_href
    >>> known = Public("https", "example.com", "443", "/mount", "")
    >>> map_cookie("a=b; Path=/; Secure", parse_href("http://b/"), known, True, None)
    'a=b; Path=/mount; Secure'
    """
    pair, *attributes = value.split(";")
    if pair.strip().lower().startswith("__host-"):
        return value
    mapped = [pair]
    for attribute in attributes:
        name, _, text = attribute.partition("=")
        name = name.strip()
        if scope and name.lower() == "path":
            attribute = f" {name}={_cookie_path(text.strip(), base, known.prefix)}"
        elif domain is not None and name.lower() == "domain":
            if not domain:
                continue
            attribute = f" {name}={domain}"
        mapped.append(attribute)
    return ";".join(mapped)


def _cookie_path(path: str, base: Base, prefix: str) -> str:
    mapped = public_path(path, base, prefix) if path.startswith("/") else None
    if mapped == path:
        return path
    return (mapped or prefix).rstrip("/") or "/"
