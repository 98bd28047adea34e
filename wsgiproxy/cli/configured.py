"""What a configuration file describes, as an application."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli import options
from wsgiproxy.cli.config import SERVERS, Config, RouteTable, read_config
from wsgiproxy.cli.ending import Ending
from wsgiproxy.cli.faults import Fault, Faults
from wsgiproxy.cli.hook_names import hook_named
from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.log import LogStyle, log_to_stderr, read_log
from wsgiproxy.cli.own_names import own_names, with_own_names
from wsgiproxy.cli.reloading import ASGIReloading, Reloading
from wsgiproxy.cli.servers import GRACE, default_server
from wsgiproxy.cli.site import Site
from wsgiproxy.cli.spawned import Spawned, with_prefix
from wsgiproxy.cli.variables import from_environment
from wsgiproxy.cli.websocket import settings_of, without_effect
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.routed import Standing
from wsgiproxy.sansio.places import Place, Target

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.asgi import ASGIRouter
    from wsgiproxy.asgi.body import Message, Receive, Scope, Send
    from wsgiproxy.cli.servers import ASGIApplication
    from wsgiproxy.router import Router

__all__ = ["Configured", "read_configured"]


@dataclass(frozen=True)
class Configured:
    """A configuration file to serve, in values that can be pickled.

    :param typed: options of the command line and the environment, which count more than those
        that the file has for every route.
    :param grace: seconds that requests in progress have at the end.
    :param listen: its own names are answered whatever ``allowed_hosts`` says.
    """

    path: str
    config: Config
    typed: Mapping[str, Any]
    log: LogStyle
    is_async: bool
    listen: Listen
    first: int = field(default_factory=os.getpid)
    grace: float = GRACE

    prefix, note = "", ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The options for every route."""
        return {**self.config.common, **self.typed}

    @property
    def title(self) -> str:
        """The file, and how many routes it has."""
        count = len(self.config.routes)
        return f"{self.path}, {count} route{'s' * (count != 1)}"

    @property
    def shutdown_time(self) -> float:
        """Seconds that the commands need to end."""
        (row,) = (row for row in options.PROCESS if row.name == "stop_timeout")
        times = [
            {**self.settings, **route.settings}.get(row.name, row.default)
            for route in self.config.routes
            if route.command
        ]
        return max(times) + 1.0 if times else 0.0

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that the routes have, or are allowed to answer."""
        found = [route.place.host for route in self.config.routes if route.place.host]
        for route in self.config.routes:
            found += route.settings.get("allowed_hosts", ())
        return tuple(found)

    @property
    def hooks(self) -> list[Any]:
        """All hooks, as they are written."""
        return [*self.config.hooks, *(each for route in self.config.routes for each in route.hooks)]

    def largest(self, name: str, default: Any) -> Any:
        """The largest value that a route has for an option; None is no limit."""
        values = [
            {**self.settings, **route.settings}.get(name, default) for route in self.config.routes
        ]
        return None if None in values else max(values)

    def check(self, answers: bool) -> None:
        """Check what the routes are made of, before it is served.

        :param answers: whether each target has to answer.
        :raises Faults: options that contradict each other.
        :raises CannotStart: a target does not answer, or a command does not exist.
        """
        self.router()
        for route in self.config.routes if answers else ():
            settings = self._settings(route, is_async=False)
            if route.command:
                Spawned(route.command, "", settings, self.log, False).check(True)
            else:
                Site(route.target, "", settings, self.log).check(True)

    def _settings(self, route: RouteTable, *, is_async: bool) -> dict[str, Any]:
        """The options of one route that its class knows."""
        names = ("WSGIProxyApp", "SpawningApplication")
        if is_async:
            names = ("ASGIProxyApp", "ASGISpawningApplication")
        settings = settings_of(names[bool(route.command)], {**self.settings, **route.settings})
        if settings.get("allowed_hosts"):
            settings["allowed_hosts"] = (*settings["allowed_hosts"], *own_names(self.listen))
        return with_prefix(settings, route.prefix) if route.command else settings

    def _without_effect(self) -> list[Fault]:
        """The options that the server cannot carry out."""
        server = "uvicorn" if self.is_async else "waitress"
        found = [(self.config.common, self.config.lines)]
        found += [(route.settings, route.lines) for route in self.config.routes]
        return [
            Fault(lines[name], f"{name}: {why}")
            for settings, lines in found
            for name in settings
            if (why := without_effect(name, server))
        ]

    def _fault(self, route: RouteTable, sentence: str) -> Fault:
        """What a sentence about a route says, at the line of the option that it names."""
        named = re.search(r"(?:^|: )(\w+)(?:=|: )", sentence)
        name = named[1] if named else ""
        if name in self.typed and name not in route.lines:
            sentence += f" (by the command line, or by WSGIPROXY_{name.upper()})"
            return Fault(route.lines[""], sentence)
        return Fault(
            route.lines.get(name) or self.config.lines.get(name, route.lines[""]), sentence
        )

    def described(self, route: RouteTable) -> tuple[object, ...]:
        """All of which the application of a route is made, to be compared with that of another."""
        settings = self._settings(route, is_async=self.is_async)
        return route.target, route.command, settings, self.config.hooks, route.hooks

    def starts_at_once(self, route: RouteTable) -> bool:
        """Whether a command is started without a request."""
        return bool({**self.settings, **route.settings}.get("now", False))

    def router(self, kept: Mapping[Place, Standing] | None = None) -> Router | ASGIRouter:
        """The router; to be called in the process that serves it.

        :param kept: what stands already at some places, and goes on.
        :raises Faults: naming all routes whose options contradict each other.
        """
        from wsgiproxy.asgi import ASGIRouter
        from wsgiproxy.router import Router

        made = ASGIRouter if self.is_async else Router
        targets: dict[str, object] = {}
        faults = self._without_effect()
        for route in self.config.routes:
            if kept and route.place in kept:
                targets[route.text] = kept[route.place]
                continue
            options: dict[str, Any] = self._settings(route, is_async=self.is_async)
            hooks = (*self.config.hooks, *route.hooks)
            try:
                options["hooks"] = [hook_named(each) for each in hooks]
                target = Target(list(route.command) or route.target, **options)
                made({route.text: target})
                targets[route.text] = target
            except ConfigurationError as error:
                faults.append(self._fault(route, str(error)))
        if faults:
            raise Faults(self.path, faults)
        return made(targets)

    def with_more(self, faults: Faults) -> Faults:
        """*faults* of the file, and those of its good routes."""
        try:
            if self.config.routes:
                self.router()
        except Faults as more:
            return Faults(self.path, [*faults.faults, *more.faults])
        return faults

    def guarded(self, router: Any) -> Any:
        """The router behind the check of names, which a listener on a loopback address needs."""
        allowed = (*self.settings.get("allowed_hosts", ()), *self.hosts)
        if not self.is_async:
            return with_own_names(lambda: router, self.listen, allowed)
        from wsgiproxy.cli.asgi_edge import asgi_with_own_names

        return asgi_with_own_names(lambda: router, self.listen, allowed)

    def application(self) -> WSGIApplication:
        """The routes, for a server that takes WSGI applications; read again at SIGHUP."""
        log_to_stderr(self.log)
        routes = Reloading(self)
        Ending(_Commands(routes), self.first, self.grace)
        routes.watch()
        routes.start()
        return routes

    def asgi_application(self) -> ASGIApplication:
        """The same for a server that takes ASGI applications."""
        from asyncio import to_thread

        log_to_stderr(self.log)
        routes = ASGIReloading(self)
        ending = Ending(_Commands(routes), self.first, self.grace)
        routes.watch()

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_at_end() -> Message:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    await to_thread(ending.close)
                return message

            is_lifespan = scope["type"] == "lifespan"
            await routes.serve(scope, receive_at_end if is_lifespan else receive, send)

        return serve


class _Commands:
    """The commands of all routes, as one."""

    def __init__(self, routes: Reloading) -> None:
        self._routes = routes

    @property
    def state(self) -> str:
        """That of a command that runs, if one does."""
        states = [each.state for each in self._routes.spawners()]
        return next((each for each in ("ready", "starting") if each in states), "stopped")

    def close(self) -> None:
        """End all of them, and start no others; it blocks."""
        self._routes.stop()
        for each in self._routes.spawners():
            each.close()


def read_configured(arguments: argparse.Namespace) -> Configured:
    """The file of ``--config``; what is typed, then the environment, count more than it has.

    :param arguments: gets what the file says of the server.
    :raises ConfigurationError: a flag that has no meaning beside it, or a wrong variable.
    """
    for name, what in (("target", "TARGET"), ("command", "COMMAND"), ("prefix", "--prefix")):
        if getattr(arguments, name):
            raise ConfigurationError(f"{what}: expected no --config beside it, but a [[route]]")
    try:
        config = read_config(arguments.config)
    except Faults as faults:
        if faults.config is None:
            raise
        raise _configured(arguments, faults.config).with_more(faults) from None
    return _configured(arguments, config)


def _configured(arguments: argparse.Namespace, config: Config) -> Configured:
    if arguments.now and not any(route.command for route in config.routes):
        raise ConfigurationError("--now: expected a [[route]] with a command")
    process, typed = from_environment(os.environ)
    variables = tuple(typed)
    process = {**config.process, **process}
    typed.update(options.given_settings(arguments, (*options.SPAWNED, *options.SERVE[4:])))
    if arguments.now:
        typed["now"] = True
    if arguments.listen is options.DEFAULT_LISTEN:
        arguments.listen = process.get("listen", arguments.listen)
    for name in process.keys() - {"listen"}:
        if getattr(arguments, name) is None:
            setattr(arguments, name, process.get(name))
    arguments.server = arguments.server or default_server()
    if arguments.server not in SERVERS:
        raise ConfigurationError(
            f"--server {arguments.server}: expected {' or '.join(SERVERS)} beside --config"
        )
    for name in variables:
        if why := without_effect(name, arguments.server):
            raise ConfigurationError(f"WSGIPROXY_{name.upper()}: {why}")
    listen = options.read_listen(arguments.listen)
    is_async = arguments.server == "uvicorn"
    return Configured(arguments.config, config, typed, read_log(arguments), is_async, listen)
