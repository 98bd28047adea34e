"""The configuration file of ``serve``: TOML, of which every fault is found, with its line.

It serves nothing, and writes nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wsgiproxy.cli import options
from wsgiproxy.cli.config_values import (
    has_oversized,
    health_path,
    read_host,
    read_host_port,
    read_loopback,
    read_prefix,
    read_target,
    read_threads,
    read_words,
)
from wsgiproxy.cli.faults import Fault, Faults, Lines
from wsgiproxy.cli.hints import did_you_mean
from wsgiproxy.cli.hook_names import hook_named, without_values
from wsgiproxy.cli.inspecting import FLAGS
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.logformat import FORMATS
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.places import Place, read_place
from wsgiproxy.settings import Setting, convert
from wsgiproxy.settings.rows import LEEWAY
from wsgiproxy.settings.setting import Choice

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ROWS", "SERVERS", "Config", "RouteTable", "read_config", "split"]

#: Those that take routes, and new ones without losing a request.
SERVERS = ("uvicorn", "waitress")

_LEVELS = ("debug", "info", "warning", "error")


_OF_PROCESS = (
    Setting("listen", read_host_port, "127.0.0.1:8080", "host:port", ""),
    Setting("metrics", read_host_port, None, "host:port", ""),
    Setting("inspect", convert.boolean, None, "true or false", ""),
    Setting("inspect_at", read_loopback, None, "host:port of a loopback address", ""),
    Setting("record", convert.text, None, "the path of a file", ""),
    *(replace(row, default=None) for row in FLAGS),
    Setting("server", Choice(SERVERS), None, "uvicorn or waitress", ""),
    Setting("threads", read_threads, None, "a number from 1 to 1000", ""),
    Setting("check", convert.boolean, True, "true or false", ""),
    Setting("health", health_path, None, "a path such as /-/health", ""),
    Setting("drain", convert.leeway, 0.0, LEEWAY, ""),
    Setting("grace", convert.leeway, None, LEEWAY, ""),
    Setting("access_log", convert.boolean, None, "true or false", ""),
    Setting("log_level", Choice(_LEVELS), "info", "debug, info, warning or error", ""),
    Setting("log_format", Choice(tuple(FORMATS)), "text", "text or json", ""),
)
#: Rows of options for every route, and of those of one.
_TARGET_ROWS = {row.name: row for _, rows in options.SERVE for row in rows}
_NOW = Setting("now", convert.boolean, False, "true or false", "")
_COMMAND_ROWS = {row.name: row for _, rows in options.SPAWNED for row in rows} | {"now": _NOW}
_TOP = {row.name: row for row in _OF_PROCESS}
#: All options that a file may have.
ROWS = {**_TARGET_ROWS, **_COMMAND_ROWS, **_TOP}
_ROUTE_KEYS = ("prefix", "host", "target", "command", "hooks")


@dataclass(frozen=True)
class RouteTable:
    """One ``[[route]]``, checked.

    :param prefix: as it is written, without a slash at its end.
    :param target: the ``href``, or several with blanks between them; empty for a command.
    :param settings: its own, converted.
    :param hooks: as they are written.
    :param lines: of its keys; that of its head is under the empty one.
    """

    place: Place
    text: str
    prefix: str
    target: str
    command: tuple[str, ...]
    settings: Mapping[str, Any]
    hooks: tuple[Any, ...]
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Config:
    """A file, checked.

    :param process: what is about the server and the log, by the names of the flags.
    :param common: options for every route that knows them, converted.
    :param lines: of the keys at the top.
    """

    process: Mapping[str, Any]
    common: Mapping[str, Any]
    hooks: tuple[Any, ...]
    routes: tuple[RouteTable, ...]
    lines: Mapping[str, int]


@dataclass
class _Reader:
    """Collects what is right in a file, and all that is not."""

    lines: Lines
    faults: list[Fault] = field(default_factory=list)
    places: dict[Place, int] = field(default_factory=dict)

    def fault(self, table: int, key: str, sentence: str, value: object = None) -> None:
        self.faults.append(Fault(self.lines.of(table, key, value), sentence))

    def lines_of(self, table: int, found: Iterable[str]) -> dict[str, int]:
        """The lines of the keys of a table, by the names of the options."""
        return {key.replace("-", "_"): self.lines.of(table, key) for key in ("", *found)}

    def values(
        self, table: int, found: Mapping[str, Any], rows: Mapping[str, Setting], more: Iterable[str]
    ) -> dict[str, Any]:
        """The values of the rows, converted."""
        values: dict[str, Any] = {}
        for key, value in found.items():
            name = key.replace("-", "_")
            if name in more:
                continue
            if key != name and name in found:
                self.fault(table, key, f"{key}: expected once, and not as {name}, too")
            if name not in rows:
                hint = _elsewhere(name) or _meant(name, {*rows, *more})
                self.fault(table, key, f"{key}: no such key here; {hint}")
                continue
            try:
                values[name] = rows[name].convert_value(value)
            except ConfigurationError as error:
                self.fault(table, key, str(error))
        return values

    def hooks(self, table: int, found: Mapping[str, Any]) -> tuple[Any, ...]:
        """The hooks that there are, as they are written."""
        hooks = found.get("hooks", [])
        if not isinstance(hooks, list):
            what = without_values(hooks)
            self.fault(table, "hooks", f"hooks: {what}: expected a list of names")
            return ()
        good = []
        for each in hooks:
            try:
                hook_named(each)
                good.append(each)
            except ConfigurationError as error:
                name = each.get("hook") if isinstance(each, dict) else each
                self.fault(table, "hooks", str(error), name)
        return tuple(good)

    def route(self, table: int, found: Mapping[str, Any]) -> RouteTable | None:
        before = len(self.faults)
        has_command = "command" in found
        rows = _COMMAND_ROWS if has_command else _TARGET_ROWS
        if has_command == ("target" in found):  # it is not known what it should be
            rows = {**_COMMAND_ROWS, **_TARGET_ROWS}
        settings = self.values(table, found, rows, _ROUTE_KEYS)
        hooks = self.hooks(table, found)
        if has_command == ("target" in found):
            self.fault(table, "command", "a route: expected a target or a command, one of them")
        place = self.place(table, found)
        href = ""
        words: tuple[str, ...] = ()
        if not has_command and "target" in found:
            href = self.tried(table, "target", "", lambda: read_target(found["target"]))
        if has_command:
            words = self.tried(table, "command", (), lambda: read_words(found["command"]))
        if place is None or len(self.faults) > before:
            return None
        prefix = found.get("prefix", "").rstrip("/")
        text = f"{found.get('host', '')}{prefix}"
        words = tuple(word.replace("{prefix}", prefix) for word in words)
        lines = self.lines_of(table, found)
        return RouteTable(place, text or "/", prefix, href, words, settings, hooks, lines)

    def place(self, table: int, found: Mapping[str, Any]) -> Place | None:
        """The place of a route, which no route before it has."""
        host = self.tried(table, "host", None, lambda: read_host(found.get("host", "")))
        prefix = self.tried(table, "prefix", None, lambda: read_prefix(found.get("prefix", "")))
        if host is None or prefix is None:
            return None
        key, place = "prefix" if "prefix" in found else "host", read_place(host + prefix)
        other = self.places.setdefault(place, table)
        if other != table:
            where = place.host + place.prefix or "/"
            line = self.lines.of(other, "")
            self.fault(table, key, f"a second route for {where!r}, beside that of line {line}")
        return place

    def tried(self, table: int, key: str, instead: Any, read: Callable[[], Any]) -> Any:
        """What *read* gives; a fault, and *instead*, if it raises."""
        try:
            return read()
        except ConfigurationError as error:
            self.fault(table, key, str(error))
            return instead


def _elsewhere(name: str) -> str:
    """Where in the file a key belongs that is not known where it stands; empty for nowhere."""
    if name in _TOP:
        return "it stands at the top, before every [[route]]"
    if name in _ROUTE_KEYS:
        return "it stands below [[route]]"
    if name in _COMMAND_ROWS:
        return "it is for a command, and this route has a target"
    return "it is for a target, and this route has a command" if name in _TARGET_ROWS else ""


def _meant(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return did_you_mean(name, known).rstrip() or f"expected one of {', '.join(known)}"


def read_config(path: str) -> Config:
    """Read a file.

    :raises CannotStart: it cannot be read.
    :raises Faults: all that is wrong in it.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors of Windows begin with a BOM
            text = file.read()
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(at[1]) if at and at[1] else max(1, len(text.splitlines()))
        reason = str(error).partition(" (at ")[0]
        raise Faults(path, [Fault(line, f"no TOML: {reason[:1].lower()}{reason[1:]}")]) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise CannotStart(f"{path}: {reason}") from error
    except (ValueError, RecursionError) as error:  # a number too long for int(), deep nesting
        reason = str(error).partition(" (")[0]
        raise Faults(path, [Fault(1, f"no TOML: {reason[:1].lower()}{reason[1:]}")]) from error
    reader = _Reader(Lines(text))
    _check_numbers(found, reader)
    if reader.faults:
        raise Faults(path, reader.faults)
    config = _checked(found, reader)
    if reader.faults:
        raise Faults(path, reader.faults, config)
    return config


def _check_numbers(found: Mapping[str, Any], reader: _Reader) -> None:
    """Refuse numbers that TOML does not have; Python shows no text of those that are very long."""
    routes = found.get("route")
    tables = [{**found, "route": ()}, *(routes if isinstance(routes, list) else [routes])]
    for number, table in enumerate(tables):
        for key, value in table.items() if isinstance(table, dict) else ():
            if has_oversized(value):
                reader.fault(number, key, f"{key}: a number of more than 64 bits")


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the process, and those for every route."""
    process = {name: value for name, value in values.items() if name in _TOP}
    return process, {name: value for name, value in values.items() if name not in _TOP}


def _checked(found: Mapping[str, Any], reader: _Reader) -> Config:
    values = reader.values(0, found, ROWS, ("route", "hooks"))
    hooks = reader.hooks(0, found)
    tables = found.get("route", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        reader.fault(0, "route", "route: expected tables, each below a line [[route]]")
        tables = []
    elif not tables:
        reader.fault(0, "route", "no route: expected a table [[route]] with target or command")
    routes = [reader.route(number, table) for number, table in enumerate(tables, 1)]
    good = tuple(route for route in routes if route is not None)
    return Config(*split(values), hooks, good, reader.lines_of(0, found))
