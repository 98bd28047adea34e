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
from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.websocket import settings_of
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn import SpawningApplication

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.asgi import ASGISpawningApplication
    from wsgiproxy.asgi.body import Message, Receive, Scope, Send
    from wsgiproxy.cli.servers import ASGIApplication
    from wsgiproxy.settings.options import ASGISpawnOptions, SpawnOptions

__all__ = ["Spawned", "read_spawned", "with_prefix"]


@dataclass(frozen=True)
class Spawned:
    """A command to start and serve, in values that can be pickled.

    :param command: its words; ``{prefix}`` is filled in already.
    :param prefix: the path below which it is mounted.
    :param settings: rows of :mod:`wsgiproxy.settings`.
    :param now: start it at once, and not at the first request.
    :param first: process id of ``wsgiproxy serve``; a server may have workers.
    :param grace: seconds that requests in progress have at the end.
    """

    command: tuple[str, ...]
    prefix: str
    settings: Mapping[str, Any]
    log: LogStyle
    now: bool
    first: int = field(default_factory=os.getpid)
    grace: float = GRACE

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
        settings = settings_of("SpawningApplication", self.settings)
        return SpawningApplication(self.command, **cast("SpawnOptions", settings))

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

        self._begin_log()
        proxy = self.proxy()
        Ending(proxy, self.first, self.grace)
        if self.now:
            proxy.start(wait=False)
        if not self.prefix:
            return proxy
        return Mount(proxy, self.prefix, is_folder=self._is_folder)

    def asgi_application(self) -> ASGIApplication:
        """The same for a server that takes ASGI applications."""
        from wsgiproxy.asgi import ASGISpawningApplication
        from wsgiproxy.cli.mount import ASGIMount

        self._begin_log()
        settings = settings_of("ASGISpawningApplication", self.settings)
        proxy = ASGISpawningApplication(self.command, **cast("ASGISpawnOptions", settings))
        application = _with_ends(proxy, Ending(proxy, self.first, self.grace), self.now)
        if not self.prefix:
            return application
        return ASGIMount(application, self.prefix, is_folder=self._is_folder)

    def _begin_log(self) -> None:
        log_to_stderr(self.log)
        # The live line alone shows each state of the start.
        if LiveLine.attach(self.title):
            logging.getLogger("wsgiproxy.spawn").setLevel(logging.DEBUG)

    @property
    def _is_folder(self) -> bool:
        # A command that gets the whole path may redirect by itself; one that takes slashes off
        # would then redirect without end.
        return bool(self.settings.get("strip_script_name"))


def _with_ends(proxy: ASGISpawningApplication, ending: Ending, now: bool) -> ASGIApplication:
    """The application; its command ends with the server, as *ending* does it.

    :param now: its command is started with the server, too.
    """

    from asyncio import to_thread

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_at_end() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await to_thread(ending.close)
            return message

        async def send_after_start(message: Message) -> None:
            if now and message["type"] == "lifespan.startup.complete":
                await proxy.start(wait=False)
            await send(message)

        if scope["type"] == "lifespan":
            await proxy(scope, receive_at_end, send_after_start)
        else:
            await proxy(scope, receive, send)

    return serve


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


def with_prefix(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Settings of a command, with *prefix* in the place of ``{prefix}``.

    >>> with_prefix({"ready": "{prefix}/health", "script_env": {"ROOT": "{prefix}"}}, "/app")
    {'ready': '/app/health', 'script_env': {'ROOT': '/app'}}
    """
    filled = dict(settings)
    if filled.get("ready"):
        filled["ready"] = filled["ready"].replace("{prefix}", prefix)
    if "script_env" in filled:
        variables = filled["script_env"].items()
        filled["script_env"] = {name: each.replace("{prefix}", prefix) for name, each in variables}
    return filled


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
    return Spawned(
        tuple(word.replace("{prefix}", prefix) for word in arguments.command),
        prefix,
        with_prefix(options.given_settings(arguments, options.SPAWNED), prefix),
        log,
        arguments.now,
    )
