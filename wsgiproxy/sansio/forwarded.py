"""What we announce of the original request, and to whom we listen before we do.

The forwarding namespace is set afresh, and only the values of a trusted peer are kept:
whoever appends to what a client wrote signs it with a good name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError, LoopDetected
from wsgiproxy.sansio.headers import Remembered, is_host, values
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound
from wsgiproxy.sansio.target import split_host

__all__ = [
    "Public",
    "announce",
    "client_address",
    "direct",
    "forwarded_element",
    "public",
    "trust",
    "via",
]

_PORT = re.compile("[0-9]{1,5}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


class Public(NamedTuple):
    """The address under which the client knows us.

    :param scheme: ``http`` or ``https``.
    :param host: ``host[:port]`` as the client wrote it.
    :param port: port number as text.
    :param prefix: raw path prefix, empty for none.
    :param chain: value for ``X-Forwarded-For``, empty if nobody is known.
    """

    scheme: str
    host: str
    port: str
    prefix: str
    chain: str


def _client_address(peer: str) -> str:
    """The address of a peer as others read it; empty for Unix sockets and names.

    >>> client_address["::ffff:192.0.2.1"], client_address["fe80::1%eth0"], client_address["unix:"]
    ('192.0.2.1', 'fe80::1', '')
    """
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


#: Peer -> address: IPv4-mapped ones unwrapped, zones cut off, empty if it is none.
client_address = Remembered(_client_address)


def trust(trusted: Iterable[str]) -> Callable[[str], bool]:
    """A test whether a socket peer is one of *trusted*.

    :param trusted: addresses, networks in CIDR notation, and ``unix`` for peers without
        an address.
    :raises ConfigurationError: an entry is none of these.

    >>> test = trust(["10.0.0.0/8", "unix"])
    >>> test("::ffff:10.1.2.3"), test("192.0.2.1"), test("")
    (True, False, True)
    """
    networks: list[IPv4Network | IPv6Network] = []
    unix = False
    for entry in trusted:
        if entry == "unix":
            unix = True
            continue
        try:
            networks.append(ip_network(entry))
        except ValueError as error:
            raise ConfigurationError(
                f"trusted_proxies={entry!r}: expected an address, a network or 'unix'"
            ) from error

    def test(peer: str) -> bool:
        address = client_address[peer]
        if not address:
            return unix
        parsed = ip_address(address)
        return any(parsed.version == net.version and parsed in net for net in networks)

    return Remembered(test).__getitem__ if networks else (lambda peer: unix and test(peer))


def _nearest(headers: Headers, name: str) -> str:
    """The value that the nearest hop has added: the last one."""
    found = values(headers, name)
    return found[-1].rpartition(",")[2].strip() if found else ""


def public(inbound: Inbound, trusted: bool) -> Public:
    """The public address of a request.

    :param inbound: the request, client's headers included.
    :param trusted: whether the peer's own forwarding fields may be kept.
    """
    scheme, host, prefix = inbound.scheme, inbound.host, inbound.script_name
    if not trusted:
        return direct(scheme, host, prefix, inbound.peer)
    headers = inbound.headers
    said = _nearest(headers, "X-Forwarded-Proto").lower()
    scheme = said if said in DEFAULT_PORTS else scheme
    said = _nearest(headers, "X-Forwarded-Host")
    host = said if is_host[said] else host
    said = _nearest(headers, "X-Forwarded-Port")
    port = said if _PORT.fullmatch(said) and int(said) <= 65535 else ""
    said = _nearest(headers, "X-Forwarded-Prefix").rstrip("/")
    prefix = said + prefix if _PREFIX.fullmatch(said) else prefix
    known = [*values(headers, "X-Forwarded-For"), client_address[inbound.peer]]
    chain = ", ".join(value for value in known if value)
    return Public(scheme, host, port or _port(host, scheme), prefix, chain)


def _port(host: str, scheme: str) -> str:
    return str(split_host(host, DEFAULT_PORTS[scheme])[1])


def direct(scheme: str, host: str, script_name: str, peer: str) -> Public:
    """The public address of a request of which nobody else has a say."""
    return Public(scheme, host, _port(host, scheme), script_name, client_address[peer])


def announce(known: Public, script_name: str) -> Headers:
    """Stage 3: the historical names and the common ones, all saying the same.

    :param known: the public address.
    :param script_name: the raw mount prefix, for the historical name.
    """
    scheme, host, port, prefix, chain = known
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
    client = client_address[known.chain.rpartition(",")[2].strip()]
    node = f'"[{client}]"' if ":" in client else client or "unknown"
    return f'for={node};host="{known.host}";proto={known.scheme}'


def via(headers: Headers, protocol: str, pseudonym: str) -> tuple[Headers, str]:
    """Append to Via (RFC 9110, 7.6.3); existing members keep their order.

    :returns: the headers without Via, and the new value for it.
    :raises LoopDetected: we are in it already.
    """
    ours = f"{protocol} {pseudonym}"
    found = [value for name, value in headers if name == "Via"]
    if not found:
        return headers, ours
    if pseudonym in ",".join(found).replace(",", " ").split():
        raise LoopDetected(f"our own name {pseudonym!r} is in Via")
    return [field for field in headers if field[0] != "Via"], ", ".join([*found, ours])
