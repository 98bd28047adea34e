"""What is believed of the original request: the incoming half.

Exactly one family of fields is read, after the caller has decided that the peer may write it.
Values that could not be true are refused or left out, never repaired.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.forwarded.trust import is_prefix, nearest_untrusted, node_address
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.grammar import TOKEN, port_number
from wsgiproxy.sansio.message import DEFAULT_PORTS

__all__ = [
    "FAMILIES",
    "X_FORWARDED",
    "Counts",
    "Stated",
    "believe",
    "count",
    "peer_of",
    "x_forwarded",
]


class Stated(NamedTuple):
    """What a peer says of the original request; empty where it says nothing.

    :param client: address of the client.
    :param scheme: ``http`` or ``https``.
    :param host: ``host[:port]``.
    :param port: port number.
    :param prefix: raw path prefix, without a slash at its end.
    :param traversal_path: raw path that was put before the client's.
    """

    client: str = ""
    scheme: str = ""
    host: str = ""
    port: str = ""
    prefix: str = ""
    traversal_path: str = ""


class Counts(NamedTuple):
    """How many proxies have appended to each field, as Werkzeug's ProxyFix counts them."""

    x_for: int = 0
    x_proto: int = 0
    x_host: int = 0
    x_port: int = 0
    x_prefix: int = 0


Trusts = Callable[[str], bool]


def _members(environ: Mapping[str, Any], name: str) -> list[str]:
    """The members of a list, in order; servers have joined several lines with commas."""
    text = environ.get("HTTP_" + name, "")
    return [member.strip(" \t") for member in text.split(",")] if text else []


def _last(environ: Mapping[str, Any], name: str) -> str:
    """The member that the peer itself has added: the last one, even if that is empty."""
    members = _members(environ, name)
    return members[-1] if members else ""


def _nth(environ: Mapping[str, Any], name: str, number: int) -> str:
    """The member that the *number*-th hop from here has added: counted from the right.

    Empty members do not count (RFC 9110, 5.6.1.2), as they do not for Werkzeug. Where trusted
    addresses are passed over instead, an empty member stands for a hop that knew no client.
    """
    members = [member for member in _members(environ, name) if member]
    return members[-number] if 0 < number <= len(members) else ""


def _scheme(text: str) -> str:
    return text.lower() if text.lower() in DEFAULT_PORTS else ""


def _host(text: str, refuse: bool = True) -> str:
    if not text or is_host(text):
        return text
    if refuse:
        raise BadRequest(f"the host {text!r}, announced by a trusted peer, is not host[:port]")
    return ""


def _prefix(text: str, refuse: bool = True) -> str:
    """A path prefix, which ends up in links and redirects of the application."""
    text = text.rstrip("/")
    if not text or is_prefix(text):
        return text
    if refuse:
        raise BadRequest(f"the prefix {text!r}, announced by a trusted peer, is not a path")
    return ""


#: The fields of the common family.
X_FORWARDED = (
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
)


def x_forwarded(environ: Mapping[str, Any], trusts: Trusts, *, refuse: bool = True) -> Stated:
    """What the X-Forwarded fields of a trusted peer state; for both ends.

    :param refuse: a host or a prefix that cannot be one is an error; else it is left out, since a
        proxy has the request's own.
    :raises BadRequest: it is one.
    """
    return Stated(
        client=nearest_untrusted(_members(environ, "X_FORWARDED_FOR"), trusts),
        scheme=_scheme(_last(environ, "X_FORWARDED_PROTO")),
        host=_host(_last(environ, "X_FORWARDED_HOST"), refuse),
        port=port_number(_last(environ, "X_FORWARDED_PORT")),
        prefix=_prefix(_last(environ, "X_FORWARDED_PREFIX"), refuse),
    )


def _historical(environ: Mapping[str, Any], trusts: Trusts) -> Stated:
    # The sender of 0.2 wrote the one name, its receiver read the other.
    prefixes = {
        _prefix(environ[key])
        for key in ("HTTP_X_FORWARDED_SCRIPT_NAME", "HTTP_X_SCRIPT_NAME")
        if key in environ
    }
    if len(prefixes) > 1:
        raise BadRequest("X-Forwarded-Script-Name and X-Script-Name differ")
    return Stated(
        client=nearest_untrusted(_members(environ, "X_FORWARDED_FOR"), trusts),
        scheme=_scheme(_last(environ, "X_FORWARDED_SCHEME")),
        host=_host(_last(environ, "X_FORWARDED_SERVER")),
        prefix=prefixes.pop() if prefixes else "",
        traversal_path=_prefix(environ.get("HTTP_X_TRAVERSAL_PATH", "")),
    )


