"""``wsgiproxy demo``: a backend and a proxy in one process, to see what a proxy does."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import options
from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.serve import log_to_stderr, wants_access_log
from wsgiproxy.cli.servers import SERVERS, Plan, waitress_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.cli.demo_compare import Seen
    from wsgiproxy.cli.serve import Commands

__all__ = ["PREFIX", "Front", "add_to", "demo_application", "in_background"]

#: Where the demo is mounted.
PREFIX = "/demo"
THREADS = 16  # a browser opens six connections, and an event stream keeps one for seconds
_PAUSE = 0.4
_MAX_BODY = 1 << 30

_EPILOG = """\
Open the address that it prints in a browser, or ask for JSON:
  curl -H 'X-Forwarded-For: 6.6.6.6' http://127.0.0.1:8080/demo/
  curl -N http://127.0.0.1:8080/demo/events
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "demo",
        help="an application behind the proxy, which shows what it received",
        description="Start a small web application behind the proxy. Its pages show what the "
        "client sent beside what the application received.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_listen(parser)
    options.add_access_log(parser)
    parser.set_defaults(run=_run)


class Front:
    """Remembers each request before the proxy touches it, and gives it a number.

    :param proxy: what serves it then; when it has returned, the backend's head has arrived.
    """

    def __init__(self, proxy: WSGIApplication) -> None:
        self._proxy = proxy
        self._requests: dict[str, Seen] = {}

    def seen(self, request_id: str) -> Seen | None:
        """A request that is being served, as the client sent it."""
        return self._requests.get(request_id)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        from wsgiproxy.cli.demo_compare import seen_in

        request_id = secrets.token_hex(8)
        # Never more of them than threads: each goes when its call returns.
        self._requests[request_id] = seen_in(environ)
        try:
            return self._proxy({**environ, "HTTP_X_REQUEST_ID": request_id}, start_response)
        finally:
            del self._requests[request_id]


@contextlib.contextmanager
def in_background(application: WSGIApplication, listener: socket.socket) -> Iterator[None]:
    """Serve in a thread, and end it without a trace."""
    from waitress import wasyncore
    from waitress.server import create_server

    sockets: dict[int, object] = {}
    server = create_server(
        application, map=sockets, sockets=[listener], **waitress_settings(THREADS, None)
    )
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            wasyncore.loop(timeout=1, use_poll=True, map=sockets, count=1)

    thread = threading.Thread(target=run, name="demo-backend", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        server.pull_trigger()
        thread.join()
        server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(sockets)


@contextlib.contextmanager
def demo_application(pause: Callable[[], object]) -> Iterator[WSGIApplication]:
    """The demo, its backend running meanwhile.

    :param pause: waits between two events.
    """
    from wsgiproxy.cli.demo_backend import Backend
    from wsgiproxy.cli.mount import Mount

    with open_listener(Listen("127.0.0.1", 0)) as listener:
        proxy = WSGIProxyApp(f"http://127.0.0.1:{listener.getsockname()[1]}", max_body=_MAX_BODY)
        front = Front(proxy)
        with contextlib.closing(proxy), in_background(Backend(front.seen, pause), listener):
            yield Mount(front, PREFIX)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    log_to_stderr(wants_access_log(arguments))
    with demo_application(partial(sleep, _PAUSE)) as application:
        plan = Plan(lambda: application, listen, THREADS, partial(_say_started, listen), _MAX_BODY)
        return SERVERS["waitress"](plan)


def _say_started(listen: Listen, port: int) -> None:
    url = listen.url(port, f"{PREFIX}/")
    print(f"Open {url} in a browser, or ask for JSON:")
    print(f"  curl -H 'X-Forwarded-For: 6.6.6.6' {url}")
    print("Ctrl-C ends it.", flush=True)
