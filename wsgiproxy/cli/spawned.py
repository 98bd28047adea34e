"""``wsgiproxy serve -- COMMAND``: a command, started when somebody comes, at one address."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.cli import options
from wsgiproxy.cli.ending import Ending
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.liveline import LiveLine, plain
from wsgiproxy.cli.log import LogStyle, log_to_stderr
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn import SpawningApplication

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.settings.options import SpawnOptions

__all__ = ["Spawned", "read_spawned"]


@dataclass(frozen=True)
class Spawned:
    """What is to be started and served, in values that can be pickled.

    :param command: its words; ``{prefix}`` is filled in already.
    :param prefix: where it is mounted.
    :param settings: rows of :mod:`wsgiproxy.settings`.
    :param log: what is written on stderr.
    :param now: start it at once, and not when somebody comes.
    :param first: number of the process that a person has started.
    """

    command: tuple[str, ...]
    prefix: str
    settings: Mapping[str, Any]
    log: LogStyle
    now: bool
    first: int = field(default_factory=os.getpid)

    @property
    def title(self) -> str:
        """For people to read."""
        return plain(shlex.join(self.command))

    @property
    def note(self) -> str:
        """What to say of it at the start."""
        return "started now; " if self.now else "started by the first request; "

    @property
    def patience(self) -> float:
        """Seconds that it needs to end."""
        (row,) = (row for row in options.PROCESS if row.name == "stop_timeout")
        return float(self.settings.get(row.name, row.default)) + 1.0

    def proxy(self) -> SpawningApplication:
        """The application alone.

        :raises ConfigurationError: a setting that cannot be meant.
        """
        return SpawningApplication(self.command, **cast("SpawnOptions", self.settings))

    def check(self, exists: bool) -> None:
        """Find what stands in the way before anything is served.

        :param exists: whether there has to be such a command.
        :raises ConfigurationError: a setting that cannot be meant.
        :raises CannotStart: there is no such command.
        """
        self.proxy().close()
        if not exists:
            return
        path = self.settings.get("script_env", {}).get("PATH")
        reason = _unusable(self.command[0], self.settings.get("cwd") or "", path)
        if reason:
            raise CannotStart(reason)

    def application(self) -> WSGIApplication:
        """The application at its place; to be called in the process that serves it."""
        from wsgiproxy.cli.mount import Mount

        log_to_stderr(self.log)
        # What is waited for, at every moment, is for the live line alone.
        if LiveLine.attach(self.title):
            logging.getLogger("wsgiproxy.spawn").setLevel(logging.DEBUG)
        proxy = self.proxy()
        Ending(proxy, self.first)
        if self.now:
            proxy.start(wait=False)
        if not self.prefix:
            return proxy
        # A command that gets the whole path sees the difference, and has its own way with it:
        # one that takes slashes off would send the client back to us, and so on for ever.
        strips = bool(self.settings.get("strip_script_name"))
        return Mount(proxy, self.prefix, is_folder=strips)


def _unusable(name: str, cwd: str, path: str | None) -> str:
    """Why there is no such command; empty if there is.

    :param name: the first word.
    :param cwd: where it is to run; empty for here.
    :param path: where to look for it; None for our own PATH.
    """
    place = os.path.join(cwd, name) if "/" in name else name
    if shutil.which(place, path=path) is not None:
        return ""
    if "/" in name and os.path.isfile(place):
        return f"{plain(name)} is not executable; chmod +x it, or write its interpreter before it"
    hint = "give its whole path, or install it"
    if re.match(r"[A-Za-z_][A-Za-z0-9_]*=", name):
        hint = "variables are given by --script-env NAME=VALUE"
    elif "://" in name or name[:1] == ":":
        hint = "a TARGET stands alone, without --"
    elif " " in name:
        hint = "its words stand apart, without quotes around all of them"
    return f"no such command: {plain(name)}; {hint}"


def read_spawned(arguments: argparse.Namespace, log: LogStyle) -> Spawned:
    """What the command line says.

    :raises ConfigurationError: a flag that has no meaning with a command.
    """
    prefix = options.read_prefix(arguments.prefix)
    flags = options.given_flags(arguments, options.ELSEWHERE)
    if flags:
        raise ConfigurationError(f"{flags[0]}: expected a TARGET; a COMMAND is on this machine")
    if arguments.target is not None:
        raise ConfigurationError(
            f"TARGET {arguments.target!r} and a command: expected only one of them"
        )
    if arguments.ready is not None:
        arguments.ready = arguments.ready.replace("{prefix}", prefix)
    for name, value in (arguments.script_env or {}).items():
        arguments.script_env[name] = value.replace("{prefix}", prefix)
    return Spawned(
        tuple(word.replace("{prefix}", prefix) for word in arguments.command),
        prefix,
        options.given_settings(arguments, options.SPAWNED),
        log,
        arguments.now,
    )
