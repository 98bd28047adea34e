"""The servers that can carry an application: waitress, and others if they are installed.

uvicorn alone takes ASGI applications, and is in a module of its own.

Each is one function from a service to an exit status; a server is imported when it runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from wsgiproxy.cli.listen import Listen, held_port, open_listener
from wsgiproxy.cli.log import LogStyle
from wsgiproxy.cli.signals import handle_interrupts
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.extras import extra
from wsgiproxy.settings import WEBSOCKET

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeAlias

    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.asgi.body import Receive, Scope, Send
    from wsgiproxy.cli.signals import Handler

    ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = [
    "GRACE",
    "MAX_MESSAGE",
    "SERVERS",
    "SILENCE",
    "THREADS",
    "Service",
    "check_installed",
    "default_server",
    "end_cleanly",
    "waitress_settings",
]

#: Exchanges at the same time, where a server has threads and no number is given.
THREADS = 8
#: Seconds that running exchanges have when the server is told to end, where no number is given.
GRACE = 5.0

#: Seconds of silence at the end, behind which a client with a kept connection sends no more.
SILENCE = 1.0

#: Bytes of a message of a WebSocket, where no number is given.
MAX_MESSAGE = next(row.default for row in WEBSOCKET if row.name == "max_message")

# waitress counts sockets, and accepts no more at 100.
_CONNECTIONS = 1000
_NO_LIMIT = sys.maxsize
# Seconds that granian has to begin to listen.
_STARTING = 30


_A = TypeVar("_A")


@dataclass(frozen=True)
class Service(Generic[_A]):
    """An application, its address and its limits. It can be pickled: granian may spawn a worker.

    :param make: makes the application, in the process that serves it.
    :param started: called with the port as soon as connections are accepted.
    :param max_body: largest request body in bytes, None for no limit; the application
        enforces it as well, waitress before it has stored the body.
    :param shutdown_time: seconds that the application needs to end after its last exchange.
    :param log: how exchanges are logged, where the server may put lines together.
    :param max_message: largest message of a WebSocket of a client, in bytes.
    :param deflate: compress messages, for clients that can (RFC 7692).
    :param drain: seconds between SIGTERM and the last connection that is accepted.
    :param grace: seconds that exchanges in progress have from then on.
    :param silence: seconds, after SIGTERM alone, behind which a silent client sends no more.
    :param inherited: the listening socket that a parent has, too, and that goes on without us;
        None for a socket of our own.
    """

    make: Callable[[], _A]
    listen: Listen
    threads: int
    started: Callable[[int], None]
    max_body: int | None = None
    shutdown_time: float = 0.0
    log: LogStyle | None = None
    max_message: int = MAX_MESSAGE
    deflate: bool = False
    drain: float = 0.0
    grace: float = GRACE
    silence: float = SILENCE
    inherited: socket.socket | None = None


def waitress_settings(threads: int, max_body: int | None) -> dict[str, Any]:
    """The settings of waitress, for proxies and for the applications behind them."""
    return {
        "threads": threads,
        # Without a lookahead, waitress does not offer waitress.client_disconnected.
        "channel_request_lookahead": 1,
        # The proxy removes them itself, and believes those of --trusted-proxies.
        "clear_untrusted_proxy_headers": False,
        "connection_limit": _CONNECTIONS,
        "asyncore_use_poll": True,  # select() ends at 1024 descriptors
        # waitress refuses a body of exactly its limit, too.
        "max_request_body_size": _NO_LIMIT if max_body is None else max_body + 1,
        "ident": None,  # or it would add a Server to answers that have none
    }


def end_cleanly(number: int, frame: FrameType | None) -> None:
    """A handler of SIGTERM that leaves the loop of a server."""
    raise SystemExit(0)


def _block_interrupts() -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the parent.

    The workers of gunicorn 27 and granian 2.8 may hang when they get two signals.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _gunicorn_settings(
    service: Service[WSGIApplication], listener: socket.socket
) -> Mapping[str, object]:
    port = listener.getsockname()[1]

    def post_fork(arbiter: Any, worker: Any) -> None:
        _block_interrupts()
        worker.cfg.set("graceful_timeout", ceil(service.grace))  # for running exchanges

    def when_ready(arbiter: Any) -> None:
        # Its own SIGINT raises an exception in the handler of a worker, wherever that was; some
        # never end.
        handle_interrupts(
            lambda number, frame: arbiter.signal(signal.SIGTERM, frame),
            partial(arbiter.kill_workers, signal.SIGKILL),
        )
        service.started(port)

    return {
        "bind": f"fd://{listener.detach()}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": service.threads,
        "graceful_timeout": ceil(service.grace + service.shutdown_time),  # until a worker is killed
        "loglevel": "warning",
        "limit_request_line": 8190,  # the most that it takes
        # Peers that may send X-Forwarded-Proto are those of --trusted-proxies.
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "post_fork": post_fork,
        "when_ready": when_ready,
    }


def _run_gunicorn(service: Service[WSGIApplication]) -> int:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]  # it has no types
        def load_config(self) -> None:
            for name, value in settings.items():
                if name in self.cfg.settings:  # control_socket_disable is new in 25
                    self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return service.make()

    settings = _gunicorn_settings(service, service.inherited or open_listener(service.listen))
    try:
        Gunicorn().run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _run_granian(service: Service[WSGIApplication]) -> int:
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    with held_port(service.listen) as holder:
        address, port = holder.getsockname()[:2]
        server = Server(
            "wsgiproxy",
            address,
            port,
            interface=Interfaces.WSGI,
            blocking_threads=service.threads,
            websockets=False,
            log_level=LogLevels.error,
            workers_kill_timeout=max(1, ceil(service.grace + service.shutdown_time)),
        )
        server.on_startup(partial(_handle_interrupts_of_granian, server))
        try:
            server.serve(target_loader=partial(_granian_worker, service, port), wrap_loader=False)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
    return 0


def _handle_interrupts_of_granian(server: Any) -> None:
    """Called in granian's parent process, once it has its handlers."""

    def kill() -> None:
        for worker in server.wrks:
            worker.kill()

    handle_interrupts(cast("Handler", signal.getsignal(signal.SIGINT)), kill)


