"""The flags of the command line, and the values of its words.

The flags are made from the rows of :mod:`wsgiproxy.settings`, so that the
command has no other options for the proxy than the classes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.repeated import Variables, Words
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.target import escapes
from wsgiproxy.sansio.upstreams import read_href
from wsgiproxy.settings import (
    APP,
    BALANCE,
    MIDDLEWARE,
    SIGNING,
    SPAWN,
    SPAWNED_TRANSPORT,
    TRANSPORT,
    TUNNEL,
    UPGRADE,
    WEBSOCKET,
    Setting,
    convert,
)
from wsgiproxy.settings.setting import Choice

__all__ = [
    "DEFAULT_LISTEN",
    "DEMO",
    "ELSEWHERE",
    "PROCESS",
    "RUN",
    "SERVE",
    "SPAWNED",
    "TLS",
    "Groups",
    "add_listen",
    "add_rows",
    "add_settings",
    "flag",
    "given_flags",
    "given_settings",
    "read_listen",
    "read_prefix",
    "read_target",
    "read_threads",
]

#: Titles and the rows below them.
Groups = tuple[tuple[str, tuple[Setting, ...]], ...]


def _rows(rows: tuple[Setting, ...], *names: str) -> tuple[Setting, ...]:
    return tuple(row for row in rows if row.name in names)


_SIGNATURE = _rows(SIGNING, "secret_file", "sign_body")
#: Flags that mean nothing on the way to a process of this machine.
ELSEWHERE = tuple(
    row
    for row in TRANSPORT
    # The user who types the target has chosen it.
    if row not in SPAWNED_TRANSPORT and row.name != "guard"
)
#: The flags of ``serve``. Keys to carry are not among them: no program fills an environ there.
SERVE: Groups = (
    ("what the proxy does", APP),
    ("signature", _SIGNATURE),
    ("connections", SPAWNED_TRANSPORT),
    ("WebSocket", (*UPGRADE, *TUNNEL, *WEBSOCKET)),
    ("connections to a TARGET", ELSEWHERE),
    ("several targets", BALANCE),
)


def _probe(value: object) -> object:
    convert.probe(value.replace("{prefix}", "/") if isinstance(value, str) else value)
    return value


# There is one process that serves, and the command has a place of its own.
_NOT_TYPED = ("start_script", "share")
#: Those of ``serve -- COMMAND`` alone.
PROCESS = tuple(
    # Its path may begin with a prefix that is known later.
    replace(row, convert=_probe) if row.name == "ready" else row
    for row in SPAWN
    if row.name not in _NOT_TYPED
)
#: All of ``serve -- COMMAND``.
SPAWNED: Groups = (("COMMAND", PROCESS), *SERVE[:4])
#: Those of ``run``. Its keys are its parent's.
RUN: Groups = (
    (
        "what to believe",
        _rows(MIDDLEWARE, "accept_keys", "max_age", "clock_skew", "replay", "allowed_hosts"),
    ),
)
#: Those of ``demo``.
DEMO: Groups = (("what it answers", _rows(APP, "allowed_hosts")),)
#: Those of ``doctor``.
TLS: Groups = (
    (
        "connection",
        _rows(TRANSPORT, "verify", "ca_file", "client_cert", "client_key", "parent_proxy"),
    ),
)

# Converter -> the value in the help, where the row has no word of its own.
_METAVARS: dict[Callable[[Any], Any], str] = {
    convert.seconds: "SECONDS",
    convert.leeway: "SECONDS",
    convert.size: "SIZE",
    convert.count: "N",
    convert.positive_count: "N",
    convert.path: "FILE",
    convert.hosts: "HOSTS",
    convert.field_names: "NAMES",
    convert.variable_names: "NAMES",
    convert.domain: "DOMAIN",
    convert.port_to_take: "PORT",
    convert.directory: "FOLDER",
    convert.variables: "NAME=VALUE",
    convert.environ_keys: "KEYS",
    convert.nonces: "memory",
    _probe: "PATH",
}
_SHORT = re.compile(r":?[0-9]{1,5}(?:/.*)?")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}(?:/.*)?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")

DEFAULT_HOST = "127.0.0.1"
#: The object itself stands for a flag that was not typed.
DEFAULT_LISTEN = f"{DEFAULT_HOST}:8080"


def add_settings(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Add one flag for each row, grouped as the rows are."""
    for title, rows in groups:
        add_rows(parser.add_argument_group(title), rows)


def add_rows(group: argparse._ArgumentGroup, rows: tuple[Setting, ...]) -> None:
    """Add one flag for each row."""
    for row in rows:
        text = f"{row.help}{_default_text(row)}".replace("%", "%%")
        if isinstance(row.default, bool):
            group.add_argument(flag(row), action=argparse.BooleanOptionalAction, help=text)
        else:
            flags = dict.fromkeys([flag(row), _flag_of_name(row)])
            group.add_argument(
                *flags, dest=row.name, metavar=_metavar(row), action=_action(row), help=text
            )