# RFC 7239, 4: a list of elements, each a list of pairs. A quoted comma or semicolon is text.
# No two spaces side by side in the expression, or it would try every way to share them out.
_PAIR = re.compile(rf'[ \t]*(?:({TOKEN})=(?:({TOKEN})|"((?:[^"\\]|\\.)*)")[ \t]*)?([;,]|\Z)')
_QUOTED = re.compile(r"\\(.)")


def _elements(text: str) -> list[dict[str, str]]:
    """The elements of ``Forwarded``.

    :raises BadRequest: it is malformed, and does not tell which proxy has written which part.
    """
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            raise BadRequest("Forwarded, sent by a trusted peer, is malformed")
        name, token, quoted, separator = match.groups()
        if name is not None:
            if name.lower() in elements[-1]:
                raise BadRequest(f"Forwarded has {name!r} twice in one element")
            elements[-1][name.lower()] = token or _QUOTED.sub(r"\1", quoted or "")
        if separator == ",":
            elements.append({})
        position = match.end()
    return [element for element in elements if element]


def _forwarded(environ: Mapping[str, Any], trusts: Trusts) -> Stated:
    """The element of the outermost trusted proxy: that which tells of the client itself."""
    told: dict[str, str] = {}
    client = ""
    for element in reversed(_elements(environ.get("HTTP_FORWARDED", ""))[-64:]):
        told = element
        client = node_address(element.get("for", ""))
        if not client or not trusts(client):
            break
    return Stated(
        client=client,
        scheme=_scheme(told.get("proto", "")),
        host=_host(told.get("host", "")),
    )


#: The families of fields, of which exactly one is believed.
FAMILIES: dict[str, Callable[[Mapping[str, Any], Trusts], Stated]] = {
    "x-forwarded": x_forwarded,
    "historical": _historical,
    "forwarded": _forwarded,
}


def peer_of(environ: Mapping[str, Any]) -> str:
    """The peer whose word it is: what a server has kept aside, before anything else."""
    return environ.get("wsgiproxy.peer") or environ.get("REMOTE_ADDR") or ""


def believe(environ: Mapping[str, Any], family: str, trusts: Trusts) -> Stated:
    """What a trusted peer says of the original request.

    :param environ: the fields, as PEP 3333 has them.
    :param family: one of :data:`FAMILIES`.
    :param trusts: whether an address is that of a proxy of ours.
    :raises BadRequest: a host or a prefix that cannot be one.

    >>> believe({"HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1, 10.0.0.2",
    ...     "HTTP_X_FORWARDED_PROTO": "https"}, "x-forwarded", lambda ip: ip == "10.0.0.2")
    Stated(client='192.0.2.1', scheme='https', host='', port='', prefix='', traversal_path='')
    """
    return FAMILIES[family](environ, trusts)


def count(environ: Mapping[str, Any], counts: Counts) -> Stated:
    """The same by Werkzeug's rule: the value that the n-th proxy from here has appended.

    But for quotes, which these fields do not have: to Werkzeug a comma between quotes separates
    nothing, so that a client that opens a quote hides what the proxies append.

    :raises BadRequest: a host or a prefix that cannot be one.

    >>> count({"HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1"}, Counts(x_for=1)).client
    '192.0.2.1'
    """
    return Stated(
        client=node_address(_nth(environ, "X_FORWARDED_FOR", counts.x_for)),
        scheme=_scheme(_nth(environ, "X_FORWARDED_PROTO", counts.x_proto)),
        host=_host(_nth(environ, "X_FORWARDED_HOST", counts.x_host)),
        port=port_number(_nth(environ, "X_FORWARDED_PORT", counts.x_port)),
        prefix=_prefix(_nth(environ, "X_FORWARDED_PREFIX", counts.x_prefix)),
    )
