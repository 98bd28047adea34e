"""Addresses of peers and clients: how they are written, and which of them are trusted.

It refuses names: a client that can make a name resolve could make itself trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wsgiproxy.errors import ConfigurationError, Forbidden
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.target import decoded, escapes

__all__ = [
    "PREFIX",
    "check_named",
    "client_address",
    "is_prefix",
    "nearest_untrusted",
    "node_address",
    "trust",
]

# More than any chain of proxies that exists; a client can write as many as it likes.
_HOPS = 64


@remembered
def client_address(peer: str) -> str:
    """The address of a peer as others read it; empty for Unix sockets and names.

    >>> client_address("::ffff:192.0.2.1"), client_address("fe80::1%eth0"), client_address("unix:")
    ('192.0.2.1', 'fe80::1', '')
    """
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def trust(
    trusted: Iterable[str], setting: str = "trusted_proxies", any_peer: bool = False
) -> Callable[[str], bool]:
    """A test whether a socket peer is one of *trusted*.

    :param trusted: addresses, networks in CIDR notation, and ``unix`` for peers without
        an address.
    :param setting: its name, for the message about a bad entry.
    :param any_peer: whether a lone ``*`` may stand for every peer.
    :raises ConfigurationError: an entry is none of these.

    >>> test = trust(["10.0.0.0/8", "unix"])
    >>> test("::ffff:10.1.2.3"), test("192.0.2.1"), test("")
    (True, False, True)
    """
    trusted = tuple(trusted)
    if any_peer and trusted == ("*",):
        return lambda peer: True
    networks: list[IPv4Network | IPv6Network] = []
    unix = False
    for entry in trusted:
        if entry == "unix":
            unix = True
            continue
        try:
            networks.append(_unmapped(ip_network(entry)))
        except ValueError as error:
            raise ConfigurationError(
                f"{setting}={entry!r}: expected an address, a network or 'unix': {error}"
            ) from error

    def test(peer: str) -> bool:
        address = client_address(peer)
        if not address:
            return unix
        parsed = ip_address(address)
        return any(parsed.version == net.version and parsed in net for net in networks)

    return remembered(test) if networks else (lambda peer: unix and test(peer))


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of IPv4-mapped addresses as IPv4, which peers are compared as."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


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


# With a port, as some load balancers write them; IPv6 then has brackets (RFC 7239, 6).
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}|([0-9A-Fa-f:.]+)")


def node_address(node: str) -> str:
    """The address in a node of ``X-Forwarded-For`` or ``Forwarded``; empty if there is none.

    >>> node_address("192.0.2.1:4711"), node_address("[2001:db8::1]:80"), node_address("_hidden")
    ('192.0.2.1', '2001:db8::1', '')
    """
    match = _NODE.fullmatch(node)
    return client_address(match[match.lastindex or 0]) if match else ""


def nearest_untrusted(chain: Sequence[str], trusts: Callable[[str], bool]) -> str:
    """The address nearest to us that is not one of our own proxies.

    Each hop appends the address of its peer, so what a trusted one has appended is true, and
    nothing to the left of the first untrusted one is (RFC 7239, 8.1).

    :param chain: nodes, ours last.
    :param trusts: whether an address is that of a proxy of ours.
    :returns: the first untrusted address from the right, else the leftmost trusted one; empty
        if a node that is no address comes before any of these.

    >>> nearest_untrusted(["6.6.6.6", "192.0.2.1", "10.0.0.2"], trust(["10.0.0.0/8"]))
    '192.0.2.1'
    """
    found = ""
    for node in reversed(chain[-_HOPS:]):
        found = node_address(node.strip(" \t"))
        if not found or not trusts(found):
            break
    return found


def check_named(client: str) -> None:
    """Refuse a request of which a trusted peer names no client, where it has to.

    :param client: the address that it names; empty for none.
    :raises Forbidden: there is none.
    """
    if not client:
        raise Forbidden("a trusted peer says nothing of its client: require_forwarded")
