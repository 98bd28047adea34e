"""The command of a spawned process: its placeholders, and the socket that they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wsgiproxy.errors import ConfigurationError

__all__ = ["KINDS", "fill", "meanings", "socket_kind"]

# What a person may write -> what it stands for. The names in capitals are those of 0.2.
_PLACEHOLDERS = {
    "{port}": "port",
    "__PORT__": "port",
    "{fd}": "fd",
    "__FD__": "fd",
    "{socket}": "socket",
}

#: The ways in which a process gets its socket -> what can be filled in.
KINDS = {
    "inherit": frozenset(["fd", "port"]),
    "unix": frozenset(["socket"]),
    "port": frozenset(["port"]),
}


def _used(texts: Iterable[str]) -> dict[str, str]:
    """The placeholders in *texts*, and what they stand for."""
    return {
        written: meaning
        for text in texts
        for written, meaning in _PLACEHOLDERS.items()
        if written in text
    }


def meanings(texts: Iterable[str]) -> set[str]:
    """What the placeholders in *texts* stand for.

    >>> meanings(["--bind=fd://{fd}"])
    {'fd'}
    """
    return set(_used(texts).values())


def socket_kind(texts: Iterable[str], given: str | None = None) -> str:
    """One of :data:`KINDS`: as given, or as the placeholders ask for it.

    :param texts: the words of the command, and whatever else placeholders may stand in.
    :param given: the setting ``socket``, if there is one.
    :raises ConfigurationError: a placeholder for which nothing could be filled in.

    >>> socket_kind(["node", "server.js", "{port}"]), socket_kind(["myserver"])
    ('port', 'inherit')
    """
    used = _used(texts)
    wanted = set(used.values())
    if given:
        kind = given
    elif "fd" in wanted or not wanted:
        kind = "inherit"
    else:
        kind = "unix" if "socket" in wanted else "port"
    for written, meaning in used.items():
        if meaning not in KINDS[kind]:
            raise ConfigurationError(
                f"start_script: {written} has no meaning with socket={kind!r}, where there is"
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
    for written, meaning in _PLACEHOLDERS.items():
        if meaning in values:
            text = text.replace(written, values[meaning])
    return text
