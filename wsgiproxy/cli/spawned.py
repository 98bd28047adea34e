"""``wsgiproxy serve -- COMMAND``: a command, started when somebody comes, at one address."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.cli import options
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.liveline import LiveLine
from wsgiproxy.cli.log import log_to_stderr
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.settings import SPAWNED_TRANSPORT, TRANSPORT
from wsgiproxy.spawn import SpawningApplication

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.settings import SpawnOptions

__all__ = ["Spawned", "read_spawned"]


@dataclass(frozen=True)
class Spawned:
    """What is to be started and served, in values that can be pickled.

    :param command: its words; ``{prefix}`` is filled in already.
    :param prefix: where it is mounted.
    :param settings: rows of :mod:`wsgiproxy.settings`.
    :param access_log: write a line for each exchange.
    :param now: start it at once, and not when somebody comes.
    """

    command: tuple[str, ...]
    prefix: str
    settings: Mapping[str, Any]
    access_log: bool
    now: bool

    @property
    def title(self) -> str:
        """For people to read."""
        return shlex.join(self.command)

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
        name = self.command[0]
        place = os.path.join(self.settings.get("cwd") or "", name) if "/" in name else name
        if shutil.which(place) is None:
            raise CannotStart(f"no such command: {name}; give its whole path, or install it")

    def application(self) -> WSGIApplication:
        """The application at its place; to be called in the process that serves it."""
        from wsgiproxy.cli.mount import Mount

        log_to_stderr(self.access_log)
        logger = logging.getLogger("wsgiproxy.spawn")
        logger.setLevel(logging.INFO)
        if sys.stderr.isatty():
            LiveLine.attach(logging.getLogger("wsgiproxy"))
        proxy = self.proxy()
        if self.now:
            proxy.start(wait=False)
        return Mount(proxy, self.prefix) if self.prefix else proxy


def read_spawned(arguments: argparse.Namespace, access_log: bool) -> Spawned:
    """What the command line says.

    :raises ConfigurationError: a flag that has no meaning with a command.
    """
    prefix = options.read_prefix(arguments.prefix)
    strange = [row for row in TRANSPORT if row not in SPAWNED_TRANSPORT]
    for row in strange:
        if getattr(arguments, row.name) is not None:
            raise ConfigurationError(
                f"{options.flag(row)}: expected a TARGET; a COMMAND is on this machine"
            )
    if arguments.target is not None:
        raise ConfigurationError(
            f"TARGET {arguments.target!r} and a command: expected only one of them"
        )
    return Spawned(
        tuple(word.replace("{prefix}", prefix) for word in arguments.command),
        prefix,
        options.given_settings(arguments, options.SPAWNED),
        access_log,
        arguments.now,
    )
