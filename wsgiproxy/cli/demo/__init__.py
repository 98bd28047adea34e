"""``wsgiproxy demo``: a backend and a proxy in one process, to see what a proxy does."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import options
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.log import add_log, log_to_stderr, read_log
from wsgiproxy.cli.own_names import with_own_names
from wsgiproxy.cli.servers import SERVERS, Service, waitress_settings
from wsgiproxy.secretloader import new_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.cli.demo.compare import Seen
    from wsgiproxy.cli.serve import Commands

__all__ = ["PREFIX", "Front", "add_to", "demo_application", "in_background", "key_file"]

#: Where the demo is mounted.
PREFIX = "/demo"
THREADS = 16  # a browser opens six connections, and an event stream keeps one for seconds
_PAUSE = 0.4
_MAX_BODY = 1 << 30

_EPILOG = """\
Open the address that it prints in a browser, or ask for JSON:
  curl -H 'X-Forwarded-For: 6.6.6.6' http://127.0.0.1:8080/demo/
  curl -N http://127.0.0.1:8080/demo/events

Requests are signed on their way to the application, with a key that is gone afterwards.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "demo",
        help="an application behind the proxy, which shows what it received",
        description="Start a small web application behind the proxy. Its pages show what the "
        "client sent beside what the application received.",
        epilog=_EPILOG,
    )
    options.add_listen(parser)
    add_log(parser)
    options.add_settings(parser, options.DEMO)
    parser.set_defaults(run=_run)


class Front:
    """Keeps each request as the client sent it until *proxy* has the backend's head; numbers it."""

    def __init__(self, proxy: WSGIApplication) -> None:
        self._proxy = proxy
        self._requests: dict[str, Seen] = {}
        self._numbers = itertools.count(1)

    def seen(self, request_id: str) -> Seen | None:
        """A request that is being served, as the client sent it."""
        return self._requests.get(request_id)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        from wsgiproxy.cli.demo.compare import CARRIED, seen_in

        request_id = secrets.token_hex(8)
        # At most one for each thread.
        self._requests[request_id] = seen_in(environ)
        try:
            more = {"HTTP_X_REQUEST_ID": request_id, CARRIED: {"request": next(self._numbers)}}
            return self._proxy({**environ, **more}, start_response)
        finally:
            del self._requests[request_id]


@contextlib.contextmanager
def in_background(application: WSGIApplication, listener: socket.socket) -> Iterator[None]:
    """Serve in a thread during a block."""
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
def key_file() -> Iterator[str]:
    """The path of a new key file, which is deleted after the block."""
    with tempfile.TemporaryDirectory(prefix="wsgiproxy-demo-") as folder:
        path = os.path.join(folder, "secret.txt")
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(number, "w", encoding="ascii") as file:
            file.write(new_key("demo") + "\n")
        yield path


@contextlib.contextmanager
def demo_application(pause: Callable[[], object], secret_file: str) -> Iterator[WSGIApplication]:
    """The demo, with its backend running during the block.

    :param pause: waits between two events.
    """
    from wsgiproxy.cli.demo.backend import DemoBackend, verified
    from wsgiproxy.cli.demo.compare import CARRIED
    from wsgiproxy.cli.mount import Mount

    with open_listener(Listen("127.0.0.1", 0)) as listener:
        href = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = WSGIProxyApp(href, secret_file, json_keys=[CARRIED], max_body=_MAX_BODY)
        front = Front(proxy)
        backend = verified(DemoBackend(front.seen, pause), secret_file)
        with contextlib.closing(proxy), in_background(backend, listener):
            yield Mount(front, PREFIX, is_folder=True)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    allowed = options.given_settings(arguments, options.DEMO).get("allowed_hosts", ())
    log_to_stderr(read_log(arguments))
    with (
        key_file() as secret_file,
        demo_application(partial(sleep, _PAUSE), secret_file) as application,
    ):
        started = partial(_print_address, listen, secret_file)
        make = partial(counted, partial(with_own_names, lambda: application, listen, allowed))
        service = Service(make, listen, THREADS, started, _MAX_BODY)
        return SERVERS["waitress"](service)


def _print_address(listen: Listen, secret_file: str, port: int) -> None:
    url = listen.url(port, f"{PREFIX}/")
    print(f"Open {url} in a browser, or ask for JSON:")
    print(f"  curl -H 'X-Forwarded-For: 6.6.6.6' {url}")
    print("Proxy and backend share a key; what does a doctor say of them?")
    print(f"  wsgiproxy doctor {url} --secret-file {secret_file}")
    print("Ctrl-C ends it.", flush=True)
