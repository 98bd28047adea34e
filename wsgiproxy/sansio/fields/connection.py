"""Header fields: names, hop-by-hop, the forwarding namespace, validity.

It refuses what RFC 9110, section 5 does not allow, and never repairs it.
"""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.sansio.fields.names import list_members, normalized_name, words
from wsgiproxy.sansio.fields.namespace import in_namespace, is_command
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers

__all__ = [
    "end_to_end",
    "for_client",
    "is_hop_or_ours",
    "connection_options",
    "partition",
]


# RFC 9110, 7.6.1 and the fields that RFC 9110 defines for one hop; the last five are
# registered as such by other RFCs. `trailers` is PEP 3333's spelling (wsgiref refuses it).
_HOP_BY_HOP = words(
    "connection keep-alive proxy-connection te trailer trailers transfer-encoding upgrade "
    "proxy-authenticate proxy-authorization proxy-authentication-info http2-settings alpn "
    "close security-scheme proxy-features proxy-instruction"
)
# The length of a message, its destination and a handshake are not the client's to remove, whatever
# its Connection header names (RFC 9110, 7.6.1: "must not list end-to-end fields").
_NEVER_REMOVED = words(
    "host content-length sec-websocket-key sec-websocket-version sec-websocket-protocol"
    " sec-websocket-extensions"
)
# httpoxy: CGI programs behind us would take Proxy for their outgoing proxy (CVE-2016-5385).
# Expect is the server's to answer: it has, or it will when the body is read.
_NEVER_SENT = frozenset(["proxy", "expect"])


@remembered
def _is_hop_by_hop(name: str) -> bool:
    normalized = normalized_name(name)
    return normalized in _HOP_BY_HOP or normalized in _NEVER_SENT


@remembered
def is_hop_or_ours(name: str) -> bool:
    """Whether stages 1 and 2 remove the fields of that name."""
    return _is_hop_by_hop(name) or in_namespace(normalized_name(name))


@remembered
def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


# Almost every Connection header is one of these, and names nothing.
_PLAIN_CONNECTION = frozenset(["keep-alive", "Keep-Alive", "close", "Close"])


def connection_options(headers: Headers) -> frozenset[str]:
    """Normalized names of the fields that Connection removes (RFC 9110, 7.6.1)."""
    found = [value for name, value in headers if _is_connection(name)]
    if not found or (len(found) == 1 and found[0] in _PLAIN_CONNECTION):
        return frozenset()
    return frozenset(map(normalized_name, list_members(",".join(found)))) - _NEVER_REMOVED


def end_to_end(headers: Headers) -> Headers:
    """Stage 1: without hop-by-hop fields and those that Connection lists.

    >>> end_to_end([("Connection", "x-a"), ("X-A", "1"), ("X-B", "2"), ("TE", "trailers")])
    [('X-B', '2')]
    """
    return _without(headers, _is_hop_by_hop)


def partition(headers: Headers, dropped: Callable[[str], bool]) -> tuple[Headers, Headers]:
    """Split field lines into those that stay and those that are removed by their name.

    What Connection lists is in neither (RFC 9110, 7.6.1).

    :param dropped: whether a name is removed; Connection has to be.
    """
    kept = _without(headers, dropped)
    if len(kept) == len(headers):
        return kept, []
    return kept, [field for field in headers if dropped(field[0])]


def _without(headers: Headers, dropped: Callable[[str], bool]) -> Headers:
    kept = [field for field in headers if not dropped(field[0])]
    # With none removed, there is no Connection to list others.
    named = connection_options(headers) if len(kept) < len(headers) else None
    if named:
        return [field for field in kept if normalized_name(field[0]) not in named]
    return kept


# The upstream's own alternatives are not those of the address that the client asked for, and
# gateways to CGI take Status for the status (PEP 3333 reserves it).
_NOT_FOR_CLIENTS = frozenset(["alt-svc", "status"])


@remembered
def _is_not_for_wsgi(name: str) -> bool:
    return _is_hop_by_hop(name) or name.lower() in _NOT_FOR_CLIENTS


@remembered
def _is_not_for_clients(name: str) -> bool:
    return _is_not_for_wsgi(name) or is_command(normalized_name(name))


def for_client(headers: Headers, *, commands: bool = False) -> Headers:
    """Stage 5: the field lines of a response that a WSGI server may be given.

    Hop-by-hop fields would be an error on wsgiref and waitress (PEP 3333, "Other HTTP
    Features").

    :param commands: leave the fields that a server in front obeys, such as X-Accel-Redirect.
    """
    return _without(headers, _is_not_for_wsgi if commands else _is_not_for_clients)
