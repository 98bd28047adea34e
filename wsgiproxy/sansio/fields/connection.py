"""Header fields: names, hop-by-hop, the forwarding namespace, validity.

It refuses what RFC 9110, section 5 does not allow, and never repairs it.
"""

from __future__ import annotations

from collections.abc import Mapping

from wsgiproxy.sansio.fields.names import _SKELETON, list_members, skeleton, words
from wsgiproxy.sansio.fields.namespace import in_namespace, is_command
from wsgiproxy.sansio.memo import Remembered
from wsgiproxy.sansio.message import Headers

__all__ = ["cleaned", "end_to_end", "for_wsgi", "is_hop_or_ours", "nominated", "parted"]


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


_HOP = Remembered(_is_hop_by_hop)
#: Whether stages 1 and 2 remove a name.
is_hop_or_ours = Remembered(_is_hop_or_ours)


def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


_CONNECTION = Remembered(_is_connection)


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
