"""A configuration file that is read again at SIGHUP, without losing a request."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli.config import read_config
from wsgiproxy.cli.faults import Faults
from wsgiproxy.cli.generation import Generation
from wsgiproxy.cli.hook_names import times_of_modules
from wsgiproxy.cli.inspecting import FLAGS
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.systemd import notify, notify_reload
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.wsgi.stream import call_counted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from wsgiproxy.asgi.body import Message, Receive, Scope, Send
    from wsgiproxy.cli.configured import Configured

__all__ = ["ASGIReloading", "Reloading", "note_signals"]

_logger = logging.getLogger("wsgiproxy.cli")
# What the server has taken at its start.
_OF_SERVER = (
    *("listen", "metrics", "server", "threads", "health", "drain", "grace"),
    *("access_log", "log_level", "log_format", "inspect", "inspect_at", "record"),
    *(row.name for row in FLAGS),
)
# Both ends of a pipe, which holds a byte for each signal that waits for a reading. A handler must
# not wait for a lock, and the get() of a SimpleQueue misses what a handler puts (CPython 3.11.7).
_pipe: list[int] = []


def note_signals() -> None:
    """Note each SIGHUP, also before there is a :class:`Reloading`; for the main thread."""
    if not _pipe:
        _pipe.extend(os.pipe())
        os.set_blocking(_pipe[1], False)

    def handle(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # enough of them wait
            os.write(_pipe[1], b"\0")

    signal.signal(signal.SIGHUP, handle)
    # The interpreter takes handlers away before it ends; the signal would then kill the process.
    atexit.register(signal.signal, signal.SIGHUP, signal.SIG_IGN)


def read_again(site: Configured) -> Configured:
    """The file of *site* as it is now.

    :raises CannotStart: it cannot be read, or all that is wrong in it.
    """
    try:
        return replace(site, config=read_config(site.path))
    except Faults as faults:
        if faults.config is None:
            raise
        raise replace(site, config=faults.config).with_more(faults) from None


class Reloading:
    """The routers of a file as a WSGI application: a request ends on the one that it began on.

    :param site: as it was read at the start.
    """

    def __init__(self, site: Configured) -> None:
        self._site = site
        self._current = Generation(site)
        # Applications that take no new requests, until they are closed.
        self._old: set[Any] = set()
        self._in_flight: Counter[Any] = Counter()
        # Of modules with hooks; Python imports them once.
        self._times = times_of_modules(site.hooks)
        self._lock = threading.Lock()
        self._is_over = False

    def watch(self) -> None:
        """Read the file again at each SIGHUP; many at once are one. For the main thread."""
        note_signals()  # once more: a module with hooks may have had a handler of its own

        def watching() -> None:
            while os.read(_pipe[0], 4096):
                self.reload()

        threading.Thread(target=watching, name="reload", daemon=True).start()

    def stop(self) -> None:
        """Read the file no more: what would be started now would not be ended."""
        with self._lock:
            self._is_over = True

    def start(self) -> None:
        """Start the commands that no request has to start; one that runs goes on."""
        for each in self._current.at_once:
            each.start(wait=False)

    def reload(self) -> None:
        """Read the file again; if something is wrong in it, say so, and keep what there is."""
        notify_reload()
        try:
            self._reload()
        finally:
            notify("READY=1")

    def _reload(self) -> None:
        try:
            site = read_again(self._site)
            made = Generation(site, self._current)
        except Exception as error:  # a module of others may fail in any way, and so may its hooks
            if isinstance(error, (CannotStart, ConfigurationError)):
                for line in error.lines if isinstance(error, Faults) else [str(error)]:
                    _logger.error("%s", line)
            else:
                _logger.exception("%s cannot be read again", self._site.path)
            _logger.error("%s was not taken: the old settings stay", self._site.path)
            return
        before = self._site.config.process
        idle = self._take(site, made)
        if idle is None:
            _logger.info("%s is not read again: this is the end", site.path)
            return
        self._warn(site, before)
        _logger.info("%s was read again: %s", site.path, site.title.rpartition(", ")[2])
        self.start()
        for each in idle:
            self._end(each)

    def _warn(self, site: Configured, before: Mapping[str, Any]) -> None:
        """Say what has no effect without a restart."""
        for name in _OF_SERVER:
            if site.config.process.get(name) != before.get(name):
                _logger.warning("%s: a new %s needs a restart", site.path, name)
        for module, time in times_of_modules(site.hooks).items():
            if self._times.setdefault(module, time) != time:
                _logger.warning("%s: the changed module %s needs a restart", site.path, module)

    def _take(self, site: Configured, made: Generation) -> list[Any] | None:
        """Serve new requests with *made*; what serves no request any more is returned.

        :returns: None if it was not taken, since the end has begun.
        """
        with self._lock:
            if self._is_over:
                return None
            new = made.applications
            old = [each for each in self._current.applications if each not in new]
            self._old.update(old)
            self._site, self._current = site, made
            return [each for each in old if not self._in_flight[each]]

    def _enter(self, request: Any) -> tuple[Generation, Any]:
        """The routes that serve a request, and the application there, which cannot end now."""
        with self._lock:
            application = self._current.application_for(request)
            self._in_flight[application] += 1
            return self._current, application

    def _left(self, application: Any) -> None:
        with self._lock:
            self._in_flight[application] -= 1
            is_idle = not self._in_flight[application]
            is_over = is_idle and application in self._old
            if is_idle:
                del self._in_flight[application]
        if is_over:
            self._end(application)

    def _end(self, old: Any) -> None:
        """Close an application, whose command ends; from any thread."""
        threading.Thread(target=self._close, args=[old], name="end of an old route").start()

    def _close(self, old: Any) -> None:
        old.close()
        self._old.discard(old)

    def spawners(self) -> list[Any]:
        """The applications of all commands."""
        with self._lock:
            return [*self._current.commands, *(each for each in self._old if hasattr(each, "pid"))]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        generation, application = self._enter(environ)
        leave = partial(self._left, application)
        return call_counted(generation.application, environ, start_response, leave)


class ASGIReloading(Reloading):
    """The same as an ASGI application; WebSockets end on the router that they began on, too."""

    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the commands that no request has to start; one that runs goes on."""
        for each in self._current.at_once:
            self._run(each.start(wait=False))

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        """Run it in the loop that serves; from any thread."""
        if self._loop is None:  # it begins what is current, and ends what is old, when it runs
            what.close()
            return
        asyncio.run_coroutine_threadsafe(what, self._loop)

    def _end(self, old: Any) -> None:
        # Connections close in the loop that has used them.
        self._run(self._aclose(old))

    async def _aclose(self, old: Any) -> None:
        from wsgiproxy.asgi.router import end

        await end(old)
        self._old.discard(old)

    async def aclose(self) -> None:
        """Close all applications."""
        await self._current.router.aclose()
        for each in tuple(self._old):
            await self._aclose(each)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        from wsgiproxy.asgi.other_scopes import serve_other

        async def send_and_start(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.start()
            await send(message)

        self._loop = asyncio.get_running_loop()
        if scope["type"] not in ("http", "websocket"):
            await serve_other(scope, receive, send_and_start, self.aclose)
            return
        generation, application = self._enter(scope)
        try:
            await generation.application(scope, receive, send)
        finally:
            self._left(application)
