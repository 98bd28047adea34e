"""What kind of address one is, by a table of our own.

``ipaddress.is_global`` is not asked: which addresses it calls global changes with the version of
Python, and it takes NAT64, 6to4, IPv4-compatible and multicast ones for global (Python 3.11).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["PUBLIC", "Address", "Network", "address_of", "kind", "readings", "same_address"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: The one kind of address that any client may be sent to.
PUBLIC = "public"

# Where clouds give the machine's credentials to any program inside. The first match counts.
_IPV4 = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("169.254.169.254", "metadata"),  # AWS, Google, Azure, Oracle, OpenStack and most others
        ("169.254.170.2", "metadata"),  # AWS, of a container
        ("169.254.170.23", "metadata"),  # AWS, of a pod
        ("169.254.42.42", "metadata"),  # Scaleway
        ("100.100.100.200", "metadata"),  # Alibaba
        ("168.63.129.16", "metadata"),  # Azure's host, in the midst of public ones
        ("192.0.0.192", "metadata"),  # Oracle, formerly
        ("0.0.0.0", "unspecified"),  # Linux connects to itself
        ("0.0.0.0/8", "reserved"),  # RFC 1122, 3.2.1.3: this network
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "shared"),  # RFC 6598: between a provider and its customers
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),  # RFC 3927
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),  # RFC 6890: protocol assignments
        ("192.0.2.0/24", "reserved"),  # RFC 5737: documentation
        ("192.88.99.0/24", "reserved"),  # RFC 7526: relays of 6to4, retired
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved"),  # RFC 2544: benchmarks
        ("198.51.100.0/24", "reserved"),
        ("203.0.113.0/24", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),  # RFC 1112, 4; the last one is the broadcast
    )
)

_IPV6 = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("fd00:ec2::254", "metadata"),  # AWS
        ("fd00:ec2::23", "metadata"),  # AWS, of a pod
        ("fd20:ce::254", "metadata"),  # Google
        ("fd00:c1::a9fe:a9fe", "metadata"),  # Oracle
        ("fd00:42::42", "metadata"),  # Scaleway
        ("fe80::a9fe:a9fe", "metadata"),  # OpenStack
        ("::", "unspecified"),
        ("::1", "loopback"),
        # As good as the IPv4 address that they carry, since packets get there: by the kernel
        # (RFC 4291, 2.5.5.2), and by the translator of a network without IPv4, whose resolver
        # makes such addresses for every name (RFC 6052, 2.1).
        ("::ffff:0:0/96", PUBLIC),
        ("64:ff9b::/96", PUBLIC),
        ("fc00::/7", "private"),  # RFC 4193
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        # RFC 2928: protocol assignments, with Teredo (RFC 4380), benchmarks and ORCHID. Teredo
        # as a whole, since its packets go where its server says and no longer anywhere else.
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "reserved"),  # RFC 3849: documentation
        # 6to4: since its relays are gone (RFC 7526), what answers there is a tunnel of the
        # network that we are in.
        ("2002::/16", "reserved"),
        ("3fff::/20", "reserved"),  # RFC 9637: documentation
        # All that is handed out lies in there (RFC 4291, 2.4). Outside: 100::/64 (discard),
        # 5f00::/16 (segments), fec0::/10 (sites), 64:ff9b:1::/48 (translators of our own
        # network, RFC 8215), ::/96 and ::ffff:0:0:0/96 (IPv4 inside, retired).
        ("2000::/3", PUBLIC),
    )
)

# Network, and how far to the left the IPv4 address in it stands.
_CARRIERS = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::/96", 0),  # IPv4-compatible (RFC 4291, 2.5.5.1)
        ("::ffff:0:0:0/96", 0),  # IPv4-translated (RFC 2765)
        ("64:ff9b::/96", 0),
        ("64:ff9b:1::/48", 0),
        ("2002::/16", 80),
        ("2001::/32", 64),  # Teredo: the server
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_TEREDO = IPv6Network("2001::/32")
# RFC 5214, 6.1: the interface identifiers of ISATAP, in any network.
_ISATAP = (0x00005EFE, 0x02005EFE)
_IPV4_BITS = 0xFFFFFFFF


def address_of(text: str) -> Address | None:
    """An address as it acts: without its zone, an IPv4-mapped one as IPv4; None if it is none.

    >>> address_of("::ffff:127.0.0.1"), address_of("fe80::1%eth0"), address_of("127.1")
    (IPv4Address('127.0.0.1'), IPv6Address('fe80::1'), None)
    """
    address = _as_written(text)
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return _carried_by(address)[0]
    return address


def _as_written(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _carried_by(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses in it, to which its packets may go in the end."""
    bits = int(address)
    found = [bits >> shift for network, shift in _CARRIERS if address in network]
    if address in _TEREDO:
        found.append(~bits)  # RFC 4380, 4: the client
    if bits >> 32 & _IPV4_BITS in _ISATAP:
        found.append(bits)
    return [IPv4Address(each & _IPV4_BITS) for each in found]


def readings(text: str) -> list[Address]:
    """An address and those that it carries; none if it is no address.

    >>> readings("64:ff9b::7f00:1")
    [IPv6Address('64:ff9b::7f00:1'), IPv4Address('127.0.0.1')]
    """
    address = _as_written(text)
    if address is None:
        return []
    return [address, *(_carried_by(address) if isinstance(address, IPv6Address) else ())]


def kind(address: str) -> str:
    """What kind of address it is; one that carries an IPv4 address is never better than that.

    :returns: ``public``, ``unspecified``, ``loopback``, ``private``, ``shared``, ``link-local``,
        ``metadata``, ``multicast``, ``reserved``, or ``unknown`` for what is no address.

    >>> kind("9.9.9.9"), kind("::ffff:10.0.0.1"), kind("2002:7f00:1::"), kind("localhost")
    ('public', 'private', 'loopback', 'unknown')
    """
    kinds = [_own_kind(each) for each in readings(address)] or ["unknown"]
    if kinds[0] not in (PUBLIC, "reserved"):
        return kinds[0]
    # What is reserved for addresses that carry others is said by those, if they are worse.
    return next((each for each in kinds[1:] if each != PUBLIC), kinds[0])


def _own_kind(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return next((name for network, name in _IPV4 if address in network), PUBLIC)
    return next((name for network, name in _IPV6 if address in network), "reserved")


def same_address(one: str, other: str) -> bool:
    """Whether two texts are one address; false if one is none.

    >>> same_address("::ffff:127.0.0.1", "127.0.0.1"), same_address("::1", "127.0.0.1")
    (True, False)
    """
    address = address_of(one)
    return address is not None and address == address_of(other)
