"""``wsgiproxy demo``: a backend and a proxy in one process, to see what a proxy does."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import options
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.log import add_log, log_to_stderr, read_log
from wsgiproxy.cli.own_names import with_own_names
from wsgiproxy.cli.servers import (
    SERVERS,
    Service,
    check_installed,
    default_server,
    waitress_settings,
)
from wsgiproxy.secretloader import new_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.asgi.body import Receive, Scope, Send
    from wsgiproxy.cli.demo.compare import Seen
    from wsgiproxy.cli.serve import Commands
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = [
    "PREFIX",
    "ASGIFront",
    "Front",
    "Requests",
    "add_to",
    "asgi_demo_application",
    "demo_application",
    "in_background",
    "key_file",
]

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
    parser.add_argument(
        "--server",
        choices=("uvicorn", "waitress"),
        help="the server of both sides (default: uvicorn if the extra asgi is installed, else"
        " waitress)",
    )
    options.add_settings(parser, options.DEMO)
    parser.set_defaults(run=_run)


class Requests:
    """Keeps each request as the client sent it, while the proxy waits; numbers it."""

    def __init__(self) -> None:
        self._requests: dict[str, Seen] = {}
        self._numbers = itertools.count(1)

    def seen(self, request_id: str) -> Seen | None:
        """A request that is being served, as the client sent it."""
        return self._requests.get(request_id)

    @contextlib.contextmanager
    def keep(self, seen: Seen) -> Iterator[tuple[str, dict[str, int]]]:
        """Keep a request during a block, by an id; and what is carried to the backend."""
        request_id = secrets.token_hex(8)
        self._requests[request_id] = seen
        try:
            yield request_id, {"request": next(self._numbers)}
        finally:
            del self._requests[request_id]


class Front:
    """A WSGI application that tells the backend which request it gets."""

    def __init__(self, proxy: WSGIApplication, requests: Requests) -> None:
        self._proxy = proxy
        self._requests = requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        from wsgiproxy.cli.demo.compare import CARRIED, seen_in

        with self._requests.keep(seen_in(environ)) as (request_id, carried):
            more = {"HTTP_X_REQUEST_ID": request_id, CARRIED: carried}
            return self._proxy({**environ, **more}, start_response)


class ASGIFront:
    """The same as an ASGI application."""

    def __init__(self, proxy: ASGIApplication, requests: Requests) -> None:
        self._proxy = proxy
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        from wsgiproxy.cli.demo.compare import CARRIED, seen_in_scope

        if scope["type"] != "http":
            await self._proxy(scope, receive, send)
            return
        with self._requests.keep(seen_in_scope(scope)) as (request_id, carried):
            name = b"x-request-id"
            headers = [field for field in scope["headers"] if field[0] != name]
            headers.append((name, request_id.encode()))
            more = {"headers": headers, "wsgiproxy": {CARRIED: carried}}
            await self._proxy({**scope, **more}, receive, send)


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

    requests = Requests()
    backend = verified(DemoBackend(requests.seen, pause), secret_file)
    with open_listener(Listen("127.0.0.1", 0)) as listener:
        href = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = WSGIProxyApp(href, secret_file, json_keys=[CARRIED], max_body=_MAX_BODY)
        with contextlib.closing(proxy), in_background(backend, listener):
            yield Mount(Front(proxy, requests), PREFIX, is_folder=True)


@contextlib.contextmanager
def asgi_demo_application(
    pause: Callable[[], object], secret_file: str
) -> Iterator[ASGIApplication]:
    """The same with ASGI on both sides; the front closes its connections with the lifespan."""
    from wsgiproxy.asgi import ASGIProxyApp
    from wsgiproxy.cli.demo.asgi_backend import asgi_in_background, asgi_verified
    from wsgiproxy.cli.demo.backend import DemoBackend
    from wsgiproxy.cli.demo.compare import CARRIED
    from wsgiproxy.cli.mount import ASGIMount

    requests = Requests()
    backend = asgi_verified(DemoBackend(requests.seen, pause), secret_file)
    with open_listener(Listen("127.0.0.1", 0)) as listener:
        href = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = ASGIProxyApp(href, secret_file, json_keys=[CARRIED], max_body=_MAX_BODY)
        with asgi_in_background(backend, listener):
            yield ASGIMount(ASGIFront(proxy, requests), PREFIX, is_folder=True)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    allowed = options.given_settings(arguments, options.DEMO).get("allowed_hosts", ())
    log = read_log(arguments)
    server = arguments.server or default_server()
    check_installed(server)
    log_to_stderr(log)
    # What a closed terminal sends; it would leave the key file behind. nohup has it ignored.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)
    with key_file() as secret_file:
        started = partial(_print_address, listen, secret_file)
        pause = partial(sleep, _PAUSE)
        make: Callable[[], object]
        with contextlib.ExitStack() as stack:
            if server == "uvicorn":
                from wsgiproxy.cli.asgi_edge import asgi_counted, asgi_with_own_names

                asgi = stack.enter_context(asgi_demo_application(pause, secret_file))
                make = partial(
                    asgi_counted, partial(asgi_with_own_names, lambda: asgi, listen, allowed)
                )
            else:
                wsgi = stack.enter_context(demo_application(pause, secret_file))
                make = partial(counted, partial(with_own_names, lambda: wsgi, listen, allowed))
            service = Service(make, listen, THREADS, started, _MAX_BODY, log=log)
            return SERVERS[server](service)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


def _print_address(listen: Listen, secret_file: str, port: int) -> None:
    url = listen.url(port, f"{PREFIX}/")
    print(f"Open {url} in a browser, or ask for JSON:")
    print(f"  curl -H 'X-Forwarded-For: 6.6.6.6' {url}")
    print("Proxy and backend share a key; what does a doctor say of them?")
    print(f"  wsgiproxy doctor {url} --secret-file {secret_file}")
    print("Ctrl-C ends it.", flush=True)