def _action(row: Setting) -> type[argparse.Action] | str:
    if isinstance(row.default, dict):
        return Variables
    is_list = isinstance(row.default, (tuple, frozenset)) or row.convert is convert.words
    return Words if is_list else "store"


def flag(row: Setting) -> str:
    """The flag of a row on the command line."""
    return row.flag or _flag_of_name(row)


def _flag_of_name(row: Setting) -> str:
    return "--" + row.name.replace("_", "-")


def _default_text(row: Setting) -> str:
    if isinstance(row.default, bool):
        return " (default: on)" if row.default else ""
    if isinstance(row.default, int):
        return f" (default: {row.default})"
    return f" (default: {row.default:g})" if isinstance(row.default, float) else ""


def _metavar(row: Setting) -> str:
    if isinstance(row.convert, Choice):
        return "{" + ",".join(row.convert.words) + "}"
    return row.metavar or _METAVARS.get(row.convert, "NAME")


def given_settings(arguments: argparse.Namespace, groups: Groups) -> dict[str, Any]:
    """The values of the flags that were typed, converted.

    :raises ConfigurationError: a bad value.
    """
    typed = [(row, getattr(arguments, row.name)) for _, rows in groups for row in rows]
    return {row.name: row.convert_value(value) for row, value in typed if value is not None}


def given_flags(arguments: argparse.Namespace, rows: tuple[Setting, ...]) -> list[str]:
    """The flags of *rows* that were typed."""
    typed = [(flag(row), getattr(arguments, row.name)) for row in rows]
    return [
        name.replace("--", "--no-", 1) if value is False else name
        for name, value in typed
        if value is not None
    ]


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Add ``--listen``."""
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default=DEFAULT_LISTEN,
        help="the address to serve (default: %(default)s); port 0 takes a free one, and 0.0.0.0 "
        "is reachable from other machines",
    )
    parser.add_argument(
        "-p",
        "--port",
        dest="listen",
        metavar="PORT",
        default=argparse.SUPPRESS,
        help="the same at 127.0.0.1",
    )


def _whole(text: str) -> str:
    """A target without what may be left out."""
    if _SHORT.fullmatch(text):
        return f"http://{DEFAULT_HOST}:{text.lstrip(':')}"
    return f"http://{text}" if _HOST_PORT.fullmatch(text) else text


def read_target(text: str, what: str = "TARGET") -> str:
    """The ``href`` that a target stands for, or several with blanks between them.

    :param what: what the command line calls it.
    :raises ConfigurationError: it stands for none.

    >>> read_target(":3000"), read_target("3000"), read_target("localhost:3000/app")
    ('http://127.0.0.1:3000', 'http://127.0.0.1:3000', 'http://localhost:3000/app')
    >>> read_target(":3000 weight=2 :3001")
    'http://127.0.0.1:3000 weight=2 http://127.0.0.1:3001'
    """
    href = " ".join(map(_whole, text.split())) or text
    try:
        read_href(href)
    except ConfigurationError as error:
        # It does not repeat a password.
        reason = str(error).removeprefix("href=")
        raise ConfigurationError(f"{what} {reason}; host:port and :port stand for http") from error
    return href


def read_listen(text: str, flag: str = "--listen") -> Listen:
    """``host:port``, or a port alone, which is not offered to other machines.

    :param flag: that has it.
    :raises ConfigurationError: it is neither.

    >>> read_listen("8000"), read_listen("[::1]:0")
    (Listen(host='127.0.0.1', port=8000), Listen(host='::1', port=0))
    """
    bare = text.removeprefix(":")
    if bare.isascii() and bare.isdigit():
        text = f"{DEFAULT_HOST}:{bare}"
    if is_host(text):
        host, port = split_host(text)
        if port or text.endswith(":0"):
            return Listen(host, port)
    raise ConfigurationError(f"{flag} {text!r}: expected host:port, such as 127.0.0.1:8080")


def read_prefix(text: str) -> str:
    """The path of a mount, without a slash at its end; empty for the root.

    :raises ConfigurationError: it is no plain path.

    >>> read_prefix("/app/"), read_prefix("/")
    ('/app', '')
    """
    prefix = text.removesuffix("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or escapes(prefix)):
        raise ConfigurationError(f"--prefix {text!r}: expected a path such as /app")
    return prefix


def read_threads(text: str) -> int:
    """A number of threads.

    :raises ConfigurationError: it is none.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1000):
        raise ConfigurationError(f"--threads {text!r}: expected a number from 1 to 1000")
    return int(text)
