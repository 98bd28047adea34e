"""The command of a spawned process: its placeholders, and the socket that they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wsgiproxy.errors import ConfigurationError

__all__ = ["KINDS", "fill", "meanings", "socket_kind"]

# Placeholder -> the value it is replaced by. The names in capitals are those of 0.2.
_PLACEHOLDERS = {
    "{port}": "port",
    "__PORT__": "port",
    "{fd}": "fd",
    "__FD__": "fd",
    "{socket}": "socket",
}

#: The ways in which a process gets its listening socket -> the values for placeholders.
KINDS = {
    "inherit": frozenset(["fd", "port"]),
    "unix": frozenset(["socket"]),
    "port": frozenset(["port"]),
}


def _used(texts: Iterable[str]) -> dict[str, str]:
    """The placeholders in *texts*, each with the name of its value."""
    return {
        placeholder: name
        for text in texts
        for placeholder, name in _PLACEHOLDERS.items()
        if placeholder in text
    }


def meanings(texts: Iterable[str]) -> set[str]:
    """The names of the values that the placeholders in *texts* are replaced by.

    >>> meanings(["--bind=fd://{fd}"])
    {'fd'}
    """
    return set(_used(texts).values())


def socket_kind(texts: Iterable[str], setting: str | None = None) -> str:
    """One of :data:`KINDS`: the setting, or else the one that the placeholders need.

    :param texts: the words of the command, and the values of its environment variables.
    :param setting: the setting ``socket``.
    :raises ConfigurationError: that kind of socket has no value for a placeholder.

    >>> socket_kind(["node", "server.js", "{port}"]), socket_kind(["myserver"])
    ('port', 'inherit')
    """
    used = _used(texts)
    wanted = set(used.values())
    if setting:
        kind = setting
    elif "fd" in wanted or not wanted:
        kind = "inherit"
    else:
        kind = "unix" if "socket" in wanted else "port"
    for placeholder, name in used.items():
        if name not in KINDS[kind]:
            raise ConfigurationError(
                f"start_script: {placeholder} has no meaning with socket={kind!r}, where there is"
                f" {' and '.join('{' + name + '}' for name in sorted(KINDS[kind]))}"
            )
    if kind == "unix" and "socket" not in wanted:
        raise ConfigurationError(
            "start_script: expected {socket} in it with socket='unix'; it is a new one each time"
        )
    return kind


def fill(text: str, values: Mapping[str, str]) -> str:
    """*text* with its placeholders replaced.

    >>> fill("--bind=127.0.0.1:{port}", {"port": "4711"})
    '--bind=127.0.0.1:4711'
    """
    for placeholder, name in _PLACEHOLDERS.items():
        if name in values:
            text = text.replace(placeholder, values[name])
    return text
