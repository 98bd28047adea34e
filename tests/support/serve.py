"""``python -m tests.support.serve NAME module:app``: one application in one server.

It prints the port as its first line, and ends by SIGTERM or when its stdin ends. Nothing of
a server is imported but by its own function.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import socketserver
import ssl
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["ASGI_SERVERS", "MORE_WITH_SOCKETS", "SERVERS"]

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


def serve_gunicorn(path: str, worker: str = "gthread") -> None:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": f"{HOST}:0",
                "worker_class": worker,
                "threads": THREADS if worker == "gthread" else 1,
                "graceful_timeout": 1,
                "certfile": os.environ.get("CERTIFICATE"),
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

    context = None
    if "CERTIFICATE" in os.environ:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["CERTIFICATE"])
    server = make_server(HOST, 0, load(path), threaded=True, ssl_context=context)
    announce(server.server_port)
    server.serve_forever()


def serve_pywsgi(path: str) -> None:
    from gevent.monkey import patch_all

    patch_all()
    from gevent.pywsgi import WSGIServer

    certificate = os.environ.get("CERTIFICATE")
    options = {"certfile": certificate} if certificate else {}
    server = WSGIServer((HOST, 0), load(path), **options)
    server.init_socket()
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

    run_granian(path, interface=Interfaces.WSGI, blocking_threads=THREADS)


def run_granian(path: str, **options: Any) -> None:
    from granian.server import Server

    # Its workers bind by themselves, with SO_REUSEPORT; until then the port is held for them.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        port = holder.getsockname()[1]
        server = Server(path, HOST, port, websockets="ASGI_WS" in os.environ, **options)
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


def load_asgi(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def serve_uvicorn(path: str, http: str = "httptools", loop: str = "uvloop") -> None:
    import uvicorn

    listener = socket.create_server((HOST, 0))
    announce(listener.getsockname()[1])
    options: dict[str, Any] = {"http": http, "loop": loop, "log_level": "warning"}
    options["ws"] = os.environ.get("ASGI_WS", "none")
    uvicorn.Server(uvicorn.Config(load_asgi(path), **options)).run(sockets=[listener])


def serve_uvicorn_h11(path: str) -> None:
    serve_uvicorn(path, "h11", "asyncio")


def serve_hypercorn(path: str) -> None:
    import asyncio

    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 0.1
    config.keep_alive_timeout = 2  # an answer in HTTP/2 that breaks off ends no sooner
    config.errorlog = logging.getLogger("hypercorn.error")
    announce(port)

    async def main() -> None:
        ends = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
        await serve(load_asgi(path), config, shutdown_trigger=ends.wait)  # type: ignore[arg-type]

    asyncio.run(main())


def serve_granian_asgi(path: str) -> None:
    from granian.constants import Interfaces

    run_granian(path, interface=Interfaces.ASGI)


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

#: They give the client's socket, as do some of the others.
MORE_WITH_SOCKETS: dict[str, Callable[[str], None]] = {
    "gunicorn-sync": partial(serve_gunicorn, worker="sync"),
    "gunicorn-gevent": partial(serve_gunicorn, worker="gevent"),
    "pywsgi": serve_pywsgi,
}

ASGI_SERVERS: dict[str, Callable[[str], None]] = {
    "uvicorn": serve_uvicorn,
    "uvicorn-h11": serve_uvicorn_h11,
    "hypercorn": serve_hypercorn,
    "granian-asgi": serve_granian_asgi,
}


def _end_with_parent() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(name: str, path: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    {**SERVERS, **MORE_WITH_SOCKETS, **ASGI_SERVERS}[name](path)


if __name__ == "__main__":
    main(*sys.argv[1:])
