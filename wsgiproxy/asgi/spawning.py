"""The ASGI application that is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.asgi.ahead import ReadAhead
from wsgiproxy.asgi.answers import send_error, send_error_page, send_whole
from wsgiproxy.asgi.awaited import AwaitedBackend, Worker
from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.asgi.gateway import ASGIGateway
from wsgiproxy.asgi.gateways import ASGIGateways
from wsgiproxy.asgi.other_scopes import serve_other
from wsgiproxy.asgi.served import Served
from wsgiproxy.asgi.websocket import WebSockets, refuse_websocket
from wsgiproxy.errors import BadRequest, ClientGone, ProxyError, Unavailable
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record, asked_in_scope
from wsgiproxy.sansio.environ import scope as scopes
from wsgiproxy.sansio.errorpage import Page
from wsgiproxy.sansio.message import ResponseHead
from wsgiproxy.sansio.target import decoded
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.spawn.admission import Admission
from wsgiproxy.transport.base import AsyncReply
from wsgiproxy.transport.counted import CountedReply

if TYPE_CHECKING:
    import logging
    import os

    from typing_extensions import Self, Unpack

    from wsgiproxy.asgi.message_hooks import Hook as MessageHook
    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import ASGISpawnOptions

__all__ = ["ASGISpawningApplication"]


@listing
class ASGISpawningApplication(Served, Hookable):
    """An ASGI application that is a process of its own, started by the first request.

    It is :class:`~wsgiproxy.SpawningApplication` for event loops: a request that waits for the
    start holds no thread, and nothing blocks the loop. The process, with all that it has started,
    ends at ``lifespan.shutdown``, with :meth:`aclose` and :meth:`close`, at the end of the
    program, after ``idle_shutdown`` seconds without a request, and whenever this process dies,
    however it dies. A WebSocket is a request until it is closed; with the process, it ends.

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
    :param messages_from_client: changes the messages of WebSockets on their way to the process:
        an async generator function that is given an iterator of them, each a str or bytes, and
        yields what is to be sent instead.
    :param messages_from_upstream: the same for the messages of the process.
    :param options: the rows of :data:`wsgiproxy.settings.SPAWN`,
        :data:`~wsgiproxy.settings.SPAWNED_APP`,
        :data:`~wsgiproxy.settings.SPAWNED_SIGNING` and
        :data:`~wsgiproxy.settings.SPAWNED_TRANSPORT`; strings are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> import asyncio, sys
    >>> command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    >>> async def main():
    ...     async with ASGISpawningApplication(command, cwd="docs", idle_shutdown=60) as app:
    ...         await app.start()
    ...         return app.state
    >>> asyncio.run(main())
    'ready'
    """

    _is_async = True

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
        messages_from_client: MessageHook | None = None,
        messages_from_upstream: MessageHook | None = None,
        **options: Unpack[ASGISpawnOptions],
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
        settings = resolve(PARTS["ASGISpawningApplication"], values)
        super().__init__()
        worker = Worker()
        self._websockets = WebSockets(settings, messages_from_client, messages_from_upstream)
        self._take_hooks(hooks)
        self._gateways = ASGIGateways(settings, worker, self._websockets)
        self._use_hooks()
        self._admission = Admission(settings, self._gateways, logger)
        self._backend = self._admission.backend
        self._awaited = AwaitedBackend(self._backend, worker)
        # An application that is garbage has no use for its process.
        weakref.finalize(self, self._backend.close, wait=False).atexit = False

    async def _serving(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope.

        :raises ProxyError: an answer breaks off; the server then breaks the connection.
        """
        if scope["type"] not in ("http", "websocket"):
            await serve_other(scope, receive, send, self.aclose)
            return
        used = not self._is_ignored(scope)
        gateway = self._backend.lifecycle.take_at_once()
        if gateway is not None:
            await self._serve(gateway, scope, receive, send, used)
        elif used:
            await self._serve_waiting(scope, receive, send)
        else:
            gateway = await self._awaited.take()
            if gateway is not None:
                await self._serve(gateway, scope, receive, send, used)
            else:
                await _refuse_ignored(scope, receive, send)

    def _is_ignored(self, scope: Scope) -> bool:
        if not self._admission.ignores:
            return False
        try:
            return self._admission.is_ignored(decoded(scopes.target_of(scope)[0].path))
        except BadRequest:  # the gateway says so
            return False

    async def _serve(
        self, gateway: ASGIGateway, scope: Scope, receive: Receive, send: Send, used: bool
    ) -> None:
        is_websocket = scope["type"] == "websocket"
        if is_websocket and not used:  # it may last for days, and must not keep the process
            self._awaited.leave(used=False)
            await self._websockets.serve(gateway, scope, receive, send)
            return
        try:
            if is_websocket:
                await self._websockets.serve(gateway, scope, receive, send)
            else:
                await gateway(scope, receive, send)
        finally:
            self._awaited.leave(used=used)

    async def _serve_waiting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request for which the process has to be started, perhaps."""
        start, request = monotonic(), _request(scope)
        ahead = ReadAhead(receive, reads="HTTP_EXPECT" not in request)
        record = Record(scope, start, asked_in_scope)
        try:
            try:
                if scope["type"] == "websocket":
                    self._websockets.check()
                gateway = await self._awaited.enter(self._admission.patience(request), ahead)
            except ProxyError as error:
                self._gateways.identify(record, lambda: scopes.read(scope))
                page = self._waiting_page(error, request, record)
                if scope["type"] == "websocket":
                    await ahead()  # websocket.connect
                    await refuse_websocket(error, scope, send, record)
                elif page is None:
                    await send_error(error, scope, send, record)
                else:
                    await send_whole(page.status, page.headers, page.body, send)
                return
            except asyncio.CancelledError:  # the server has cancelled the task
                record.fail(ClientGone("the server gave the request up"))
                record.end(ClientGone.status)
                raise
            record.discard()  # that of the gateway takes its place
            await self._serve(gateway, scope, ahead, send, True)
        finally:
            ahead.close()

    def _waiting_page(
        self, error: ProxyError, request: Mapping[str, str], record: Record
    ) -> Page | None:
        page = self._admission.page(error, request)
        if page is None:
            return None
        headers, body = page
        record.fail(error)
        record.end(error.status, sent=len(body))
        return Page(error.status, "Service Unavailable", headers, body)

    # For an endpoint

    async def exchange(
        self, scope: Scope, receive: Receive, record: Record
    ) -> tuple[ResponseHead, AsyncReply | None]:
        """Send one request, and begin its answer, for :func:`~wsgiproxy.asgi.starlette.proxied`.

        :raises ProxyError: there is no answer.
        """
        used = not self._is_ignored(scope)
        request = _request(scope)
        ahead = ReadAhead(receive, reads="HTTP_EXPECT" not in request)
        gateway = self._backend.lifecycle.take_at_once()
        with contextlib.ExitStack() as ends:
            ends.callback(ahead.close)
            if gateway is None and used:
                gateway = await self._awaited.enter(self._admission.patience(request), ahead)
            elif gateway is None:
                gateway = await self._awaited.take()
            if gateway is None:
                raise Unavailable()
            ends.callback(self._awaited.leave, used=used)
            head, reply = await gateway.exchange(scope, ahead, None, record)
            if reply is not None:
                # From here on the reply ends the request, and not this call.
                return head, cast("AsyncReply", CountedReply(reply, ends.pop_all().close))
        return head, None

    def waiting_page(self, error: ProxyError, scope: Scope, record: Record) -> Page | None:
        """The page with which a browser waits after such an error; None if there is none."""
        self._gateways.identify(record, lambda: scopes.read(scope))
        return self._waiting_page(error, _request(scope), record)

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

    async def start(self, *, wait: bool = True) -> None:
        """Start the process now.

        :param wait: wait until it is ready.
        :raises ProxyError: it does not become ready.
        """
        if not wait:
            await self._awaited.start()
            return
        await self._awaited.enter(self._admission.max_wait)
        self._awaited.leave(used=True)

    async def stop(self) -> None:
        """End the process and wait for its end; the next request starts another."""
        await self._awaited.stop()

    async def aclose(self) -> None:
        """End the process and wait for its end; every later request gets 503.

        A server with lifespan does this at its end. Where the application is mounted and gets no
        lifespan, do it in that of the application around it.
        """
        await self._awaited.close()
        await self._gateways.beside.aclose()

    def close(self) -> None:
        """The same for programs; it blocks, and an event loop in which it is called, too."""
        self._backend.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._backend.command!r}: {self.state}>"


async def _refuse_ignored(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse without a log record: a page that is open for hours sends such requests."""
    if scope["type"] == "http":
        await send_error_page(Unavailable(), scope, send)
        return
    await receive()  # websocket.connect
    await refuse_websocket(Unavailable(), scope, send)


def _request(scope: Scope) -> dict[str, str]:
    """The method and the fields of a request as WSGI has them; a WebSocket is no navigation."""
    if scope["type"] == "websocket":
        return {}
    found = {"REQUEST_METHOD": str(scope["method"])}
    for name, value in scope["headers"]:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
