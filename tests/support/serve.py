"""``python -m tests.support.serve NAME module:app``: one WSGI application in one server.

It prints the port as its first line, and ends by SIGTERM or when its stdin ends. Nothing of
a server is imported but by its own function.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import sys
import threading
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["SERVERS"]

HOST = "127.0.0.1"
THREADS = 8


def load(path: str) -> WSGIApplication:
    module, _, name = path.partition(":")
    app: WSGIApplication = getattr(import_module(module), name)
    return app


def announce(port: int) -> None:
    print(port, flush=True)


def serve_wsgiref(path: str) -> None:
    from wsgiref.simple_server import WSGIServer, make_server

    # Threads, since one silent upstream would stop all the other cases.
    class Threaded(socketserver.ThreadingMixIn, WSGIServer):
        daemon_threads = True

    server = make_server(HOST, 0, load(path), server_class=Threaded)
    announce(server.server_port)
    server.serve_forever()


def serve_waitress(path: str) -> None:
    from waitress.server import create_server

    # Without a lookahead, waitress does not offer waitress.client_disconnected.
    options = {"threads": THREADS, "channel_request_lookahead": 1}
    server = create_server(load(path), host=HOST, port=0, **options)
    announce(server.effective_port)
    server.run()


def serve_gunicorn(path: str) -> None:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": f"{HOST}:0",
                "worker_class": "gthread",
                "threads": THREADS,
                "graceful_timeout": 1,
                "control_socket_disable": True,
                "when_ready": lambda arbiter: announce(arbiter.LISTENERS[0].sock.getsockname()[1]),
            }
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return load(path)

    sys.argv = sys.argv[:1]
    Gunicorn().run()


def serve_werkzeug(path: str) -> None:
    from werkzeug.serving import make_server

    server = make_server(HOST, 0, load(path), threaded=True)
    announce(server.server_port)
    server.serve_forever()


def serve_cheroot(path: str) -> None:
    from cheroot.wsgi import Server

    server = Server((HOST, 0), load(path), numthreads=THREADS)
    server.prepare()
    announce(server.bind_addr[1])
    server.serve()


def serve_granian(path: str) -> None:
    from granian.constants import Interfaces
    from granian.server import Server

    # Its workers bind by themselves, with SO_REUSEPORT; until then the port is held for them.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        port = holder.getsockname()[1]
        server = Server(
            path, HOST, port, interface=Interfaces.WSGI, blocking_threads=THREADS, websockets=False
        )
        announce(port)
        server.serve()


def serve_paste(path: str) -> None:
    from paste.httpserver import serve

    server = serve(
        load(path), HOST, "0", start_loop=False, use_threadpool=True, threadpool_workers=THREADS
    )
    announce(server.server_port)
    server.serve_forever()


def serve_handler(path: str) -> None:
    """Paste with our handler."""
    from paste.httpserver import serve

    from wsgiproxy.server import Handler

    server = serve(load(path), HOST, "0", handler=Handler, start_loop=False)
    announce(server.server_port)
    server.serve_forever()


def serve_asgi(path: str, adapter: str) -> None:
    """An ASGI server, and in it an adapter for WSGI applications."""
    import uvicorn

    module, _, name = adapter.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette's is deprecated, and in use
        adapted = getattr(import_module(module), name)(load(path))
    listener = socket.create_server((HOST, 0))
    announce(listener.getsockname()[1])
    config = uvicorn.Config(adapted, lifespan="off", log_level="warning", ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def serve_a2wsgi(path: str) -> None:
    serve_asgi(path, "a2wsgi:WSGIMiddleware")


def serve_starlette(path: str) -> None:
    serve_asgi(path, "starlette.middleware.wsgi:WSGIMiddleware")


SERVERS: dict[str, Callable[[str], None]] = {
    "wsgiref": serve_wsgiref,
    "waitress": serve_waitress,
    "gunicorn": serve_gunicorn,
    "werkzeug": serve_werkzeug,
    "cheroot": serve_cheroot,
    "granian": serve_granian,
    "paste": serve_paste,
    "handler": serve_handler,
    "a2wsgi": serve_a2wsgi,
    "starlette": serve_starlette,
}


def _end_with_parent() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(name: str, path: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    SERVERS[name](path)


if __name__ == "__main__":
    main(*sys.argv[1:])
