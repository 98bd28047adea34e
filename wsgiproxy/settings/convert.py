"""Converters from the values of users, strings included, to those in use; else ValueError."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.sansio.fields.envelope import is_reserved
from wsgiproxy.sansio.fields.forwarded import PREFIX
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.grammar import is_length, is_token
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.sansio.target import PRINTABLE, escapes

if TYPE_CHECKING:
    from wsgiproxy.guard import Guard

__all__ = [
    "authorities",
    "boolean",
    "command",
    "count",
    "directory",
    "domain",
    "environ_keys",
    "field_names",
    "guard",
    "host_port",
    "hosts",
    "leeway",
    "mount",
    "name_without_port",
    "nonces",
    "path",
    "port",
    "positive_count",
    "port_to_take",
    "probe",
    "seconds",
    "share",
    "size",
    "text",
    "token",
    "variables",
    "variable_names",
    "words",
]

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


def leeway(value: object) -> float:
    """A time from zero on."""
    number = float(str(value))
    if not 0 <= number < 1e9:
        raise ValueError(number)
    return number


def count(value: object) -> int:
    """A whole number from 0 on."""
    digits = str(value).strip()
    if isinstance(value, bool) or not is_length(digits):
        raise ValueError(value)
    return int(digits)


def positive_count(value: object) -> int:
    """A whole number from 1 on."""
    number = count(value)
    if not number:
        raise ValueError(value)
    return number


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
    parts = tuple(value)
    if not all(isinstance(word, str) for word in parts):
        raise ValueError(value)
    return parts


def field_names(value: object) -> tuple[str, ...]:
    """A list of header names."""
    names = words(value)
    if not all(map(is_token, names)):
        raise ValueError(value)
    return names


def hosts(value: object) -> tuple[str, ...]:
    """A list of host names without ports; ``.example.com`` stands for all below it."""
    # A value that was converted before has no brackets around an IPv6 address any more.
    names = [bracketed(word) if word.count(":") > 1 else word for word in words(value)]
    split = [(word, split_host(word.lower())) for word in names]
    if not all(is_host(word.lstrip(".")) and port == 0 for word, (_, port) in split):
        raise ValueError(value)
    return tuple(name for _, (name, _) in split)


def authorities(value: object) -> tuple[str, ...]:
    """A list of hosts with their ports, as ``Host`` has them."""
    names = tuple(word.lower() for word in words(value))
    if not all(is_host(word) for word in names):
        raise ValueError(value)
    return names


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
    if not isinstance(value, str) or not (is_token(value) or is_host(value)):
        raise ValueError(value)
    return value


def domain(value: object) -> str:
    """A domain, or nothing."""
    if value != "" and (not is_host(str(value).lstrip(".")) or ":" in str(value)):
        raise ValueError(value)
    return str(value)


def environ_keys(value: object) -> tuple[str, ...]:
    """A list of environ keys that may be carried."""
    keys = words(value)
    if any(is_reserved(key) or "*" in key for key in keys):
        raise ValueError(value)
    return keys


def mount(value: object) -> str:
    """A path prefix, of which the slash at its end is taken off."""
    prefix = str(value).rstrip("/")
    if not isinstance(value, str) or (prefix and (not PREFIX.fullmatch(prefix) or escapes(prefix))):
        raise ValueError(value)
    return prefix


def port(value: object) -> str:
    """A port number, as ``SERVER_PORT`` has it."""
    number = count(value)
    if not 0 < number <= 65535:
        raise ValueError(value)
    return str(number)


def host_port(value: object) -> str:
    """``host:port``, with a port."""
    if not isinstance(value, str) or not is_host(value) or split_host(value)[1] == 0:
        raise ValueError(value)
    return value


def name_without_port(value: object) -> str:
    """A host name or address, without a port."""
    name = text(value)
    if not is_host(name) or split_host(name)[1] or name.endswith(":"):
        raise ValueError(value)
    return name


def nonces(value: object) -> Any:
    """``memory``, or a store that has ``add(key, ttl)``."""
    if value != "memory" and not callable(getattr(value, "add", None)):
        raise ValueError(value)
    return value


def command(value: object) -> tuple[str, ...]:
    """The words of a command; a string is split as a shell would, and no shell sees it."""
    parts = tuple(shlex.split(value)) if isinstance(value, str) else words(value)
    if not parts or not parts[0] or any("\0" in word for word in parts):
        raise ValueError(value)
    return parts


def directory(value: object) -> str:
    """The path of a directory that is there."""
    folder = os.path.abspath(path(value))  # this process may change its directory
    if not os.path.isdir(folder):
        raise ValueError(folder)
    return folder


def variables(value: object) -> dict[str, str]:
    """Environment variables: a mapping, or ``NAME=value`` words as a shell would split them."""
    if isinstance(value, str):
        pairs = [word.partition("=")[::2] for word in shlex.split(value)]
        if any("=" not in word for word in shlex.split(value)):
            raise ValueError(value)
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        raise ValueError(value)
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str) or not name:
            raise ValueError(value)
        if "=" in name or "\0" in name + text:
            raise ValueError(value)
    return dict(pairs)


def variable_names(value: object) -> tuple[str, ...]:
    """Names of environment variables, with ``*`` in them; true for all of them."""
    if not isinstance(value, (str, bool)):
        return words(value)
    try:
        return ("*",) if boolean(value) else ()
    except ValueError:
        return words(value)


def port_to_take(value: object) -> int:
    """A port number to listen on."""
    return int(port(value))


def probe(value: object) -> Any:
    """The path of a request, or a function."""
    if not callable(value) and not (isinstance(value, str) and PRINTABLE.fullmatch(value)):
        raise ValueError(value)
    if isinstance(value, str) and (value[:1] != "/" or "#" in value):
        raise ValueError(value)
    return value


def _listed(value: object) -> Iterable[object]:
    if isinstance(value, str):
        return words(value)
    if not isinstance(value, Iterable):
        raise ValueError(value)
    return value


def guard(value: object) -> Guard | None:
    """A guard; true stands for one that lets public addresses pass, false and None for none."""
    if value is None or value is False:
        return None
    from wsgiproxy.guard import Guard  # sockets: only where a guard is configured

    if isinstance(value, Guard):
        return value
    return Guard() if boolean(value) else None


def share(value: object) -> str | None:
    """The path of a folder, or true or false: empty for one of our choice, None for none."""
    try:
        return "" if boolean(value) else None
    except ValueError:
        return path(value)
