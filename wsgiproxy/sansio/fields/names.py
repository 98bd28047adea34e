"""Names of fields: their normalised form, their environ keys, and fields by name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers

__all__ = [
    "environ_field",
    "environ_key",
    "list_members",
    "normalized_name",
    "spelled",
    "value_of",
    "values",
    "without",
    "words",
]


@remembered
def normalized_name(name: str) -> str:
    """What is left of a name when servers and languages have mangled it.

    WSGI reads ``X_Forwarded_For`` as ``X-Forwarded-For``, PHP reads a dot as an underscore.

    >>> normalized_name("X_Forwarded.For")
    'x-forwarded-for'
    """
    return re.sub("[^a-z0-9]", "-", name.lower())


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of names."""
    return frozenset(text.split())


# Names that Title-Case would get wrong; a few old servers care (RFC 9110, 5.1 does not).
_SPELLING = {
    name.lower(): name
    for name in [
        "ETag",
        "TE",
        "DNT",
        "WWW-Authenticate",
        "Content-MD5",
        "X-XSS-Protection",
        "X-UA-Compatible",
        "Sec-CH-UA",
        "Sec-CH-UA-Mobile",
        "Sec-CH-UA-Platform",
        "Sec-GPC",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Accept",
    ]
}


def spelled(name: str) -> str:
    """A field name as most programs write it, from one whose letter case is lost.

    >>> spelled("x-request-id"), spelled("etag")
    ('X-Request-Id', 'ETag')
    """
    return _SPELLING.get(name.lower()) or "-".join(part.capitalize() for part in name.split("-"))


# CONTENT_TYPE and CONTENT_LENGTH have their own keys (PEP 3333). A server that also passes
# `Content_Length: 5` as HTTP_CONTENT_LENGTH must not frame our message. Host is the policy's.
_OWN_KEY = frozenset(["content-length", "content-type", "host"])


@remembered
def environ_field(key: str) -> str | None:
    """The field name for an environ key; None for keys that are no field, and for Host.

    >>> environ_field("HTTP_ACCEPT"), environ_field("CONTENT_TYPE"), environ_field("PATH_INFO")
    ('Accept', 'Content-Type', None)
    """
    if not key.startswith("HTTP_"):
        return "Content-Type" if key == "CONTENT_TYPE" else None
    name = key[5:].replace("_", "-")
    if not is_token(name):
        raise BadRequest(f"header name {key[5:]!r} is not a token")
    if name.lower() in _OWN_KEY:
        return None
    if name.lower() == "authorization" and name != "AUTHORIZATION":
        # PEP 3333 has capitals; by this key it is known whether there are credentials at all.
        raise BadRequest(f"header name {key[5:]!r} is not in capitals")
    return spelled(name)


def environ_key(name: str) -> str:
    """The environ key of a field (PEP 3333), for fields that have no key of their own.

    >>> environ_key("Signature-Input")
    'HTTP_SIGNATURE_INPUT'
    """
    return "HTTP_" + name.upper().replace("-", "_")


def list_members(value: str) -> list[str]:
    """The members of a comma-separated list, lower case, empty ones skipped (RFC 9110, 5.6.1).

    >>> list_members("Close, , X-Foo")
    ['close', 'x-foo']
    """
    return [member for part in value.lower().split(",") if (member := part.strip(" \t"))]


def values(headers: Headers, name: str) -> list[str]:
    """The values of all fields called *name*, in order."""
    name = name.lower()
    return [value for field, value in headers if field.lower() == name]


def value_of(headers: Headers, name: str) -> str:
    """The value of the first field with *name*, without regard to case; empty if there is none."""
    name = name.lower()
    return next((value for key, value in headers if key.lower() == name), "")


def without(headers: Headers, names: Iterable[str]) -> Headers:
    """Without the named fields, compared by normalized name."""
    removed = frozenset(map(normalized_name, names))
    return [field for field in headers if normalized_name(field[0]) not in removed]
