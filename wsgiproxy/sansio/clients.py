"""Which addresses are one client, where clients are counted."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

__all__ = ["client_key"]


def client_key(peer: str) -> str:
    """The client that an address belongs to: an IPv6 network of 64 bits is one.

    A site gets one such network or more (RFC 6177), and a machine takes as many addresses of it as
    it likes.

    :param peer: as the server names it; what is no address stays as it is.

    >>> client_key("2001:db8::1:2"), client_key("::ffff:192.0.2.1"), client_key("unix")
    ('2001:0db8:0000:0000', '192.0.2.1', 'unix')
    """
    if ":" not in peer:
        return peer
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.exploded[:19]
