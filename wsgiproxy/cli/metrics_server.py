"""The server of the figures, on a socket that listens already."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable
from time import sleep
from typing import TYPE_CHECKING

from wsgiproxy.cli.listen import CannotStart, Listen, open_listener
from wsgiproxy.cli.own_names import OwnNames
from wsgiproxy.observe.metrics import metrics_app
from wsgiproxy.observe.side_server import SideServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["show_metrics"]

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
        SideServer(listener or _opened(listen), application).serve_forever()

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
