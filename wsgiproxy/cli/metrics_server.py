"""The server of the figures, on a socket that listens already."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.own_names import OwnNames
from wsgiproxy.observe.metrics import metrics_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["show_metrics"]

# Seconds in which a client has to say something.
_PATIENCE = 10


def show_metrics(listener: socket.socket, listen: Listen) -> None:
    """Show the figures of this process, in a thread that does not keep it alive.

    :param listener: a socket that listens.
    :param listen: what it was opened for.
    """
    server = _Server(listener, _named(metrics_app(), listen))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


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
