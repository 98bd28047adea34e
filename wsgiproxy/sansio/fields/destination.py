"""Addresses in a WebDAV request: from the public one to the upstream's, and back at the backend.

It reads ``Destination`` and the tags of ``If`` (RFC 4918, 10.3 and 10.4), and leaves whatever
does not name the place itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.reference import path_of, with_authority
from wsgiproxy.sansio.target import escapes, is_same_host, under

__all__ = [
    "Place",
    "has_no_destination",
    "map_destination",
    "map_fields",
    "map_tags",
    "walled_destination",
]

# Almost every request, and so its fields are not looked at: they name no second resource.
_WITHOUT = frozenset(["GET", "HEAD", "POST", "OPTIONS"])
has_no_destination = _WITHOUT.__contains__


class Place(NamedTuple):
    """Where an application is, as one side calls it.

    :param scheme: ``http`` or ``https``.
    :param host: ``host[:port]``.
    :param path: raw path of its root, without a slash at its end.
    """

    scheme: str
    host: str
    path: str


def map_destination(address: str, source: Place, target: Place) -> str:
    """One URL or absolute path below *source*, as *target* calls it; all others as they are.

    :raises BadRequest: it begins below the place, and a ``..`` in it leads out.

    >>> source = Place("https", "shop.example", "/files")
    >>> target = Place("http", "10.0.0.7:8000", "/dav")
    >>> map_destination("https://shop.example/files/a%20b", source, target)
    'http://10.0.0.7:8000/dav/a%20b'
    >>> map_destination("/files/a", source, target)
    '/dav/a'
    """
    mapped = _mapped(address, source, target)
    return address if mapped is None else mapped


def walled_destination(address: str, source: Place, target: Place) -> str:
    """The same where *source* or *target* is a path, which is a wall.

    :raises BadRequest: it is not below *source*, and may name a place of the target beside it.
    """
    mapped = _mapped(address, source, target)
    if mapped is not None:
        return mapped
    if (source.path or target.path) and not _is_elsewhere(address, source, target):
        raise BadRequest("the Destination of a WebDAV request is outside of the mount")
    return address


def _mapped(address: str, source: Place, target: Place) -> str | None:
    """None, if it is not below *source*."""
    if address.startswith("/") and not address.startswith("//"):
        lead, rest = "", address
    else:
        parts = with_authority(address)
        if parts is None or parts.scheme != source.scheme:
            return None
        if not is_same_host(parts.authority, source.host, source.scheme):
            return None
        lead, rest = f"{target.scheme}://{target.host}", parts.rest
    if not under(path_of(rest), source.path):
        return None
    rest = rest[len(source.path) :]
    if (source.path or target.path) and escapes(path_of(rest)):
        raise BadRequest("a '..' segment in the address of a WebDAV request")
    mapped = target.path + rest
    if not mapped.startswith("/"):
        mapped = "/" + mapped
    if not lead and mapped[1:2] in ("/", "\\"):
        return f"{target.scheme}://{target.host}{mapped}"  # or it would name another host
    return lead + mapped


def _is_elsewhere(address: str, source: Place, target: Place) -> bool:
    """Whether it is certainly of another server, for the upstream to refuse (RFC 4918, 9.8.5).

    Not so are other spellings of the two hosts: another scheme, a userinfo, none at all.
    """
    parts = with_authority(address)
    if parts is None or not parts.scheme or not is_host(parts.authority):
        return False
    hosts = [split_host(place.host)[0].lower() for place in (source, target)]
    return split_host(parts.authority)[0].lower() not in hosts


# Outside of the parentheses a URL is a tag, and within them it is a token. Each piece begins
# where the one before has ended, so that the time does not grow with the square.
_PIECE = re.compile(r'"[^"]*"|<[^<>]*>|[^"<()]+|.', re.DOTALL)


def map_tags(value: str, source: Place, target: Place) -> str:
    """The tags of the lists of ``If``; tokens, entity-tags and what is malformed stay.

    >>> source, target = Place("http", "a", "/m"), Place("http", "b", "")
    >>> map_tags('<http://a/m/x> (<urn:uuid:1> ["<http://a/m/x>"])', source, target)
    '<http://b/x> (<urn:uuid:1> ["<http://a/m/x>"])'
    """
    depth = 0
    pieces = _PIECE.findall(value)
    for index, piece in enumerate(pieces):
        depth += (piece == "(") - (piece == ")")
        if not depth and piece[0] == "<" and piece[-1] == ">":
            pieces[index] = f"<{map_destination(piece[1:-1], source, target)}>"
    return "".join(pieces)


_MAPPED: dict[str, Callable[[str, Place, Place], str]] = {
    "Destination": walled_destination,
    "If": map_tags,
}


def map_fields(headers: Headers, source: Place, target: Place) -> Headers:
    """Both fields of a request.

    :raises BadRequest: as :func:`walled_destination`.
    """
    return [
        (name, _MAPPED[name](value, source, target) if name in _MAPPED else value)
        for name, value in headers
    ]
