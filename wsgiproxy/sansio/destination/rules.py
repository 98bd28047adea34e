"""What ``allow``, ``deny`` and ``ports`` say about a host, a port and its addresses.

It refuses a name one of whose addresses would be refused: the others may be bait.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.destination.addresses import (
    PUBLIC,
    Address,
    Network,
    address_of,
    kind,
    readings,
)
from wsgiproxy.sansio.destination.names import looked_up, names_a_number
from wsgiproxy.sansio.fields.host import is_allowed
from wsgiproxy.sansio.grammar import port_number

__all__ = ["Destinations", "Entry"]

_EXPECTED = (
    "expected HOST or HOST:PORT, with a name, .domain, address, network or * as HOST"
    " (IPv6 in brackets before a port) and a number or * as PORT"
)
_ENTRY = re.compile(r"(\[[0-9A-Fa-f:./]+\]|[^:\[\]]+)(?::(\*|[0-9]{1,5}))?")
_CIDR = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
#: Any port, as ``*`` stands for it.
_ANY = 0


class Entry(NamedTuple):
    """One entry of ``allow`` or ``deny``.

    :param text: as it was given, for the log.
    :param name: lower case without a dot at its end, ``.domain``, ``*``; empty for a network.
    :param network: an address is a network of one.
    :param port: None if none was given, 0 for any.
    """

    text: str
    name: str
    network: Network | None
    port: int | None

    def names(self, name: str) -> bool:
        """Whether it is an entry for that name."""
        return self.name == "*" or (bool(self.name) and is_allowed(name, [self.name]))

    def holds(self, addresses: Iterable[Address]) -> bool:
        """Whether it is an entry for one of these addresses."""
        network = self.network
        return network is not None and any(each in network for each in addresses)


@dataclass(frozen=True, init=False)
class Destinations:
    """Where requests may go: to public addresses at ``ports``, and what ``allow`` adds to that.

    :param allow: destinations that may also be no public ones; with a port, at that one.
    :param deny: destinations that are refused whatever ``allow`` says, without a port at all.
    :param ports: numbers, or ``*`` for all.
    :raises ConfigurationError: naming the setting, the entry and what was expected.

    >>> where = Destinations(allow="intranet.example 10.1.0.0/16:8080")
    >>> where.refusal_of("shop.example", 80, ["9.9.9.9", "127.0.0.1"])
    '127.0.0.1 is loopback (allow= names exceptions)'
    >>> where.refusal_of("intranet.example", 80, ["10.2.3.4"])
    ''
    """

    allow: tuple[Entry, ...]
    deny: tuple[Entry, ...]
    ports: frozenset[int]

    def __init__(
        self,
        allow: str | Iterable[str] = (),
        deny: str | Iterable[str] = (),
        ports: str | int | Iterable[int | str] = (80, 443),
    ) -> None:
        object.__setattr__(self, "allow", _entries("allow", allow))
        object.__setattr__(self, "deny", _entries("deny", deny))
        object.__setattr__(self, "ports", _ports(ports))

    def refusal(self, host: str, port: int) -> str:
        """Why a destination is refused before anything is looked up; empty if it is not.

        An address needs no look-up, so this is then all that there is to say about it.

        :param host: a name or an address, in any spelling.
        """
        literal = looked_up(host)
        if address_of(literal) is not None:
            return self.refusal_of(host, port, [literal])
        name = _compared(host)
        reason = self._denied(name, port, ())
        if reason or self._is_open(port):
            return reason
        # An entry with a network counts as well: it may be that of the addresses to come.
        entries = [each for each in self.allow if self._opens(each, port)]
        return (
            "" if any(each.network or each.names(name) for each in entries) else self._closed(port)
        )

    def refusal_of(self, host: str, port: int, addresses: Iterable[str]) -> str:
        """Why a destination is refused, now that its addresses are known; empty if it is not.

        :param addresses: all of them; one that is refused is enough.
        """
        addresses, name = list(addresses), _compared(host)
        reason = self._denied(name, port, addresses)
        if reason or not addresses:
            return reason or "it has no address"
        is_open = self._is_open(port)
        for address in addresses:
            if self.is_named(host, port, address):
                continue
            if kind(address) != PUBLIC:
                return f"{address} is {kind(address)} (allow= names exceptions)"
            if not is_open:
                return self._closed(port)
        return ""

    def is_named(self, host: str, port: int, address: str) -> bool:
        """Whether ``allow`` says so of an address that is not refused."""
        entries = [each for each in self.allow if self._opens(each, port)]
        name, acting = _compared(host), address_of(address)
        if acting is None or any(each.names(name) for each in entries):
            return acting is not None
        # A network of translators is not all that is behind them.
        inside = [each for each in readings(address)[1:] if kind(str(each)) != PUBLIC]
        return all(any(each.holds([one]) for each in entries) for one in {acting, *inside})

    def _denied(self, name: str, port: int, addresses: Iterable[str]) -> str:
        found = [reading for address in addresses for reading in readings(address)]
        for entry in self.deny:
            # Without a port it is all of them, not those of `ports` alone: `allow` may have
            # opened others.
            if entry.port in (None, _ANY, port) and (entry.names(name) or entry.holds(found)):
                return f"it is in deny={entry.text}"
        return ""

    def _is_open(self, port: int) -> bool:
        return 0 < port < 65536 and (port in self.ports or _ANY in self.ports)

    def _opens(self, entry: Entry, port: int) -> bool:
        if entry.port is None:
            return self._is_open(port)
        return 0 < port < 65536 and entry.port in (_ANY, port)

    def _closed(self, port: int) -> str:
        return f"port {port} is not one of ports={_written(self.ports)}"

    def __repr__(self) -> str:
        allow, deny = ([each.text for each in entries] for entries in (self.allow, self.deny))
        return f"{type(self).__name__}({allow=}, {deny=}, ports={_written(self.ports)!r})"


def _compared(host: str) -> str:
    """A host as names are compared: what is looked up, without the dot at its end."""
    return (looked_up(host) or host.lower()).removesuffix(".")


def _written(ports: frozenset[int]) -> str:
    return "*" if _ANY in ports else " ".join(map(str, sorted(ports)))


def _listed(setting: str, value: object, expected: str) -> list[object]:
    if isinstance(value, str):
        return list(value.replace(",", " ").split())
    if isinstance(value, int):
        return [value]
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{setting}={value!r}: {expected}")
    return list(value)


def _entries(setting: str, value: object) -> tuple[Entry, ...]:
    entries = []
    for text in _listed(setting, value, _EXPECTED):
        try:
            entries.append(_entry(text))
        except ValueError as error:
            raise ConfigurationError(f"{setting}={text!r}: {_EXPECTED}") from error
    return tuple(entries)


def _entry(text: object) -> Entry:
    """Read one entry; ValueError if it is none."""
    if not isinstance(text, str):
        raise ValueError(text)
    if text.count(":") > 1 and text[0] != "[":
        return Entry(text, "", _network(text), None)  # IPv6, which has no port without brackets
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    host, digits = match.groups()
    port = None if digits is None else _ANY if digits == "*" else _port(digits)
    if host[0] == "[":
        return Entry(text, "", _network(host[1:-1]), port)
    if "/" in host or address_of(host) is not None:
        return Entry(text, "", _network(host), port)
    name = host if host == "*" else _name(host)
    return Entry(text, name, None, port)


def _network(text: str) -> Network:
    if not _CIDR.fullmatch(text):
        raise ValueError(text)
    network = ip_network(text)
    acting = address_of(str(network.network_address))
    if isinstance(network, IPv6Network) and isinstance(acting, IPv4Address):
        return IPv4Network((acting, network.prefixlen - 96))  # addresses are compared as they act
    return network


def _name(text: str) -> str:
    bare = text.removeprefix(".")
    name = looked_up(bare).removesuffix(".") if bare.isascii() else ""
    # A number would be compared as a text, and looked up as an address.
    if not name or names_a_number(name):
        raise ValueError(text)
    return text[: len(text) - len(bare)] + name


def _ports(value: object) -> frozenset[int]:
    expected = "expected port numbers, or * for all"
    found = set()
    for port in _listed("ports", value, expected):
        try:
            found.add(_ANY if port == "*" else _port(port))
        except ValueError as error:
            raise ConfigurationError(f"ports={port!r}: {expected}") from error
    return frozenset(found)


def _port(value: object) -> int:
    number = "" if isinstance(value, bool) else port_number(str(value))
    if not number:
        raise ValueError(value)
    return int(number)
