"""What we announce of the original request: the outgoing half.

The forwarding namespace is set afresh, and only the values of a trusted peer are kept:
whoever appends to what a client wrote signs it with a good name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from wsgiproxy.sansio.fields.forwarded.trust import check_named, client_address, nearest_untrusted
from wsgiproxy.sansio.fields.host import is_host, split_host, with_port
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.grammar import port_number
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound
from wsgiproxy.sansio.target import decoded, escapes

__all__ = [
    "PREFIX",
    "Public",
    "announce",
    "direct",
    "forwarded_element",
    "is_prefix",
    "public",
]

#: A path prefix: no empty segment, nothing that a page could not show as it is.
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")

# Decoded, it is a SCRIPT_NAME: "//" and "/\" would begin an address, a line end a header.
_NEVER_IN_PREFIX = re.compile(r"/\.?(?:/|\Z)|[\x00-\x1f\x7f\\]")


def is_prefix(text: str) -> bool:
    """Whether a raw path may stand before those of an application, in links and redirects.

    >>> is_prefix("/caf%C3%A9"), is_prefix("//evil"), is_prefix("/%2Fevil"), is_prefix("/..")
    (True, False, False, False)
    """
    if not PREFIX.fullmatch(text) or escapes(text):
        return False
    return not _NEVER_IN_PREFIX.search(decoded(text))


class Public(NamedTuple):
    """The address under which the client knows us.

    :param scheme: ``http`` or ``https``.
    :param host: ``host[:port]`` as the client wrote it.
    :param port: port number as text.
    :param prefix: raw path prefix, empty for none.
    :param chain: value for ``X-Forwarded-For``, empty if nobody is known.
    :param client: the client itself, as ``REMOTE_ADDR`` has it.
    :param server_port: the port at which the request arrived, as ``SERVER_PORT`` has it.
    """

    scheme: str
    host: str
    port: str
    prefix: str
    chain: str
    client: str = ""
    server_port: str = ""


def _nearest(headers: Headers, name: str) -> str:
    """The value that the nearest hop has added: the last one."""
    found = values(headers, name)
    return found[-1].rpartition(",")[2].strip() if found else ""


def public(inbound: Inbound, trusts: Callable[[str], bool], *, required: bool = False) -> Public:
    """The public address of a request, as a trusted peer knows it.

    :param inbound: the request, client's headers included.
    :param trusts: whether an address is one whose forwarding fields are kept.
    :param required: whether the peer has to name the client; else it is taken for the client.
    :raises Forbidden: it has to, and does not.
    """
    scheme, host, prefix = inbound.scheme, inbound.host, inbound.script_name
    headers = inbound.headers
    said = _nearest(headers, "X-Forwarded-Proto").lower()
    scheme = said if said in DEFAULT_PORTS else scheme
    said = _nearest(headers, "X-Forwarded-Host")
    host = said if is_host(said) else host
    said = _nearest(headers, "X-Forwarded-Port")
    port = port_number(said)
    # Both may be said, in two fields: the address is what they make together.
    host = with_port(host, port, scheme) if port else host
    said = _nearest(headers, "X-Forwarded-Prefix").rstrip("/")
    prefix = said + prefix if is_prefix(said) else prefix
    said = ", ".join(values(headers, "X-Forwarded-For"))
    named = nearest_untrusted(said.split(","), trusts)
    if required:
        check_named(named)
    client = named or inbound.peer
    chain = ", ".join(filter(None, [said, client_address(inbound.peer)]))
    port = port or _port(host, scheme)
    return Public(scheme, host, port, prefix, chain, client, port)


def _port(host: str, scheme: str) -> str:
    return str(split_host(host, DEFAULT_PORTS[scheme])[1])


def direct(scheme: str, host: str, script_name: str, peer: str, server_port: int) -> Public:
    """The public address of a request of which nobody else has a say."""
    port = _port(host, scheme)
    return Public(scheme, host, port, script_name, client_address(peer), peer, str(server_port))


def announce(known: Public, script_name: str) -> Headers:
    """Stage 3: the historical names and the common ones, all saying the same.

    :param known: the public address.
    :param script_name: the raw mount prefix, for the historical name.
    """
    scheme, host, port, prefix, chain, *_ = known
    fields = [
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Port", port),
        # WSGIProxy 0.2 gave it this meaning, not that of Apache.
        ("X-Forwarded-Server", host),
        ("X-Forwarded-Scheme", scheme),
    ]
    if chain:
        fields.append(("X-Forwarded-For", chain))
    if prefix:
        fields.append(("X-Forwarded-Prefix", prefix))
    if script_name:
        fields.append(("X-Forwarded-Script-Name", script_name))
    return fields


def forwarded_element(known: Public) -> str:
    """One element of ``Forwarded`` (RFC 7239, sections 4 to 6).

    >>> forwarded_element(Public("https", "example.com:8443", "8443", "", "2001:db8::1"))
    'for="[2001:db8::1]";host="example.com:8443";proto=https'
    """
    client = client_address(known.chain.rpartition(",")[2].strip())
    node = f'"[{client}]"' if ":" in client else client or "unknown"
    return f'for={node};host="{known.host}";proto={known.scheme}'
