"""The request-target: raw where the server has kept it, else rebuilt; joined, never parsed again.

It refuses to normalise anything, and to leave the path that ``href`` gives (RFC 9110, 7.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.host import is_host, split_host

__all__ = [
    "ABSOLUTE",
    "PRINTABLE",
    "Absolute",
    "Target",
    "absolute_form",
    "decoded",
    "decoded_but_slashes",
    "escapes",
    "is_same_host",
    "matcher",
    "raw_target",
    "rebuilt_target",
    "under",
]

# RFC 3986, 3.3: unreserved, sub-delims, ":" and "@"; the slash separates segments. "%" is
# never safe here: these bytes are already decoded.
_PCHAR = "-._~!$&'()*+,;=:@/"
_PLAIN = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=:@/-]*")
_NEVER_IN_TARGET = re.compile(r"[\x00-\x20\x7f#]")
#: What a target may consist of.
PRINTABLE = re.compile(r"[!-~]*")
#: scheme, authority, path and query of an absolute URI.
ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?")
_OCTET = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)


class Target(NamedTuple):
    """A request-target in its raw form, cut at the mount.

    :param script_name: raw prefix of the mount.
    :param path: raw rest of the path.
    :param query: empty, or ``?`` and the raw query.
    """

    script_name: str
    path: str
    query: str


class Absolute(NamedTuple):
    """An absolute-form target (RFC 9112, 3.2.2) in its three parts; ``rest`` may be empty."""

    scheme: str
    authority: str
    rest: str


def absolute_form(raw: str) -> Absolute | None:
    """Split an absolute-form target; None if *raw* has another form.

    :raises BadRequest: it has a userinfo, a fragment, or no proper host (RFC 9110, 4.2.4).

    >>> absolute_form("http://example.com:81/a%2Fb?x")
    Absolute(scheme='http', authority='example.com:81', rest='/a%2Fb?x')
    """
    match = ABSOLUTE.fullmatch(raw)
    if match is None:
        return None
    scheme, authority, path, query = match.groups("")
    if not is_host(authority):
        # Without what may be a password.
        host = authority.rpartition("@")[2]
        raise BadRequest(f"the authority of the target is not host[:port]: {host[:200]!r}")
    return Absolute(scheme.lower(), authority, path + query)


def decoded(raw: str) -> str:
    """A raw path as WSGI has it: each percent-encoded byte one character (PEP 3333).

    :raises BadRequest: a character that is no byte.
    """
    if "%" not in raw:
        return raw
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode("latin-1")
    except UnicodeEncodeError as error:
        raise BadRequest("the path of the request holds characters that are no bytes") from error


def decoded_but_slashes(raw: str) -> str:
    """As cheroot decodes: ``%2F`` stays as it is, in upper case."""
    return "%2F".join(decoded(part) for part in re.split("%2[Ff]", raw))


# U+FFFD in UTF-8, each byte as a character.
_LOST = "\xef\xbf\xbd"


def _decoded_with_loss(raw: str) -> str:
    """As Werkzeug decodes: what is no UTF-8 becomes U+FFFD."""
    return unquote(raw, errors="replace").encode().decode("latin-1")


def _cut_with_loss(raw: str, decoded_length: int) -> int:
    """The index of the slash in *raw* before which *decoded_length* decoded bytes have passed."""
    index = passed = 0
    while passed < decoded_length:
        # A slash ends a broken sequence, so each segment is decoded by itself.
        end = raw.find("/", index + 1)
        end = len(raw) if end < 0 else end
        passed += len(_decoded_with_loss(raw[index:end]))
        index = end
    return index


def _cut(raw: str, decoded_length: int) -> int:
    """The index in *raw* after which *decoded_length* decoded bytes have passed."""
    if "%" not in raw[: decoded_length + 1]:
        return decoded_length
    index = 0
    for _ in range(decoded_length):
        match = _OCTET.match(raw, index)
        index = match.end() if match else index
    return index


def raw_target(raw: str, script_name: str, path_info: str, query: str) -> Target | None:
    """The raw target, if it still is what the environ says; None if a middleware changed that.

    :param raw: origin-form as received (``REQUEST_URI`` or ``RAW_URI``).
    :param script_name: ``SCRIPT_NAME``, decoded.
    :param path_info: ``PATH_INFO``, decoded.
    :param query: ``QUERY_STRING``.
    :raises BadRequest: there is something in it that no target may have.

    >>> raw_target("/app/a%2Fb?", "/app", "/a/b", "")
    Target(script_name='/app', path='/a%2Fb', query='?')
    >>> raw_target("/app/a", "", "/rewritten", "") is None
    True
    """
    if _NEVER_IN_TARGET.search(raw):
        raise BadRequest("the request-target has a fragment, a space or a control character")
    path, mark, raw_query = raw.partition("?")
    if raw_query != query or raw[:1] != "/" or not PRINTABLE.fullmatch(raw):
        return None
    if "%" not in path:
        if path != script_name + path_info:
            return None
        cut = len(script_name)
    elif script_name + path_info in (decoded(path), decoded_but_slashes(path)):
        cut = _cut(path, len(script_name))
        if decoded(path[:cut]) != script_name:
            return None
    elif _LOST in script_name + path_info and script_name + path_info == _decoded_with_loss(path):
        cut = _cut_with_loss(path, len(script_name))
        if _decoded_with_loss(path[:cut]) != script_name:
            return None
    else:
        return None
    if path[cut : cut + 1] not in ("/", ""):
        # "/mount%2Fx" is under the mount for WSGI, but its raw rest is no path.
        return None
    return Target(path[:cut], path[cut:], mark + raw_query)


def rebuilt_target(script_name: str, path_info: str, query: str) -> Target:
    """The target made from the decoded path, where no raw one is to be had.

    :raises BadRequest: a character that is no byte, or a path that does not start with "/".

    >>> rebuilt_target("", "/caf\\xc3\\xa9/100%", "a=1 2")
    Target(script_name='', path='/caf%C3%A9/100%25', query='?a=1%202')
    """
    if path_info[:1] not in ("/", "") or script_name[:1] not in ("/", ""):
        raise BadRequest("the path of the request does not start with a slash")
    try:
        if not _PLAIN.fullmatch(script_name + path_info):
            script_name = quote_from_bytes(script_name.encode("latin-1"), _PCHAR)
            path_info = quote_from_bytes(path_info.encode("latin-1"), _PCHAR)
        return Target(script_name, path_info, "?" + _quoted_query(query) if query else "")
    except UnicodeEncodeError as error:
        raise BadRequest("the path of the request holds characters that are no bytes") from error


# A query is already encoded, so "%" stays; what RFC 3986 would not allow but all servers
# sends ("[]", "|", "^", quotes) passes as it is, as in the raw form.
_QUERY_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")


def _quoted_query(query: str) -> str:
    if PRINTABLE.fullmatch(query) and "#" not in query:
        return query
    return quote_from_bytes(query.encode("latin-1"), _QUERY_SAFE)


def under(path: str, prefix: str) -> bool:
    """Whether *path* is *prefix* or below it, on a segment boundary.

    >>> under("/app/x", "/app"), under("/application", "/app"), under("/x", "")
    (True, False, True)
    """
    prefix = prefix.rstrip("/")
    return path == prefix or path.startswith(prefix + "/")


def _has_dot_dot(path: str) -> bool:
    # "..;x" counts: servlet containers cut path parameters before they resolve dots. So do
    # dots with blanks and NUL around them, which others trim.
    segments = path.replace("\\", "/").split("/")
    return any(segment.partition(";")[0].strip("\0\t\r\n ") == ".." for segment in segments)


def escapes(path: str) -> bool:
    """Whether a backend could resolve *path* to something above it.

    A ``..`` segment counts after up to three decodings, with ``%2F`` and ``%5C`` read as
    separators: a chain of servers decodes more than once.

    >>> [escapes(p) for p in ("/a/..", "/%252e%252e/", "/..%2fadmin", "/a..b/...")]
    [True, True, True, False]
    """
    if ".." not in path and "%" not in path:
        return False
    for _ in range(3):
        if _has_dot_dot(path):
            return True
        once_more = decoded(path)
        if once_more == path:
            return False
        path = once_more
    return _has_dot_dot(path)


# What programs resolve in different ways, or decode once more than others.
_MARKS = ("//", "\\", ";", "/./", "%2f", "%5c", "%2e", "%25", "%00")
# An encoded letter or digit means the same as a plain one (RFC 3986, 6.2.2.2), but one who compares
# paths as they are takes "/%61dmin" for another than "/admin".
_PLAIN = re.compile("%(?:3[0-9]|[46][1-9a-f]|[57][0-9a])")


def is_ambiguous(path: str) -> bool:
    """Whether two programs may take an encoded path for two different ones.

    It has dot segments, an encoded slash, dot, percent sign, letter or digit, a backslash, a
    doubled slash, or path parameters.

    >>> [is_ambiguous(p) for p in ("/a/./b", "/a%2Fb", "/%61", "/a;b", "/a%20b/caf%C3%A9")]
    [True, True, True, True, False]
    """
    raw = path.lower()
    if escapes(raw) or raw.endswith("/.") or _PLAIN.search(raw):
        return True
    return any(mark in raw for mark in _MARKS)


def is_same_host(one: str, other: str, scheme: str) -> bool:
    """Whether two texts ``host[:port]`` name one server, a default port written or not.

    >>> is_same_host("Shop.example:80", "shop.example", "http"), is_same_host("", "", "http")
    (True, False)
    """
    if not is_host(one) or not is_host(other):
        return False
    return split_host(one.lower(), scheme) == split_host(other.lower(), scheme)


def matcher(patterns: Iterable[str]) -> Callable[[str], object] | None:
    """A test for decoded paths; None if there is nothing to test for.

    :param patterns: paths, in which ``*`` stands for any characters.

    >>> is_api = matcher(["/health", "/api/*"])
    >>> bool(is_api("/api/x/y")), bool(is_api("/health/x"))
    (True, False)
    """
    parts = [re.escape(pattern).replace(r"\*", ".*") for pattern in patterns]
    return re.compile("|".join(parts), re.DOTALL).fullmatch if parts else None
