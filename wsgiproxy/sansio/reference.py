"""References as they stand in header fields: their parts, and how a client resolves them.

It refuses to resolve what clients read in different ways.
"""

from __future__ import annotations

import re

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.target import Absolute, absolute_form, under

__all__ = ["has_relative_path", "page_below", "path_of", "resolved", "with_authority"]


def path_of(rest: str) -> str:
    """The path of *rest*, without query and fragment."""
    return re.split("[?#]", rest, maxsplit=1)[0]


def with_authority(address: str) -> Absolute | None:
    """An address with an authority, the scheme empty if it has none; None for all others."""
    if address.startswith("//"):
        return Absolute("", *_split_authority(address[2:]))
    head, mark, fragment = address.partition("#")
    try:
        parts = absolute_form(head)
    except BadRequest:
        return None
    if parts is None:
        return None
    root = "" if parts.rest.startswith("/") else "/"
    return parts._replace(rest=root + parts.rest + mark + fragment)


def _split_authority(text: str) -> tuple[str, str]:
    match = re.match(r"[^/?#]*", text)
    end = match.end() if match else 0
    rest = text[end:]
    return text[:end], rest if rest.startswith("/") else "/" + rest


# A reference without a path leads to where the client is; one with a scheme is none; browsers
# read a backslash as a slash, and leave out blanks in front and line ends anywhere.
_NO_RELATIVE_PATH = re.compile(
    r"\Z|[?#\x00-\x20]|[A-Za-z][A-Za-z0-9+.-]*:|[^?#]*[\\\t\r\n]", re.ASCII
)


def has_relative_path(reference: str) -> bool:
    """Whether all clients read *reference* as a path below the one that they asked for.

    >>> has_relative_path("a/b?q"), has_relative_path("?q"), has_relative_path("mailto:a@b")
    (True, False, False)
    """
    return _NO_RELATIVE_PATH.match(reference) is None


def resolved(path: str, reference: str) -> str:
    """A relative reference resolved (RFC 3986, 5.2.3 and 5.2.4; ``%2e`` is a dot to browsers).

    :param path: the path that was asked for; it begins with a slash.
    :param reference: a relative path, and perhaps a query and a fragment.

    >>> resolved("/a/b", "../c?q"), resolved("/", "docs"), resolved("/a", "%2E/")
    ('/c?q', '/docs', '/')
    """
    rest = path_of(reference)
    kept: list[str] = []
    dots = ""
    for segment in (path[: path.rindex("/") + 1] + rest).split("/")[1:]:
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
    if dots in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept) + reference[len(rest) :]


def page_below(referer: str, host: str, prefix: str) -> str:
    """The path of the page that had a link, if it is one of ours below *prefix*; else empty.

    :param referer: the field ``Referer`` (RFC 9110, 10.1.3), which a client may make up.
    :param host: the field ``Host`` of the same request.
    :param prefix: a path without a slash at its end.

    >>> page_below("http://a.example/app/x?q", "a.example", "/app")
    '/app/x'
    >>> page_below("http://b.example/app/x", "a.example", "/app")
    ''
    """
    parts = with_authority(referer)
    if parts is None or parts.authority.lower() != host.lower():
        return ""
    path = path_of(parts.rest)
    return path if under(path, prefix) else ""
