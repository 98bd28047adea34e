"""The WSGI application that is a process of its own."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError, NotReady, NotStarted, ProxyError, Unavailable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.process.command import meanings, socket_kind
from wsgiproxy.sansio.process.lifecycle import Phase
from wsgiproxy.sansio.process.waiting_page import is_navigation, waiting_page
from wsgiproxy.sansio.target import matcher
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.spawn.backend import Backend
from wsgiproxy.spawn.coordination import Coordination, Shared
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.spawn.instance import Plan
from wsgiproxy.spawn.readiness import readiness
from wsgiproxy.spawn.state import ProcessLimits
from wsgiproxy.wsgi.errorpage import error_page
from wsgiproxy.wsgi.gateway import call_counted, error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Self, Unpack

    from wsgiproxy.settings.options import SpawnOptions

__all__ = ["SpawningApplication"]

# Seconds that a request waits longer than a start may take, to get the reason of its failure.
_MORE = 5.0


@listing
class SpawningApplication:
    """A WSGI application that is a process of its own, started by the first request.

    The first request starts the command and waits for it. The process, with all that it has
    started, ends with :meth:`close`, at the end of the program, after ``idle_shutdown``
    seconds without a request, and whenever this process dies, however it dies.

    :param start_script: the command, which has to stay in the foreground: a list, or a string
        that is split as a shell would; no shell ever sees it. ``{port}`` (``__PORT__``),
        ``{fd}`` (``__FD__``) and ``{socket}`` are replaced.
    :param cwd: its working directory.
    :param script_env: variables to set in its environment, which is a minimal one.
    :param spawned_port: its port; any free one if not given.
    :param idle_shutdown: seconds without a request after which it is ended.
    :param logger: a logger or its name; ``wsgiproxy.spawn`` if not given. Its child ``output``
        gets the output of the command.
    :param options: the rows of :data:`wsgiproxy.settings.SPAWN`,
        :data:`~wsgiproxy.settings.SPAWNED_APP`,
        :data:`~wsgiproxy.settings.SPAWNED_SIGNING` and
        :data:`~wsgiproxy.settings.SPAWNED_TRANSPORT`; strings are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> import sys
    >>> from webob import Request
    >>> command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    >>> with SpawningApplication(command, cwd="docs", idle_shutdown=60) as app:
    ...     Request.blank("/index.rst").get_response(app).text.splitlines()[0]
    'wsgiproxy'
    """

    def __init__(
        self,
        start_script: str | Sequence[str],
        cwd: str | os.PathLike[str] | None = None,
        script_env: Mapping[str, str] | str | None = None,
        spawned_port: int | str | None = None,
        idle_shutdown: float | str | None = None,
        logger: logging.Logger | str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> None:
        positional = {
            "cwd": cwd,
            "script_env": script_env,
            "spawned_port": spawned_port,
            "idle_shutdown": idle_shutdown,
        }
        values: dict[str, Any] = {
            "start_script": start_script,
            **options,
            **{name: value for name, value in positional.items() if value is not None},
        }
        settings = resolve(PARTS["SpawningApplication"], values)
        self._backend = _backend(settings, logger)
        self._leave = self._backend.lifecycle.leave
        self._max_wait = settings["max_wait"] or settings["start_timeout"] + _MORE
        self._waiting_page = settings["waiting_page"]
        self._debug = settings["debug"]
        self._is_ignored = matcher(settings["idle_ignore"])
        # An application that is garbage has no use for its process.
        weakref.finalize(self, self._backend.close, wait=False).atexit = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if self._is_ignored is not None and self._is_ignored(environ.get("PATH_INFO", "")):
            return self._serve_ignored(environ, start_response)
        seconds, start = self._max_wait, monotonic()
        if self._backend.lifecycle.gateway is None and is_navigation(environ):
            seconds = min(seconds, self._waiting_page)
        try:
            gateway = self._backend.enter(environ, seconds)
        except ProxyError as error:
            return self._refuse(error, environ, start_response, start)
        return call_counted(gateway, environ, start_response, self._leave)

    def _serve_ignored(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request that neither starts the process nor keeps it running."""
        with self._backend.lifecycle.changed:
            gateway = self._backend.lifecycle.take()
        if gateway is None:
            # Without a log record: a page that is open for hours sends such requests.
            return error_page(Unavailable())(environ, start_response)
        return call_counted(gateway, environ, start_response, partial(self._leave, used=False))

    def _refuse(
        self,
        error: ProxyError,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        start: float,
    ) -> Iterable[bytes]:
        record = Record(environ, start)
        if isinstance(error, NotReady) and is_navigation(environ):
            lines = self._backend.lines if self._debug else []
            state = self._backend.lifecycle.state
            seconds = monotonic() - state.since if state.phase is Phase.STARTING else None
            headers, body = waiting_page(error.retry_after, seconds, lines)
            record.fail(error)
            record.end(error.status, sent=len(body))
            start_response("503 Service Unavailable", headers)
            return [body]
        if isinstance(error, NotStarted) and not self._debug:
            error.detail = ""
        return error_response(error, environ, start_response, record)

    # For the program

    @property
    def state(self) -> str:
        """``stopped``, ``starting``, ``ready``, ``draining``, ``backing off`` or ``failed``."""
        return self._backend.lifecycle.state.phase.value

    @property
    def pid(self) -> int | None:
        """The pid of the command; None while it does not run."""
        return self._backend.pid

    def start(self, *, wait: bool = True) -> None:
        """Start the process now.

        :param wait: wait until it is ready.
        :raises ProxyError: it does not become ready.
        """
        if not wait:
            self._backend.start()
            return
        self._backend.enter({}, self._max_wait)
        self._leave()

    def stop(self) -> None:
        """End the process and wait for its end; the next request starts another."""
        self._backend.stop()

    #: The name of 0.2.
    shutdown_subprocess = stop

    def close(self) -> None:
        """End the process and wait for its end; every later request gets 503."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._backend.command!r}: {self.state}>"


def _backend(settings: Mapping[str, Any], logger: logging.Logger | str | None) -> Backend:
    if not isinstance(logger, logging.Logger):
        logger = logging.getLogger(logger or "wsgiproxy.spawn")
    limits = ProcessLimits(
        settings["start_timeout"],
        settings["stop_timeout"],
        settings["idle_shutdown"],
        settings["max_waiting"],
    )
    plan, share = _plan(settings), settings["share"]
    # A request for a host that is not allowed would get 400.
    host = (*settings["allowed_hosts"], "localhost")[0].lstrip(".")
    return Backend(
        settings["start_script"],
        Coordination(plan) if share is None else Shared(plan, share),
        limits,
        gateways=Gateways(settings),
        check=readiness(settings["ready"], host),
        log=logger,
    )


def _plan(settings: Mapping[str, Any]) -> Plan:
    """The plan of an instance.

    :raises ConfigurationError: two settings contradict each other.
    """
    command, variables = settings["start_script"], settings["script_env"]
    tempfile.gettempdir()  # now, since its first call takes a lock that a fork may copy
    texts = [*command, *variables.values()]
    kind = socket_kind(texts, settings["socket"])
    port = settings["spawned_port"]
    if kind == "unix" and port is not None:
        raise ConfigurationError(f"spawned_port={port!r}: expected none with a Unix socket")
    secret_file = settings["secret_file"]
    if secret_file is not None and not settings["sign"]:
        raise ConfigurationError(f"secret_file={secret_file!r}: expected no sign=False beside it")
    return Plan(
        command,
        settings["cwd"],
        variables,
        settings["inherit_env"],
        kind,
        port,
        "fd" in meanings(texts),
        os.path.abspath(secret_file) if secret_file else "" if settings["sign"] else None,
    )
