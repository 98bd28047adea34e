"""``serve --metrics``: the figures for Prometheus at an address of their own.

They are of the process that serves, and end with it.
"""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.options import read_listen
from wsgiproxy.cli.own_names import OwnNames
from wsgiproxy.observe.metrics import check_library, metrics_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["add_metrics", "with_metrics"]

A = TypeVar("A")

# Seconds in which a client has to say something.
_PATIENCE = 10


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add ``--metrics``."""
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="serve figures for Prometheus there, and nothing else; needs the extra metrics",
    )


def with_metrics(make: Callable[[], A], address: str | None) -> tuple[Callable[[], A], str]:
    """What makes an application, and shows figures of it in the same process.

    :param address: as it was typed; None for no figures.
    :returns: that, and what the command says of it.
    :raises ConfigurationError: the address is none, or the library is missing.
    :raises CannotStart: the port is taken.
    """
    if address is None:
        return make, ""
    listen = read_listen(address, "--metrics")
    check_library("--metrics")
    listener = open_listener(listen, flag="--metrics")
    url = listen.url(listener.getsockname()[1], "/metrics")
    return partial(_made, make, listener, listen), f"; metrics at {url}"


def _made(make: Callable[[], A], listener: socket.socket, listen: Listen) -> A:
    """Called in the process that serves, which may be a child of the one that listens."""
    server = _Server(listener, _named(metrics_app(), listen))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return make()


def _named(application: WSGIApplication, listen: Listen) -> WSGIApplication:
    """On a loopback address, other names than those of this machine get 421: a page of the web may
    have a name that leads here.
    """
    names = OwnNames(listen, ())

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if names.refusal([environ.get("HTTP_HOST", "")]) is None:
            return application(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Length", "0")])
        return []

    return serve


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: it is asked several times a minute."""


class _Server(ThreadingMixIn, WSGIServer):
    """A server on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, application: WSGIApplication) -> None:
        address = listener.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = address
        self.setup_environ()
        self.set_app(application)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: the client has left."""
