"""Writes ``wsgiproxy/settings/options.py`` from the rows: ``python -m tests.support.options``."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wsgiproxy.settings import (
    APP,
    BALANCE,
    FORWARD,
    INSPECT,
    MIDDLEWARE,
    SIGNING,
    SPAWN,
    SPAWNED_APP,
    SPAWNED_SIGNING,
    SPAWNED_TRANSPORT,
    TRANSPORT,
    TUNNEL,
    UPGRADE,
    WEBSOCKET,
    Setting,
    convert,
    forward,
    inspect,
    websocket,
)
from wsgiproxy.settings import balance as several
from wsgiproxy.settings.described import sentence
from wsgiproxy.settings.setting import Choice

PATH = Path(__file__).parents[2] / "wsgiproxy" / "settings" / "options.py"

_PATH = "str | os.PathLike[str]"
_WORDS = "str | Iterable[str]"
_NUMBERS = "str | int | Iterable[int | str]"

#: Converter -> what it takes. Strings are taken everywhere: they come from ini files.
TYPES: dict[Callable[[Any], Any], str] = {
    convert.authorities: _WORDS,
    convert.boolean: "bool | str",
    convert.count: "int | str",
    convert.domain: "str",
    convert.environ_keys: _WORDS,
    convert.field_names: _WORDS,
    convert.hosts: _WORDS,
    convert.leeway: "float | str",
    convert.nonces: 'Replay | Literal["memory"]',
    convert.path: _PATH,
    convert.positive_count: "int | str",
    convert.probe: "str | Callable[[str], object]",
    convert.seconds: "float | str",
    convert.share: f"bool | {_PATH}",
    convert.size: "int | str",
    convert.text: "str",
    convert.token: "str",
    convert.variable_names: f"bool | {_WORDS}",
    convert.words: _WORDS,
    forward._credentials: f"{_PATH} | Callable[[str, str], bool]",
    forward._ports: _NUMBERS,
    inspect._names: _WORDS,
    several._path: "str",
    several._statuses: _NUMBERS,
    websocket._protocols: _WORDS,
    websocket._message_size: "int | str",
    convert.guard: "Guard | bool | str",
}

HEAD = '''"""The options of each class as keyword arguments, for type checkers and editors.

Made from the rows by ``python -m tests.support.options``; edit those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Literal

    from wsgiproxy.guard import Guard
    from wsgiproxy.replay import Replay
'''


class Kind(NamedTuple):
    """A class of options.

    :param name: its name.
    :param bases: the classes whose options it has, too.
    :param about: its docstring.
    :param rows: its own options.
    """

    name: str
    bases: tuple[str, ...]
    about: str
    rows: tuple[Setting, ...]


def without(rows: tuple[Setting, ...], names: set[str]) -> tuple[Setting, ...]:
    return tuple(row for row in rows if row.name not in names)


def only(rows: tuple[Setting, ...], names: set[str]) -> tuple[Setting, ...]:
    return tuple(row for row in rows if row.name in names)


def _of(name: str) -> str:
    return f"Options of :class:`wsgiproxy.{name}`, as keyword arguments."


_HOST = {"preserve_host"}
_CARRIED = {"secret_file", "string_keys", "unicode_keys", "json_keys", "pickle_keys"}
_LOCAL = {row.name for row in SPAWNED_TRANSPORT}
_OF_THE_MIDDLEWARE = {"secret_file", "trust_ips", "prefix", "pop_prefix", "scheme"}
_OF_THE_MIDDLEWARE |= {"host", "domain", "port"}
_OF_THE_SPAWNER = {"start_script", "cwd", "script_env", "spawned_port", "idle_shutdown"}

KINDS = [
    Kind("LimitOptions", (), "Limits of a transport, as keyword arguments.", SPAWNED_TRANSPORT),
    Kind(
        "TransportOptions",
        ("LimitOptions",),
        _of("transport.PooledTransport"),
        without(TRANSPORT, _LOCAL),
    ),
    Kind(
        "ReverseOptions",
        (),
        "Options of a reverse proxy, whatever is behind it, as keyword arguments.",
        without(APP, _HOST) + without(SIGNING, _CARRIED) + UPGRADE,
    ),
    Kind(
        "WebSocketOptions",
        (),
        "Options of a relay of WebSocket messages, as keyword arguments.",
        WEBSOCKET,
    ),
    Kind(
        "BalanceOptions",
        ("ReverseOptions", "TransportOptions"),
        "Options of a reverse proxy to one upstream or several, as keyword arguments.",
        BALANCE,
    ),
    Kind(
        "AppOptions",
        ("BalanceOptions",),
        _of("app.WSGIProxyApp"),
        only(APP, _HOST) + TUNNEL,
    ),
    Kind(
        "ASGIAppOptions",
        ("BalanceOptions", "WebSocketOptions"),
        _of("asgi.ASGIProxyApp"),
        only(APP, _HOST),
    ),
    Kind(
        "BothSpawnOptions",
        ("ReverseOptions", "LimitOptions"),
        "Options of a spawner, as keyword arguments.",
        without(SPAWN, _OF_THE_SPAWNER)
        + only(SPAWNED_APP, _HOST)
        + only(SPAWNED_SIGNING, _CARRIED),
    ),
    Kind("SpawnOptions", ("BothSpawnOptions",), _of("spawn.SpawningApplication"), TUNNEL),
    Kind(
        "ASGISpawnOptions",
        ("BothSpawnOptions", "WebSocketOptions"),
        _of("asgi.ASGISpawningApplication"),
        (),
    ),
    Kind(
        "ForwardOptions",
        ("LimitOptions",),
        _of("forward.ForwardProxy"),
        FORWARD,
    ),
    Kind(
        "UrlForwardOptions",
        ("LimitOptions",),
        _of("asgi.ASGIForwardProxy"),
        forward.URL_FORWARD + without(forward.URL_FORWARD_TRANSPORT, _LOCAL),
    ),
    Kind(
        "MiddlewareOptions",
        (),
        "Options of the two middlewares, for WSGI and for ASGI, as keyword arguments.",
        without(MIDDLEWARE, _OF_THE_MIDDLEWARE),
    ),
    Kind("InspectOptions", (), _of("inspector.Inspector"), INSPECT),
]


def annotation(take: Callable[[Any], Any]) -> str:
    """The type of what a converter takes."""
    if isinstance(take, Choice):
        words = ", ".join(f'"{word}"' for word in take.words)
        return f"Literal[{words}]"
    return TYPES[take]


def described(row: Setting) -> Iterator[str]:
    none = " | None" if row.default is None else ""
    yield f"    {row.name}: {annotation(row.convert)}{none}"
    is_said = "(default: " in row.help or row.default is None
    default = "" if is_said else f" Default: {row.default!r}."
    text = f'"""{sentence(row)}{default}"""'
    yield textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ")


def source() -> str:
    """The text of the module."""
    names = ",\n".join(f'    "{name}"' for name in sorted(kind.name for kind in KINDS))
    parts = [f"{HEAD}\n__all__ = [\n{names},\n]\n"]
    for kind in KINDS:
        bases = ", ".join(kind.bases) or "TypedDict"
        lines = [
            f"class {kind.name}({bases}, total=False):",
            f'    """{kind.about}"""',
            *([""] if kind.rows else []),
            *(line for row in kind.rows for line in described(row)),
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(source())
