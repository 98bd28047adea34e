"""The server of the figures, on a socket that listens already."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from time import sleep
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from wsgiproxy.cli.listen import CannotStart, Listen, open_listener
from wsgiproxy.cli.own_names import OwnNames
from wsgiproxy.observe.metrics import metrics_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["show_metrics"]

# Seconds in which a client has to say something.
_PATIENCE = 10
# Seconds between two trials to listen where another process does.
_INTERVAL = 0.5


def show_metrics(listener: socket.socket | None, listen: Listen) -> None:
    """Show the figures of this process, in a thread that does not keep it alive.

    They are made from now on.

    :param listener: a socket that listens; None if another process has the port, until it ends.
    :param listen: what it was opened for.
    """
    application = _named(metrics_app(), listen)

    def serve() -> None:
        _Server(listener or _opened(listen), application).serve_forever()

    threading.Thread(target=serve, name="metrics", daemon=True).start()


def _opened(listen: Listen) -> socket.socket:
    while True:
        with contextlib.suppress(CannotStart):
            return open_listener(listen)
        sleep(_INTERVAL)


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
