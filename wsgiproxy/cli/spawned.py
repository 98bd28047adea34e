"""``wsgiproxy serve -- COMMAND``: a command, started by the first request, at one address."""

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
    """A command to start and serve, in values that can be pickled.

    :param command: its words; ``{prefix}`` is filled in already.
    :param prefix: the path below which it is mounted.
    :param settings: rows of :mod:`wsgiproxy.settings`.
    :param now: start it at once, and not at the first request.
    :param first: process id of ``wsgiproxy serve``; a server may have workers.
    """

    command: tuple[str, ...]
    prefix: str
    settings: Mapping[str, Any]
    log: LogStyle
    now: bool
    first: int = field(default_factory=os.getpid)

    @property
    def title(self) -> str:
        """The command, for people to read."""
        return plain(shlex.join(self.command))

    @property
    def note(self) -> str:
        """What the line with the address says about the start."""
        return "started now; " if self.now else "started by the first request; "

    @property
    def shutdown_time(self) -> float:
        """Seconds that the command needs to end."""
        (row,) = (row for row in options.PROCESS if row.name == "stop_timeout")
        return float(self.settings.get(row.name, row.default)) + 1.0

    def proxy(self) -> SpawningApplication:
        """The proxy alone.

        :raises ConfigurationError: a wrong setting.
        """
        return SpawningApplication(self.command, **cast("SpawnOptions", self.settings))

    def check(self, exists: bool) -> None:
        """Check the settings, and the command, before it is served.

        :param exists: whether the command has to exist.
        :raises ConfigurationError: a wrong setting.
        :raises CannotStart: the command does not exist.
        """
        self.proxy().close()
        if not exists:
            return
        path = self.settings.get("script_env", {}).get("PATH")
        reason = _unusable(self.command[0], self.settings.get("cwd") or "", path)
        if reason:
            raise CannotStart(reason)

    def application(self) -> WSGIApplication:
        """The mounted proxy; to be called in the process that serves it."""
        from wsgiproxy.cli.mount import Mount

        log_to_stderr(self.log)
        # The live line alone shows each state of the start.
        if LiveLine.attach(self.title):
            logging.getLogger("wsgiproxy.spawn").setLevel(logging.DEBUG)
        proxy = self.proxy()
        Ending(proxy, self.first)
        if self.now:
            proxy.start(wait=False)
        if not self.prefix:
            return proxy
        # A command that gets the whole path may redirect by itself; one that takes slashes off
        # would then redirect without end.
        strips = bool(self.settings.get("strip_script_name"))
        return Mount(proxy, self.prefix, is_folder=strips)


def _unusable(name: str, cwd: str, path: str | None) -> str:
    """Why a command cannot be started; empty if it can.

    :param cwd: the folder in which it is to run; empty for the current one.
    :param path: its PATH; None for that of this process.
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
    """The command of the command line.

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
