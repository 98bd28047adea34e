"""``wsgiproxy demo``: a backend and a proxy in one process, to see what a proxy does."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING, Any

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import options
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.inspecting import add_inspect, inspected, port_taken, read_inspection
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
    from wsgiproxy.cli.inspecting import Inspection
    from wsgiproxy.cli.serve import Commands
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = [
    "PREFIX",
    "add_to",
    "asgi_demo_application",
    "asgi_numbered",
    "demo_application",
    "in_background",
    "key_file",
    "numbered",
]

#: Where the demo is mounted.
PREFIX = "/demo"
THREADS = 16  # a browser opens six connections, and an event stream keeps one for seconds
_PAUSE = 0.4
_MAX_BODY = 1 << 30

_EPILOG = """\
Open the addresses that it prints in a browser, the inspector's beside the
demo's; or ask the demo for JSON:
  curl -H 'X-Forwarded-For: 6.6.6.6' http://127.0.0.1:8080/demo/
  curl -N http://127.0.0.1:8080/demo/events

Requests are signed on their way to the application, with a key that is gone afterwards.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "demo",
        help="an application behind the proxy, and the inspector of what passes",
        description="Start a small web application behind the proxy. Its pages show what it knows "
        "of the client; the inspector shows what passes, at both sides of the proxy.",
        epilog=_EPILOG,
    )
    options.add_listen(parser)
    add_log(parser)
    add_inspect(parser, is_always_on=True)
    parser.add_argument(
        "--server",
        choices=("uvicorn", "waitress"),
        help="the server of both sides (default: uvicorn if the extra asgi is installed, else"
        " waitress)",
    )
    options.add_settings(parser, options.DEMO)
    parser.set_defaults(run=_run)


def numbered(proxy: WSGIApplication) -> WSGIApplication:
    """The proxy, which gets a number with each request, as a value to carry."""
    from wsgiproxy.cli.demo.facts import CARRIED

    numbers = itertools.count(1)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return proxy({**environ, CARRIED: {"request": next(numbers)}}, start_response)

    return serve


def asgi_numbered(proxy: ASGIApplication) -> ASGIApplication:
    """The same under ASGI."""
    from wsgiproxy.cli.demo.facts import CARRIED

    numbers = itertools.count(1)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "wsgiproxy": {CARRIED: {"request": next(numbers)}}}
        await proxy(scope, receive, send)

    return serve


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
    from wsgiproxy.cli.demo.facts import CARRIED
    from wsgiproxy.cli.mount import Mount

    backend = verified(DemoBackend(pause), secret_file)
    with open_listener(Listen("127.0.0.1", 0)) as listener:
        href = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = WSGIProxyApp(href, secret_file, json_keys=[CARRIED], max_body=_MAX_BODY)
        with contextlib.closing(proxy), in_background(backend, listener):
            yield Mount(numbered(proxy), PREFIX, is_folder=True)


@contextlib.contextmanager
def asgi_demo_application(
    pause: Callable[[], object], secret_file: str
) -> Iterator[ASGIApplication]:
    """The same with ASGI on both sides; the front closes its connections with the lifespan."""
    from wsgiproxy.asgi import ASGIProxyApp
    from wsgiproxy.cli.demo.asgi_backend import asgi_in_background, asgi_verified
    from wsgiproxy.cli.demo.backend import DemoBackend
    from wsgiproxy.cli.demo.facts import CARRIED
    from wsgiproxy.cli.mount import ASGIMount

    backend = asgi_verified(DemoBackend(pause), secret_file)
    with open_listener(Listen("127.0.0.1", 0)) as listener:
        href = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = ASGIProxyApp(href, secret_file, json_keys=[CARRIED], max_body=_MAX_BODY)
        with asgi_in_background(backend, listener):
            yield ASGIMount(asgi_numbered(proxy), PREFIX, is_folder=True)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    allowed = options.given_settings(arguments, options.DEMO).get("allowed_hosts", ())
    log = read_log(arguments)
    server = arguments.server or default_server()
    check_installed(server)
    inspection = read_inspection(arguments, "wsgiproxy demo")
    log_to_stderr(log)
    # What a closed terminal sends; it would leave the key file behind. nohup has it ignored.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)
    with key_file() as secret_file:
        started = partial(_print_address, listen, secret_file, inspection)
        pause = partial(sleep, _PAUSE)
        make: Callable[[], Any]
        with contextlib.ExitStack() as stack:
            stack.enter_context(port_taken(inspection))
            if server == "uvicorn":
                from wsgiproxy.cli.asgi_edge import asgi_counted, asgi_with_own_names

                asgi = stack.enter_context(asgi_demo_application(pause, secret_file))
                make = partial(asgi_with_own_names, lambda: asgi, listen, allowed)
                make = inspected(partial(asgi_counted, make), inspection)
            else:
                wsgi = stack.enter_context(demo_application(pause, secret_file))
                make = partial(with_own_names, lambda: wsgi, listen, allowed)
                make = inspected(partial(counted, make), inspection)
            service = Service(make, listen, THREADS, started, _MAX_BODY, log=log)
            return SERVERS[server](service)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


def _print_address(
    listen: Listen, secret_file: str, inspection: Inspection | None, port: int
) -> None:
    url = listen.url(port, f"{PREFIX}/")
    if inspection is not None:
        print(inspection.note)
    print(f"Open {url} in a browser, or ask for JSON:")
    print(f"  curl -H 'X-Forwarded-For: 6.6.6.6' {url}")
    print("Proxy and backend share a key; what does a doctor say of them?")
    print(f"  wsgiproxy doctor {url} --secret-file {secret_file}")
    print("Ctrl-C ends it.", flush=True)
