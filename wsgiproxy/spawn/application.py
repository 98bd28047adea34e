"""The WSGI application that is a process of its own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ProxyError, Unavailable
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.websocket import asks_for_websocket
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.spawn.admission import Admission
from wsgiproxy.spawn.gateways import WSGIGateways
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.client import ClientWatch
from wsgiproxy.wsgi.errorpage import error_page
from wsgiproxy.wsgi.gateway import error_response
from wsgiproxy.wsgi.stream import call_counted

if TYPE_CHECKING:
    import logging

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Self, Unpack

    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import SpawnOptions

__all__ = ["SpawningApplication"]


@listing
class SpawningApplication(Hookable):
    """A WSGI application that is a process of its own, started by the first request.

    The first request starts the command and waits for it. The process, with all that it has
    started, ends with :meth:`close`, at the end of the program, after ``idle_shutdown``
    seconds without a request, and whenever this process dies, however it dies. A WebSocket is a
    request until it is closed; with the process, it ends.

    :param start_script: the command, which has to stay in the foreground: a list, or a string
        that is split as a shell would; no shell ever sees it. ``{port}`` (``__PORT__``),
        ``{fd}`` (``__FD__``) and ``{socket}`` are replaced.
    :param cwd: its working directory.
    :param script_env: variables to set in its environment, which is a minimal one.
    :param spawned_port: its port; any free one if not given.
    :param idle_shutdown: seconds without a request after which it is ended.
    :param logger: a logger or its name; ``wsgiproxy.spawn`` if not given. Its child ``output``
        gets the output of the command.
    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
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
        *,
        hooks: Iterable[Hook] = (),
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
        self._take_hooks(hooks)
        self._gateways = WSGIGateways(settings)
        self._use_hooks()
        self._admission = Admission(settings, self._gateways, logger)
        self._backend = self._admission.backend
        self._leave = self._backend.lifecycle.leave
        # An application that is garbage has no use for its process.
        weakref.finalize(self, self._backend.close, wait=False).atexit = False

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        if self._admission.is_ignored(environ.get("PATH_INFO", "")):
            return self._serve_ignored(environ, start_response)
        start = monotonic()
        try:
            seconds = self._admission.patience(environ)
            gateway = self._backend.enter(seconds, ClientWatch(environ))
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
        leave = partial(self._leave, used=False)
        if asks_for_websocket(environ):  # which may last for days
            leave()
            return gateway(environ, start_response)
        return call_counted(gateway, environ, start_response, leave)

    def _refuse(
        self,
        error: ProxyError,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        start: float,
    ) -> Iterable[bytes]:
        record = Record(environ, start)
        self._gateways.identify(record, partial(environs.read, environ))
        page = self._admission.page(error, environ)
        if page is not None:
            headers, body = page
            record.fail(error)
            record.end(error.status, sent=len(body))
            start_response("503 Service Unavailable", headers)
            return [body]
        return error_response(error, environ, start_response, record)

    # For the program

    def _use_hooks(self) -> None:
        self._gateways.use_hooks(self._hooks)

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
        self._backend.enter(self._admission.max_wait)
        self._leave()

    def stop(self) -> None:
        """End the process and wait for its end; the next request starts another."""
        self._backend.stop()

    #: The name of 0.2.
    shutdown_subprocess = stop

    def close(self) -> None:
        """End the process and wait for its end; every later request gets 503."""
        self._backend.close()
        self._gateways.beside.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._backend.command!r}: {self.state}>"
