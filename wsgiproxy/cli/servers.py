"""The servers that can carry an application: waitress, and others if they are installed.

Each is one function from a plan to an exit status; nothing of a server is imported before it
is asked for.
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
from math import ceil
from types import FrameType
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli.listen import Listen, held_port, open_listener
from wsgiproxy.cli.signals import SignalCount
from wsgiproxy.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = [
    "SERVERS",
    "Service",
    "check_installed",
    "end_cleanly",
    "run_waitress",
    "waitress_settings",
]

#: Seconds that running exchanges have left when the server is told to end.
GRACE = 5

# waitress counts sockets, and closes the door to all at 100.
_CONNECTIONS = 1000
_NO_LIMIT = sys.maxsize


@dataclass(frozen=True)
class Service:
    """What to serve, where and how. It can be pickled: granian may spawn its worker.

    :param make: makes the application, in the process that serves it.
    :param started: told the port as soon as connections are accepted.
    :param max_body: largest request body in bytes, None for no limit; the application
        enforces it as well, waitress before it has stored the body.
    :param patience: seconds that the application needs to end after its last exchange.
    """

    make: Callable[[], WSGIApplication]
    listen: Listen
    threads: int
    started: Callable[[int], None]
    max_body: int | None = None
    patience: float = 0.0


def waitress_settings(threads: int, max_body: int | None) -> dict[str, Any]:
    """What waitress is told; one place for the proxies and for what is behind them."""
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


def run_waitress(plan: Service, listener: socket.socket | None = None) -> int:
    """Serve with waitress.

    :param listener: the socket to use, if there is one already.
    """
    from waitress.server import create_server

    with listener or open_listener(plan.listen) as listener:
        server = create_server(
            plan.make(),
            sockets=[listener],
            **waitress_settings(plan.threads, plan.max_body),
        )
        signal.signal(signal.SIGTERM, end_cleanly)
        plan.started(listener.getsockname()[1])
        server.run()  # it ends by SystemExit and KeyboardInterrupt, and waits for its threads
        server.close()
    return 0


def end_cleanly(number: int, frame: FrameType | None) -> None:
    """A handler of SIGTERM: leave the server's loop, and close what is open."""
    raise SystemExit(0)


def _leave_ctrl_c_to_parent() -> None:
    """Ctrl-C reaches the whole group, and a parent passes it on.

    The workers of gunicorn 27 and granian 2.8 may hang when they get two signals.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _in_worker(worker: Any) -> None:
    _leave_ctrl_c_to_parent()
    worker.cfg.set("graceful_timeout", GRACE)  # for running exchanges


def _gunicorn_settings(plan: Service, listener: socket.socket) -> Mapping[str, object]:
    port = listener.getsockname()[1]

    def ready(arbiter: Any) -> None:
        heard = SignalCount(lambda: arbiter.kill_workers(signal.SIGKILL))

        def interrupted(number: int, frame: FrameType | None) -> None:
            if heard.is_first(number):
                arbiter.signal(signal.SIGTERM, frame)

        # Its own way with SIGINT leaves the handler of a worker by an exception, wherever
        # that was; some never end.
        signal.signal(signal.SIGINT, interrupted)
        plan.started(port)

    return {
        "bind": f"fd://{listener.detach()}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": plan.threads,
        "graceful_timeout": GRACE + ceil(plan.patience),  # until a worker is killed
        "loglevel": "warning",
        "limit_request_line": 8190,  # the most that it takes
        # Who may speak of https is for --trusted-proxies to say.
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "post_fork": lambda arbiter, worker: _in_worker(worker),
        "when_ready": ready,
    }


def _run_gunicorn(plan: Service) -> int:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]  # it has no types
        def load_config(self) -> None:
            for name, value in settings.items():
                if name in self.cfg.settings:  # control_socket_disable is new in 25
                    self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return plan.make()

    settings = _gunicorn_settings(plan, open_listener(plan.listen))
    try:
        Gunicorn().run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _run_granian(plan: Service) -> int:
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    with held_port(plan.listen) as holder:
        address, port = holder.getsockname()[:2]
        server = Server(
            "wsgiproxy",
            address,
            port,
            interface=Interfaces.WSGI,
            blocking_threads=plan.threads,
            websockets=False,
            log_level=LogLevels.error,
            workers_kill_timeout=GRACE + ceil(plan.patience),
        )
        server.on_startup(partial(_hear_ctrl_c_twice, server))
        try:
            server.serve(target_loader=partial(_granian_worker, plan, port), wrap_loader=False)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
    return 0


def _hear_ctrl_c_twice(server: Any) -> None:
    """Called in granian's parent process, once it has its handlers."""
    then: Any = signal.getsignal(signal.SIGINT)

    def kill() -> None:
        for worker in server.wrks:
            worker.kill()

    heard = SignalCount(kill)

    def interrupted(number: int, frame: FrameType | None) -> None:
        if heard.is_first(number):
            then(number, frame)

    signal.signal(signal.SIGINT, interrupted)


def _granian_worker(plan: Service, port: int) -> WSGIApplication:
    """Called in granian's worker, just before it listens, of which it tells nobody."""
    _leave_ctrl_c_to_parent()
    watch = partial(_when_open, plan.listen.host, port, partial(plan.started, port))
    threading.Thread(target=watch, daemon=True).start()
    # It puts the environment of the process into every environ, as CGI would: header fields
    # that no client has sent.
    for name in [name for name in os.environ if name.startswith(("HTTP_", "CONTENT_"))]:
        del os.environ[name]
    return plan.make()


def _when_open(host: str, port: int, then: Callable[[], None], patience: float = 30) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return then()
        time.sleep(0.02)


#: By the value of ``--server``.
SERVERS: dict[str, Callable[[Service], int]] = {
    "waitress": run_waitress,
    "gunicorn": _run_gunicorn,
    "granian": _run_granian,
}


def check_installed(name: str) -> None:
    """Fail early if a server is not there.

    :raises ConfigurationError: with the command that installs it.
    """
    try:
        import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"--server {name}: the package {name} is not installed; try: pip install {name}"
        ) from error