def _granian_worker(service: Service[WSGIApplication], port: int) -> WSGIApplication:
    """Called in granian's worker, just before it listens; no hook is called after that."""
    _block_interrupts()
    watch = partial(_when_open, service.listen.host, port, partial(service.started, port))
    threading.Thread(target=watch, daemon=True).start()
    # granian puts the environment of the process into every environ, as CGI would: header fields
    # that no client has sent.
    for name in [name for name in os.environ if name.startswith(("HTTP_", "CONTENT_"))]:
        del os.environ[name]
    return service.make()


def _when_open(host: str, port: int, then: Callable[[], None]) -> None:
    end = time.monotonic() + _STARTING
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return then()
        time.sleep(0.02)


def _run_waitress(service: Service[WSGIApplication]) -> int:
    from wsgiproxy.cli.waitress_server import run_waitress

    return run_waitress(service)


def _run_uvicorn(service: Service[ASGIApplication]) -> int:
    from wsgiproxy.cli.uvicorn_server import run_uvicorn

    return run_uvicorn(service)


#: By the value of ``--server``.
SERVERS: dict[str, Callable[[Service[Any]], int]] = {
    "uvicorn": _run_uvicorn,
    "waitress": _run_waitress,
    "gunicorn": _run_gunicorn,
    "granian": _run_granian,
}


def default_server() -> str:
    """The name of the server that is taken where none is named."""
    return "waitress" if find_spec("uvicorn") is None else "uvicorn"


def check_installed(name: str) -> None:
    """Import a server.

    :raises ConfigurationError: it is not installed; with the command that installs it.
    """
    try:
        import_module(name)
    except ImportError as error:
        how = extra("asgi") if name == "uvicorn" else f"pip install {name}"
        raise ConfigurationError(
            f"--server {name}: the package {name} is not installed; try: {how}"
        ) from error
