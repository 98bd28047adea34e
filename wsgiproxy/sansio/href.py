"""What ``href`` says: where to connect to, and what every target begins with.

It refuses whatever it would have to guess.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.message import DEFAULT_PORTS, Origin
from wsgiproxy.sansio.target import ABSOLUTE, PRINTABLE, escapes

__all__ = ["Base", "join", "parse_href", "without_password"]


# What people write for an address, without its scheme.
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):([0-9]{1,5}(?:/.*)?)")
_HAS_USERINFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*@")
# Of a URL, or of text that was meant for one; a password that is not escaped may hold anything.
_USERINFO = re.compile(r"(//)[^\s'\"/?#@:]*(?::[^'\"]*)?@|(^|['\"])[^\s'\"/?#@:]*:(?!//)[^'\"]*@")


class Base(NamedTuple):
    """What ``href`` says: where to connect to, and what every target begins with.

    :param origin: the upstream.
    :param path: raw base path without a slash at its end; empty for the root.
    :param slash: the base path was written with a slash at its end.
    :param query: raw query that is put before the client's.
    """

    origin: Origin
    path: str
    slash: bool
    query: str

    @property
    def location(self) -> str:
        """The base path as ``href`` gave it, with its slash, if any."""
        return self.path + "/" if self.slash else self.path

    @property
    def is_folder(self) -> bool:
        """Whether the upstream is asked for the same with and without a slash after a mount.

        It cannot send a client from the one to the other, and its relative links are for the
        one with the slash.
        """
        return self.slash or not self.path


def join(base: Base, path: str, query: str) -> str:
    """The base and the client's path with exactly one slash between them; href's query first.

    >>> base = parse_href("http://127.0.0.1:8000/app/?key=1")
    >>> join(base, "//x", "?a=b")
    '/app//x?key=1&a=b'
    >>> join(base, "", "")
    '/app/?key=1'
    """
    path = base.path + path if path else base.location or "/"
    if not base.query:
        return path + query
    return f"{path}?{base.query}&{query[1:]}" if len(query) > 1 else f"{path}?{base.query}"


def parse_href(href: str) -> Base:
    """Read the address of an upstream.

    ``http://host[:port][/base][?query]``, the same with ``https``, or ``unix:/path/of.sock``
    and, after a second colon, a base path.

    :raises ConfigurationError: anything else; nothing is guessed.

    >>> parse_href("unix:/run/app.sock:/base").origin.unix
    '/run/app.sock'
    """
    expected = "expected http://host[:port][/path][?query], https://… or unix:/path[:/base]"
    _check_text(href, expected)
    if href.startswith("unix:"):
        socket_path, _, rest = href[5:].partition(":")
        origin = Origin("http", "localhost", 80, socket_path)
        good = socket_path.startswith(("/", "@")) and len(socket_path) > 1
        good = good and not rest.startswith("//")
    else:
        origin, rest = _split_href(href)
        good = origin.port > 0
    path, _, query = rest.partition("?")
    if not good or path[:1] not in ("", "/"):
        meant = None if "@" in href else _HOST_PORT.fullmatch(href)
        hint = f"; did you mean 'http://{meant[1] or '127.0.0.1'}:{meant[2]}'?" if meant else ""
        raise ConfigurationError(f"href={without_password(href)!r}: {expected}{hint}")
    if escapes(path):
        raise ConfigurationError(f"href={href!r}: '..' in the path; {expected}")
    return Base(origin, path.rstrip("/"), path.endswith("/"), query)


def without_password(text: str) -> str:
    """*text* for a message, the userinfo of URLs in it masked.

    >>> without_password("http://user:secret@host:80/"), without_password("user:secret@host")
    ('http://***@host:80/', '***@host')
    """
    return _USERINFO.sub(r"\1\2***@", text)


def _check_text(href: object, expected: str) -> None:
    """Refuse what is no address at all, or holds what no address may hold."""
    if isinstance(href, int):
        raise ConfigurationError(f"href={href!r}: expected text, such as 'http://127.0.0.1:{href}'")
    if not isinstance(href, str):
        what = "; an application is for the middleware of a backend" if callable(href) else ""
        raise ConfigurationError(f"href={href!r}: expected text{what}; {expected}")
    shown = without_password(href)
    if "#" in href or not PRINTABLE.fullmatch(href):
        raise ConfigurationError(f"href={shown!r}: a fragment, space or non-ASCII; {expected}")
    if _HAS_USERINFO.match(href):
        raise ConfigurationError(
            f"href={shown!r}: expected no user and password (RFC 9110, 4.2.4); the client's own"
            " Authorization is sent on"
        )


def _split_href(href: str) -> tuple[Origin, str]:
    match = ABSOLUTE.fullmatch(href)
    scheme, authority, path, query = match.groups("") if match else ("", "", "", "")
    if scheme.lower() not in DEFAULT_PORTS or not is_host(authority):
        return Origin("http", "", 0), ""
    host, port = split_host(authority, scheme.lower())
    return Origin(scheme.lower(), host, port), path + query
