"""uvicorn, in this process, with the socket, the signals and the log of the command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Literal

import uvicorn

from wsgiproxy.cli.accesslines import INTERVAL
from wsgiproxy.cli.asgi_edge import dated
from wsgiproxy.cli.listen import open_listener
from wsgiproxy.cli.log import write_in_batches
from wsgiproxy.cli.servers import GRACE, MAX_MESSAGE, SILENCE, Service
from wsgiproxy.cli.signals import handle_signals
from wsgiproxy.cli.uvicorn_protocol import Protocol

if TYPE_CHECKING:
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = ["run_uvicorn", "server_of"]

# Seconds; longer than the 60 of nginx, which would send a request on a connection that closes.
_KEEP_ALIVE = 75
_BACKLOG = 2048
# Seconds between two looks at connections that the end waits for.
_LOOK = 0.05
# Seconds between two pings to the client of a WebSocket, which has as long to answer.
_PING = 20.0


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it accepts connections.

    :param started: called then.
    :param flush: writes what waits to be written of the log.
    """

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], flush: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell = started
        self._flush = flush
        self._flushing: asyncio.Task[None] | None = None
        # Seconds that a client with a kept connection has for one more request at the end.
        self.silence = SILENCE
        self.grace = GRACE

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signal: ours are handled already, and uvicorn would send them once more."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        self._flushing = asyncio.create_task(self._flush_often())
        self._tell()

    def answer_once(self) -> None:
        """Close connections behind the requests that they have now; a handler may call it."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                connection.answer_once()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, close WebSockets, and finish what was begun."""
        await self._accept_no_more(sockets or [])
        since = monotonic()
        self.answer_once()
        for connection in list(self.server_state.connections):
            if not isinstance(connection, Protocol):
                connection.shutdown()  # a WebSocket, which ends with 1012
        while monotonic() - since < self.grace and any(
            isinstance(each, Protocol) and each.may_ask(since, self.silence)
            for each in self.server_state.connections
        ):
            await asyncio.sleep(_LOOK)
        left = max(0.0, self.grace - (monotonic() - since))
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]  # any number
        await super().shutdown(sockets)

    async def _accept_no_more(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # what waits in the queue is accepted; closing the socket resets it
        if isinstance(loop, asyncio.SelectorEventLoop):
            # It makes a transport in a task of its own, which fails, and resets the connection, if
            # the server was closed since (CPython 3.11.7: Server._attach). uvloop does it at once.
            for sock in sockets:
                loop.remove_reader(sock)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for sock in sockets:
            sock.close()

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self._flush()


def server_of(
    application: ASGIApplication,
    started: Callable[[], None],
    flush: Callable[[], None],
    lifespan: Literal["on", "auto"] = "on",
    *,
    max_message: int = MAX_MESSAGE,
    deflate: bool = False,
) -> _Server:
    """The server of an application, which handles no signal.

    :param started: called when it accepts connections.
    :param flush: called all the time.
    :param max_message: bytes of a message of a WebSocket.
    :param deflate: compress messages.
    """
    config = _config(dated(application), lifespan, max_message, deflate)
    return _Server(config, started, flush)


def _handlers(
    servers: list[_Server], drain: float
) -> tuple[Callable[[int, FrameType | None], None], Callable[[], float]]:
    """What a signal does: end the server, and begin a drain; *servers* has it when it is made.

    :param drain: seconds for which it goes on accepting.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if not servers:
            raise SystemExit(0)
        if number == signal.SIGINT:
            servers[0].silence = 0.0
        servers[0].should_exit = True

    def begin() -> float:
        if not servers:
            return 0.0
        servers[0].answer_once()
        return drain

    return end, begin


def run_uvicorn(
    service: Service[ASGIApplication],
    *,
    lifespan: Literal["on", "auto"] = "on",
) -> int:
    """Serve with uvicorn until SIGINT or SIGTERM; requests in progress are finished.

    :param lifespan: auto for an application that may have none.
    """
    servers: list[_Server] = []
    end, drain = _handlers(servers, service.drain)
    with service.inherited or open_listener(service.listen) as listener:
        port = listener.getsockname()[1]
        flush = write_in_batches(service.log)
        handle_signals(end, flush, drain)
        application = service.make()
        server = server_of(
            application,
            lambda: service.started(port),
            flush,
            lifespan,
            max_message=service.max_message,
            deflate=service.deflate,
        )
        server.grace, server.silence = service.grace, service.silence
        servers.append(server)
        try:
            server.run([listener])
        except SystemExit:  # the startup of the application has failed, which is logged
            return 1
        finally:
            flush()
    return 0


def _websocket_protocol() -> type[asyncio.Protocol] | Literal["none"]:
    if find_spec("websockets") is None:
        return "none"
    from wsgiproxy.cli.uvicorn_websocket import WebSocketProtocol

    return WebSocketProtocol


def _config(
    application: ASGIApplication,
    lifespan: Literal["on", "auto"],
    max_message: int,
    deflate: bool,
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="auto",  # uvloop, if it is installed
        http=Protocol,
        ws=_websocket_protocol(),
        ws_max_size=max_message,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        ws_per_message_deflate=deflate,
        lifespan=lifespan,
        interface="asgi3",
        access_log=False,
        log_config=None,
        # The proxy removes the fields itself, and believes those of --trusted-proxies.
        proxy_headers=False,
        # Those of the upstream pass; uvicorn would add its own to them.
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
    )
