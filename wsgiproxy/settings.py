"""Every option of every part, one row each: name, converter, what is expected, help.

Keyword arguments, the command line and the strings of Paste Deploy go through the same
rows, so that a bad value is refused in the same words everywhere.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.headers import is_host, is_token
from wsgiproxy.sansio.target import split_host

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class TransportOptions(TypedDict, total=False):
        """Options of the transport, as keyword arguments."""

        connect_timeout: float | str
        head_timeout: float | str
        idle_timeout: float | str
        keep_alive: float | str
        max_idle: int | str
        max_head: int | str
        max_fields: int | str
        max_line: int | str
        verify: bool | str
        ca_file: str | None
        client_cert: str | None
        client_key: str | None
        parent_proxy: str | None

    class AppOptions(TransportOptions, total=False):
        """Options of :class:`wsgiproxy.app.WSGIProxyApp`, as keyword arguments."""

        preserve_host: bool | str
        trusted_proxies: str | Iterable[str]
        allowed_hosts: str | Iterable[str]
        suppress_headers: str | Iterable[str]
        forwarded: bool | str
        via: str | None
        rewrite_location: bool | str
        scope_cookies: bool | str
        cookie_domain: str | None
        max_body: int | str | None


__all__ = ["APP", "TRANSPORT", "Setting", "settle"]


@dataclass(frozen=True)
class Setting:
    """One option.

    :param name: as a keyword; dashes instead of underscores on the command line.
    :param convert: from what was given to what is used; raises ValueError.
    :param default: what is used if nothing is given.
    :param expected: what a good value is, for the message about a bad one.
    :param help: what the option does, for the command line and the documentation.
    """

    name: str
    convert: Callable[[Any], Any]
    default: Any
    expected: str
    help: str

    def settle(self, value: object) -> Any:
        """The value to use for what was given.

        :raises ConfigurationError: naming the setting, the value and what was expected.
        """
        try:
            return self.convert(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{self.name}={value!r}: expected {self.expected}") from error


_TRUE = frozenset(["true", "yes", "on", "1"])
_FALSE = frozenset(["false", "no", "off", "0"])
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def boolean(value: object) -> bool:
    """True or false, also as Paste Deploy writes them."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def seconds(value: object) -> float:
    """A time above zero."""
    number = float(str(value))
    if not 0 < number < 1e9:
        raise ValueError(number)
    return number


def count(value: object) -> int:
    """A whole number from 0 on."""
    digits = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", digits):
        raise ValueError(value)
    return int(digits)


def size(value: object) -> int:
    """A number of bytes, with ``k``, ``m`` or ``g`` for the powers of 1024."""
    text = str(value).strip().lower()
    unit = _UNITS.get(text[-1:], 1)
    return count(text if unit == 1 else text[:-1]) * unit


def words(value: object) -> tuple[str, ...]:
    """A list of strings, or one string separated by spaces and commas."""
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if not isinstance(value, Iterable):
        raise ValueError(value)
    found = tuple(value)
    if not all(isinstance(word, str) for word in found):
        raise ValueError(value)
    return found


def field_names(value: object) -> tuple[str, ...]:
    """A list of header names."""
    found = words(value)
    if not all(map(is_token, found)):
        raise ValueError(value)
    return found


def hosts(value: object) -> tuple[str, ...]:
    """A list of host names without ports; ``.example.com`` stands for all below it."""
    found = [(word, split_host(word.lower(), 0)) for word in words(value)]
    if not all(is_host[word.lstrip(".")] and port == 0 for word, (_, port) in found):
        raise ValueError(value)
    return tuple(name for _, (name, _) in found)


def text(value: object) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


def path(value: object) -> str:
    """The path of a file, as a string or a ``pathlib.Path``."""
    return text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def token(value: object) -> str:
    """A token, or ``host:port``."""
    if not isinstance(value, str) or not (is_token(value) or is_host[value]):
        raise ValueError(value)
    return value


def domain(value: object) -> str:
    """A domain, or nothing."""
    if value != "" and (not is_host[str(value).lstrip(".")] or ":" in str(value)):
        raise ValueError(value)
    return str(value)


def or_none(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    """Let None pass."""
    return lambda value: None if value is None else convert(value)


_SECONDS = "a number of seconds above 0"
_COUNT = "a whole number from 0 on"
_SIZE = "a number of bytes, such as 65536 or 64k"
_BOOLEAN = "true or false"
_FILE = "the path of a file"

TRANSPORT = (
    Setting("connect_timeout", seconds, 10.0, _SECONDS, "seconds to connect, for each address"),
    Setting("head_timeout", seconds, 60.0, _SECONDS, "seconds for the head of the answer"),
    Setting("idle_timeout", seconds, 60.0, _SECONDS, "seconds between two reads or writes"),
    Setting("keep_alive", seconds, 50.0, _SECONDS, "seconds to keep an unused connection"),
    Setting("max_idle", count, 64, _COUNT, "unused connections to keep for one upstream"),
    Setting("max_head", size, 65536, _SIZE, "largest head of a message, in bytes"),
    Setting("max_fields", count, 200, _COUNT, "most header fields of a message"),
    Setting("max_line", size, 8192, _SIZE, "longest header field, in bytes"),
    Setting("verify", boolean, True, _BOOLEAN, "verify the certificates of https upstreams"),
    Setting("ca_file", or_none(path), None, _FILE, "PEM file of the authorities to believe"),
    Setting("client_cert", or_none(path), None, _FILE, "PEM file with our own certificate"),
    Setting("client_key", or_none(path), None, _FILE, "PEM file with the key of client_cert"),
    Setting(
        "parent_proxy",
        or_none(text),
        None,
        "http://[user:password@]host:port or socks5h://host:port",
        "the proxy through which to connect",
    ),
)

APP = (
    Setting("preserve_host", boolean, False, _BOOLEAN, "send the client's Host, not the target's"),
    Setting(
        "trusted_proxies",
        words,
        (),
        "addresses, networks such as 10.0.0.0/8, or 'unix'",
        "peers whose X-Forwarded-* are kept and appended to",
    ),
    Setting("allowed_hosts", hosts, (), "host names", "hosts to answer for; all, if none is given"),
    Setting("suppress_headers", field_names, (), "header names", "request headers not to send on"),
    Setting("forwarded", boolean, False, _BOOLEAN, "also announce in Forwarded (RFC 7239)"),
    Setting("via", or_none(token), None, "a token", "our name in Via; a random one if not given"),
    Setting("rewrite_location", boolean, True, _BOOLEAN, "map Location and Refresh back"),
    Setting("scope_cookies", boolean, False, _BOOLEAN, "map the Path of cookies to the mount"),
    Setting(
        "cookie_domain",
        or_none(domain),
        None,
        "a domain, or nothing to remove it",
        "replaces the Domain of cookies",
    ),
    Setting("max_body", or_none(size), None, _SIZE, "largest request body in bytes"),
)


def settle(rows: Iterable[Setting], given: Mapping[str, object]) -> dict[str, Any]:
    """The values of *rows*, from what was given and the defaults.

    :raises ConfigurationError: an unknown name, or a bad value.

    >>> settle(TRANSPORT, {"max_head": "16k"})["max_head"]
    16384
    >>> settle(TRANSPORT, {"conect_timeout": 1})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: conect_timeout=1: ... did you mean connect_timeout?
    """
    known = {row.name: row for row in rows}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; expected one of {sorted(known)}"
            raise ConfigurationError(f"{name}={value!r}: no such setting{hint}")
    return {
        name: row.settle(given[name]) if name in given else row.default
        for name, row in known.items()
    }
