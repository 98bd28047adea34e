"""Addresses in a response: from the upstream's to the public one.

Only what is exactly the upstream's is mapped (RFC 9110, 10.2.2), or names the public address
itself; strings that merely begin like it, other schemes and other ports pass unchanged.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wsgiproxy.sansio.fields.challenge import map_parameter
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.reference import has_relative_path, path_of, resolved, with_authority
from wsgiproxy.sansio.target import is_same_host, under

__all__ = [
    "AskedPaths",
    "map_address",
    "map_challenges",
    "public_path",
    "map_refresh",
]

_REFRESH = re.compile(r"\s*[0-9.]+\s*[;,]\s*url\s*=\s*", re.IGNORECASE)


class AskedPaths(NamedTuple):
    """The path of one request, against which relative references are resolved.

    :param upstream: the path that the upstream was asked for.
    :param client: the path that the client asked for.
    :param moved: the beginning of the client's path, and what a hook has put there instead, both
        below the mount as the client sees it; None if none has.
    """

    upstream: str
    client: str
    moved: tuple[str, str] | None = None

    def turned_back(self, mapped: str | None, base: Base) -> str | None:
        """A public path, as the client has to ask for it; by the rule of :func:`public_path`."""
        if mapped is None or self.moved is None:
            return mapped
        old, new = self.moved
        return public_path(mapped, base._replace(path=new), old) or mapped


def _is_upstream(scheme: str, authority: str, base: Base) -> bool:
    if scheme != base.origin.scheme:
        return False
    host, port = split_host(authority, scheme)
    names = {host.lower(), base.origin.host.lower()}
    return port == base.origin.port and (len(names) == 1 or names <= _LOOPBACK)


# One machine has one service at a port, whatever it calls itself (RFC 6761, 6.3).
_LOOPBACK = frozenset(["localhost", "127.0.0.1", "::1"])


def _is_public(scheme: str, authority: str, known: Public) -> bool:
    return scheme == known.scheme and is_same_host(authority, known.host, scheme)


# RFC 8615, 3: it stands at the root of an origin. RFC 8414, 3.1 and RFC 9728, 3.1 put the path
# of the application behind it.
_WELL_KNOWN = re.compile(r"/\.well-known/[^/?#]+(?=/)")


def _map_path(rest: str, base: Base, prefix: str) -> str | None:
    """The public form of a path of the upstream; None if it is not below the base."""
    path = path_of(rest)
    if under(path, base.path):
        mapped = prefix + rest[len(base.path) :]
        return mapped if mapped.startswith("/") else "/" + mapped
    known = _WELL_KNOWN.match(rest)
    if known and under(path[known.end() :], base.path):
        return known[0] + prefix + rest[known.end() + len(base.path) :]
    return None


def public_path(rest: str, base: Base, prefix: str) -> str | None:
    """The public form of a path that an upstream has written, whichever host stands before it.

    The text alone does not tell whether the upstream knows its mount. It is taken to know it
    where the path begins with the prefix: a path below the mount would be doubled otherwise,
    and every framework that reads ``X-Forwarded-Prefix`` or ``SCRIPT_NAME`` writes such paths.
    The price is that an upstream that does not know it cannot send to a folder of its own that
    is called like the mount. One case is told apart: a base that itself lies under the prefix,
    since it is longer; and a base that is the prefix gives the same both ways.

    :returns: None if it is neither the upstream's nor below the mount: of another application.
    """
    path = path_of(rest)
    inner = under(base.path, prefix) and under(path, base.path)
    if prefix and not inner:
        known = _WELL_KNOWN.match(path)
        if under(path, prefix) or (known and under(path[known.end() :], prefix)):
            return rest
    return _map_path(rest, base, prefix)


def map_address(address: str, base: Base, known: Public, asked: AskedPaths | None = None) -> str:
    """Map one absolute URL, protocol-relative one or path.

    Ours are the upstream's own address, and the public one, which an upstream writes that is
    asked with the client's Host or has read ``X-Forwarded-Host``; for all of them the path is
    mapped by one rule, so that nothing is put below the mount twice.

    :param address: the value of Location or Content-Location.
    :param base: the upstream and its base path.
    :param known: the public address of this request.
    :param asked: the path of this request; relative references are left alone without it.

    >>> from wsgiproxy.sansio.href import parse_href
    >>> base = parse_href("http://10.0.0.7:8000/app")
    >>> known = Public("https", "example.com", "443", "/mount", "")
    >>> map_address("http://10.0.0.7:8000/app/login?next=/", base, known)
    'https://example.com/mount/login?next=/'
    >>> map_address("https://example.com/app/login", base, known)
    'https://example.com/mount/login'
    >>> map_address("http://10.0.0.7:8000.evil.example/app/", base, known)
    'http://10.0.0.7:8000.evil.example/app/'
    """
    if address.startswith("/") and not address.startswith("//"):
        return _at_this_host(_public(address, base, known.prefix, asked), address)
    parts = with_authority(address)
    if parts is None:
        return address if asked is None else _map_relative(address, base, known.prefix, asked)
    scheme, authority, rest = parts
    if not is_host(authority):
        return address
    is_public = _is_public(scheme or known.scheme, authority, known)
    if not is_public and not _is_upstream(scheme or base.origin.scheme, authority, base):
        return address
    mapped = _public(rest, base, known.prefix, asked)
    if mapped is None or (is_public and mapped == rest):
        return address
    lead = known.scheme + ":" if scheme else ""
    return f"{lead}//{known.host}{mapped}"


def _public(rest: str, base: Base, prefix: str, asked: AskedPaths | None) -> str | None:
    mapped = public_path(rest, base, prefix)
    return mapped if asked is None else asked.turned_back(mapped, base)


def _at_this_host(mapped: str | None, address: str) -> str:
    if mapped is None or mapped == address:
        return address
    # "//host" would be another host, and to browsers so would "/\\host".
    return "/." + mapped if mapped[1:2] in ("/", "\\") else mapped


def _map_relative(reference: str, base: Base, prefix: str, asked: AskedPaths) -> str:
    """A relative reference: changed only if the client would find something else by it.

    That is so where the paths differ in their last segments (the upstream was asked for ``/``
    by a client that asked for ``/mount``), or where ``..`` leads above the mount.
    """
    if not has_relative_path(reference):
        return reference
    mapped = asked.turned_back(_map_path(resolved(asked.upstream, reference), base, prefix), base)
    if mapped == resolved(asked.client, reference):
        return reference
    return _at_this_host(mapped, reference)


def map_refresh(value: str, base: Base, known: Public, asked: AskedPaths | None = None) -> str:
    """Map the URL in a Refresh field (HTML, "shared declarative refresh steps")."""
    match = _REFRESH.match(value)
    if match is None:
        return value
    url = value[match.end() :]
    mark = url[:1] if url[:1] in ("'", '"') and url.rstrip()[1:].endswith(url[:1]) else ""
    inner = url.rstrip()[1:-1] if mark else url.rstrip()
    tail = url[len(url.rstrip()) :]
    return f"{match[0]}{mark}{map_address(inner, base, known, asked)}{mark}{tail}"


def map_challenges(value: str, base: Base, known: Public, asked: AskedPaths | None = None) -> str:
    """Map the URL of ``resource_metadata`` in the challenges of a field (RFC 9728, 5.1)."""
    return map_parameter(
        value, "resource_metadata", lambda url: map_address(url, base, known, asked)
    )
