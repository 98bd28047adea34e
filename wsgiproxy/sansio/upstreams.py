"""What ``href`` says where it is more than one address: a list, a name to look up, a function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance.member import HEAVIEST
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.href import Base, parse_href, without_password

__all__ = ["Address", "Lookup", "Source", "Targets", "are_addresses", "read_addresses", "read_href"]

#: What a function that gives the upstreams returns: addresses, each alone or with its weight.
Source = Callable[[], "Iterable[str | tuple[str, int]]"]

_EXPECTED = (
    "expected an address, a list of addresses or of (address, weight), dns:name:port, or a function"
    " that returns such a list"
)
_WEIGHT = re.compile(r"weight=([0-9]{1,6})")
_ADDRESS = re.compile(r"(?:https?://|unix:|dns:).*", re.IGNORECASE)
_LOOKUP = re.compile(r"dns:(?P<name>[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?].*)?")


class Address(NamedTuple):
    """One upstream.

    :param text: its address as it was given, which names it everywhere.
    :param base: what that says.
    :param weight: its share of the requests beside the weights of the others.
    """

    text: str
    base: Base
    weight: int = 1


class Lookup(NamedTuple):
    """A name whose addresses are looked up again and again.

    :param name: of A and AAAA records, with a port; or of SRV records (RFC 2782), without.
    :param port: 0 for SRV records.
    :param base: Host, path and query of what is sent, whichever address it goes to.
    """

    name: str
    port: int
    base: Base


class Targets(NamedTuple):
    """What ``href`` says.

    :param addresses: the upstreams; none where they are not known beforehand.
    :param lookup: the name that gives them; None for none.
    :param source: the function that gives them; None for none.
    """

    addresses: tuple[Address, ...]
    lookup: Lookup | None = None
    source: Source | None = None

    @property
    def is_folder(self) -> bool:
        """As :attr:`.Base.is_folder`, of all of them."""
        if self.lookup is not None:
            return self.lookup.base.is_folder
        return all(each.base.is_folder for each in self.addresses)

    @property
    def base(self) -> Base | None:
        """Of the first; None where a function gives them."""
        if self.lookup is not None:
            return self.lookup.base
        return self.addresses[0].base if self.addresses else None


def are_addresses(what: object) -> bool:
    """Whether a list is one of addresses, and not a command.

    >>> are_addresses(["http://a", "http://b"]), are_addresses(["npm", "start"])
    (True, False)
    """
    if not isinstance(what, Sequence) or isinstance(what, (str, bytes, bytearray)):
        return False
    return bool(what) and all(
        isinstance(each, tuple) or (isinstance(each, str) and bool(_ADDRESS.fullmatch(each)))
        for each in what
    )


def read_href(href: object) -> Targets:
    """Read what ``href`` says.

    :param href: an address (:func:`~wsgiproxy.sansio.href.parse_href`); several in one text, with
        blanks between them and ``weight=N`` behind those that have a weight; a list of addresses
        or of pairs with a weight; ``dns:name:port[/path]`` or ``dns:_service._tcp.name``; or a
        function without parameters.
    :raises ConfigurationError: it is none of these, an address comes twice, or some are http and
        some https.

    >>> [each.text for each in read_href("http://a:1 weight=3 http://b:2").addresses]
    ['http://a:1', 'http://b:2']
    >>> read_href([("http://a:1", 3), "http://b:2"]).addresses[0].weight
    3
    """
    if isinstance(href, str):
        if href.startswith("dns:"):
            return Targets((), lookup=_read_lookup(href))
        words = href.split()
        return Targets(read_addresses(_with_weights(words) if len(words) > 1 else [href]))
    if callable(href) and _takes_nothing(href):
        return Targets((), source=href)
    if isinstance(href, Iterable) and not isinstance(href, (bytes, bytearray)):
        return Targets(read_addresses(href))
    parse_href(href)  # type: ignore[arg-type]  # it says what is wrong
    raise ConfigurationError(f"href={href!r}: {_EXPECTED}")


def _takes_nothing(function: Callable[..., Any]) -> bool:
    """Whether it can be called without arguments, as an application cannot."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return not isinstance(function, type)


def _with_weights(words: list[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for word in words:
        weight = _WEIGHT.fullmatch(word)
        if weight is None:
            found.append((word, 1))
        elif not found:
            raise ConfigurationError(f"href={word!r}: expected an address before its weight")
        else:
            found[-1] = (found[-1][0], int(weight[1]))
    return found


def read_addresses(given: Iterable[Any]) -> tuple[Address, ...]:
    """The upstreams of a list.

    :raises ConfigurationError: as :func:`read_href` says, or the list is empty.
    """
    found = tuple(map(_read_address, given))
    if not found:
        raise ConfigurationError("href=[]: expected at least one address")
    texts: set[str] = set()
    for each in found:
        if each.text in texts:
            raise ConfigurationError(f"href: {each.text!r} comes twice: expected its weight once")
        texts.add(each.text)
        if each.base.origin.scheme != found[0].base.origin.scheme:
            raise ConfigurationError(
                f"href: {each.text!r} beside {found[0].text!r}: expected one scheme for all"
            )
    return found


def _read_address(given: object) -> Address:
    text, weight = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, 1)
    if isinstance(text, str) and text.startswith("dns:"):
        raise ConfigurationError(f"href={text!r}: expected a name to look up to stand alone")
    if isinstance(weight, bool) or not isinstance(weight, int) or not 0 < weight <= HEAVIEST:
        raise ConfigurationError(
            f"href={without_password(repr(given))}: expected a weight from 1 to {HEAVIEST}"
        )
    base = parse_href(text)  # type: ignore[arg-type]  # which says what is wrong
    return Address(str(text), base, weight)


def _read_lookup(href: str) -> Lookup:
    match = _LOOKUP.fullmatch(href)
    name, port = (match["name"].rstrip("."), int(match["port"] or 0)) if match else ("", 0)
    is_service = name.startswith("_") and name.count("._") == 1
    if not match or port > 65535 or is_service == bool(port) or not (is_service or is_host(name)):
        raise ConfigurationError(
            f"href={href!r}: expected dns:name:port[/path][?query] or dns:_service._tcp.name[/path]"
        )
    host = name.split(".", 2)[-1] if is_service else name
    where = f"{host}:{port}" if port else host
    return Lookup(name, port, parse_href(f"http://{where}{match['rest'] or ''}"))
