"""Header fields: names, hop-by-hop, the forwarding namespace, validity.

It refuses what RFC 9110, section 5 does not allow, and never repairs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.namespace import in_namespace, is_command

__all__ = [
    "TOKEN",
    "Remembered",
    "cleaned",
    "end_to_end",
    "environ_field",
    "environ_key",
    "for_wsgi",
    "is_forwarding_key",
    "is_hop_or_ours",
    "is_host",
    "is_token",
    "list_members",
    "nominated",
    "parted",
    "skeleton",
    "values",
    "without",
    "words",
]

_K = TypeVar("_K")
_V = TypeVar("_V")

#: A token (RFC 9110, 5.6.2), as part of other expressions.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TOKEN = re.compile(TOKEN)


class Remembered(dict[_K, _V], Generic[_K, _V]):
    """A pure function with a bounded memory; a full one starts afresh.

    Whoever can make up names could fill it, so it forgets all rather than to grow or to
    stay full of rubbish, and what is long is not worth its memory.

    >>> square = Remembered(lambda n: n * n, limit=2)
    >>> square[3], square[4], square[5], len(square)
    (9, 16, 25, 1)
    """

    __slots__ = ("_function", "_limit")

    def __init__(self, function: Callable[[_K], _V], limit: int = 2048) -> None:
        super().__init__()
        self._function = function
        self._limit = limit

    def __missing__(self, key: _K) -> _V:
        value = self._function(key)
        if _size(key) > _LONG:
            return value
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


# Characters; names, hosts and addresses are shorter.
_LONG = 256


def _size(key: object) -> int:
    if isinstance(key, tuple):
        return sum(map(_size, key))
    return len(key) if isinstance(key, (str, bytes)) else 0


def is_token(text: str) -> bool:
    """Whether *text* is a token (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def skeleton(name: str) -> str:
    """What is left of a name when servers and languages have mangled it.

    WSGI reads ``X_Forwarded_For`` as ``X-Forwarded-For``, PHP reads a dot as an underscore.

    >>> skeleton("X_Forwarded.For")
    'x-forwarded-for'
    """
    return re.sub("[^a-z0-9]", "-", name.lower())


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of names."""
    return frozenset(text.split())


# RFC 9110, 7.6.1 and the fields that RFC 9110 defines for one hop; the last five are
# registered as such by other RFCs. `trailers` is PEP 3333's spelling (wsgiref refuses it).
_HOP_BY_HOP = words(
    "connection keep-alive proxy-connection te trailer trailers transfer-encoding upgrade "
    "proxy-authenticate proxy-authorization proxy-authentication-info http2-settings alpn "
    "close security-scheme proxy-features proxy-instruction"
)
# The length of a message and its destination are not the client's to remove, whatever its
# Connection header names (RFC 9110, 7.6.1: "must not list end-to-end fields").
_NEVER_NOMINATED = frozenset(["host", "content-length"])
# httpoxy: CGI programs behind us would take Proxy for their outgoing proxy (CVE-2016-5385).
# Expect is the server's to answer: it has, or it will when the body is read.
_NEVER_SENT = frozenset(["proxy", "expect"])


def _is_hop_by_hop(name: str) -> bool:
    bone = skeleton(name)
    return bone in _HOP_BY_HOP or bone in _NEVER_SENT


def _is_hop_or_ours(name: str) -> bool:
    return _is_hop_by_hop(name) or in_namespace(skeleton(name))


def _is_forwarding_key(key: str) -> bool:
    return key.startswith("HTTP_") and in_namespace(skeleton(key[5:]))


#: Whether an environ key is a field of the forwarding namespace.
is_forwarding_key = Remembered(_is_forwarding_key)

_HOP = Remembered(_is_hop_by_hop)
#: Whether stages 1 and 2 remove a name.
is_hop_or_ours = Remembered(_is_hop_or_ours)
_SKELETON = Remembered(skeleton)


def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


_CONNECTION = Remembered(_is_connection)

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
# CONTENT_TYPE and CONTENT_LENGTH have their own keys (PEP 3333). A server that also passes
# `Content_Length: 5` as HTTP_CONTENT_LENGTH must not frame our message. Host is the policy's.
_OWN_KEY = frozenset(["content-length", "content-type", "host"])


def _environ_field(key: str) -> str | None:
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
    return _SPELLING.get(name.lower()) or "-".join(part.capitalize() for part in name.split("-"))


#: environ key -> field name; None for keys that are no header, and for Host.
environ_field = Remembered(_environ_field)


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


# Almost every Connection header is one of these, and names nothing.
_PLAIN_CONNECTION = frozenset(["keep-alive", "Keep-Alive", "close", "Close"])


def nominated(headers: Headers) -> frozenset[str]:
    """Skeletons of the fields that Connection removes (RFC 9110, 7.6.1)."""
    is_connection = _CONNECTION
    found = [value for name, value in headers if is_connection[name]]
    if not found or (len(found) == 1 and found[0] in _PLAIN_CONNECTION):
        return frozenset()
    return frozenset(map(skeleton, list_members(",".join(found)))) - _NEVER_NOMINATED


def end_to_end(headers: Headers) -> Headers:
    """Stage 1: without hop-by-hop fields and those that Connection nominates.

    >>> end_to_end([("Connection", "x-a"), ("X-A", "1"), ("X-B", "2"), ("TE", "trailers")])
    [('X-B', '2')]
    """
    return _without_nominated(headers, _HOP)


def cleaned(headers: Headers) -> Headers:
    """Stages 1 and 2: also without the forwarding namespace, by skeleton and prefix.

    >>> cleaned([("X-Forwarded.For", "6.6.6.6"), ("Accept", "*/*"), ("TE", "trailers")])
    [('Accept', '*/*')]
    """
    return _without_nominated(headers, is_hop_or_ours)


def _without_nominated(headers: Headers, dropped: Mapping[str, bool]) -> Headers:
    kept = [field for field in headers if not dropped[field[0]]]
    # Connection is among those dropped: with none gone, there is none to nominate others.
    named = nominated(headers) if len(kept) < len(headers) else None
    return [field for field in kept if _SKELETON[field[0]] not in named] if named else kept


def parted(headers: Headers, dropped: Mapping[str, bool]) -> tuple[Headers, Headers]:
    """What stays, without what Connection nominates; and what goes.

    :param dropped: for each name whether it goes; Connection is among those that do.
    """
    kept = [field for field in headers if not dropped[field[0]]]
    if len(kept) == len(headers):
        return kept, []
    gone = [field for field in headers if dropped[field[0]]]
    named = nominated(gone)
    return [field for field in kept if _SKELETON[field[0]] not in named] if named else kept, gone


def without(headers: Headers, names: Iterable[str]) -> Headers:
    """Without the named fields, compared by skeleton."""
    bones = frozenset(map(skeleton, names))
    return [field for field in headers if _SKELETON[field[0]] not in bones]


# The upstream's own alternatives are not those of the address that the client asked for, and
# gateways to CGI take Status for the status (PEP 3333 reserves it).
_NOT_FOR_CLIENTS = frozenset(["alt-svc", "status"])


def _is_not_for_wsgi(name: str) -> bool:
    return _is_hop_by_hop(name) or name.lower() in _NOT_FOR_CLIENTS


def _is_not_for_clients(name: str) -> bool:
    return _is_not_for_wsgi(name) or is_command(skeleton(name))


_WSGI = Remembered(_is_not_for_wsgi)
_CLIENTS = Remembered(_is_not_for_clients)


def for_wsgi(headers: Headers, *, commands: bool = False) -> Headers:
    """Stage 5: the field lines of a response that a WSGI server may be given.

    Hop-by-hop fields would be an error on wsgiref and waitress (PEP 3333, "Other HTTP
    Features").

    :param commands: leave the fields that a server in front obeys, such as X-Accel-Redirect.
    """
    return _without_nominated(headers, _WSGI if commands else _CLIENTS)


_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and int(match[1] or 0) <= 65535


#: Whether a text is ``host`` or ``host:port`` (RFC 9110, 7.2), without userinfo or list.
is_host = Remembered(_is_host)
