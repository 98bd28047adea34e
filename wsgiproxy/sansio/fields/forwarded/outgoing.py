"""What we announce of the original request: the outgoing half.

The forwarding namespace is set afresh, and only the values of a trusted peer are kept:
a proxy that appends to what a client wrote vouches for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wsgiproxy.sansio.fields.forwarded.incoming import X_FORWARDED, x_forwarded
from wsgiproxy.sansio.fields.forwarded.trust import check_named, client_address
from wsgiproxy.sansio.fields.host import split_host, with_port
from wsgiproxy.sansio.fields.names import environ_key, values
from wsgiproxy.sansio.message import Headers, Inbound

__all__ = [
    "Public",
    "announce",
    "direct",
    "forwarded_element",
    "public",
]


class Public(NamedTuple):
    """The address under which the client knows us.

    :param scheme: ``http`` or ``https``.
    :param host: ``host[:port]`` as the client wrote it.
    :param port: port number as text.
    :param prefix: raw path prefix, empty for none.
    :param chain: value for ``X-Forwarded-For``, empty if no address is known.
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


def public(inbound: Inbound, trusts: Callable[[str], bool], *, required: bool = False) -> Public:
    """The public address of a request, as a trusted peer knows it.

    :param inbound: the request, client's headers included.
    :param trusts: whether an address is one whose forwarding fields are kept.
    :param required: whether the peer has to name the client; else it is taken for the client.
    :raises Forbidden: it has to, and does not.
    """
    fields = {environ_key(name): ", ".join(values(inbound.headers, name)) for name in X_FORWARDED}
    stated = x_forwarded(fields, trusts, refuse=False)
    if required:
        check_named(stated.client)
    scheme = stated.scheme or inbound.scheme
    host, port = stated.host or inbound.host, stated.port
    # The peer may state both, in two fields: the address is what they make together.
    host = with_port(host, port, scheme) if port else host
    prefix = stated.prefix + inbound.script_name
    client = stated.client or inbound.peer
    chain = ", ".join(filter(None, [fields["HTTP_X_FORWARDED_FOR"], client_address(inbound.peer)]))
    port = port or _port(host, scheme)
    return Public(scheme, host, port, prefix, chain, client, port)


def _port(host: str, scheme: str) -> str:
    return str(split_host(host, scheme)[1])


def direct(scheme: str, host: str, script_name: str, peer: str, server_port: int) -> Public:
    """The public address of a request whose peer is the client itself."""
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
