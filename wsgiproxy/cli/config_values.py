"""Values of the configuration file that are no rows of the settings."""

from __future__ import annotations

import shlex

from wsgiproxy.cli import options
from wsgiproxy.cli.health import read_health
from wsgiproxy.cli.listen import kinds
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.places import read_place

__all__ = [
    "has_oversized",
    "health_path",
    "read_host",
    "read_host_port",
    "read_loopback",
    "read_prefix",
    "read_target",
    "read_threads",
    "read_words",
]


def read_host_port(value: object) -> str:
    """An address to serve."""
    try:
        options.read_listen(str(value))
    except ConfigurationError as error:
        raise ValueError(value) from error
    return str(value)


def read_loopback(value: object) -> str:
    """An address to serve that other machines cannot reach."""
    if kinds(options.read_listen(read_host_port(value))) != {"loopback"}:
        raise ValueError(value)
    return str(value)


def read_threads(value: object) -> str:
    """A number of threads."""
    try:
        return str(options.read_threads(str(value)))
    except ConfigurationError as error:
        raise ValueError(value) from error


def health_path(value: object) -> str:
    """A path of ``health``."""
    if not isinstance(value, str):
        raise ValueError(value)
    return read_health(value)


def read_host(host: object) -> str:
    """The host of a route."""
    if not isinstance(host, str) or "/" in host:
        raise ConfigurationError(f"host={host!r}: expected a name such as app.localhost")
    read_place(host)
    return host


def read_prefix(prefix: object) -> str:
    """The prefix of a route."""
    if not isinstance(prefix, str) or prefix[:1] not in ("", "/"):
        raise ConfigurationError(f"prefix={prefix!r}: expected a path such as /app")
    read_place(prefix)
    return prefix


def read_target(given: object) -> str:
    """The ``href`` of a target, or of a list of them."""
    parts = given if isinstance(given, list) else [given]
    if not parts or not all(isinstance(each, (str, int)) for each in parts):
        raise ConfigurationError(f"target={given!r}: expected an address, or a list of addresses")
    return options.read_target(" ".join(map(str, parts)), "target")


def read_words(command: object) -> tuple[str, ...]:
    """A command."""
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise ConfigurationError(f"command={command!r}: {error}") from error
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise ConfigurationError(f"command={command!r}: expected words, such as ['npm', 'start']")
    return tuple(words)


def has_oversized(value: object) -> bool:
    """Whether there is a number that TOML does not have."""
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return any(map(has_oversized, value.values()))
    return isinstance(value, list) and any(map(has_oversized, value))
