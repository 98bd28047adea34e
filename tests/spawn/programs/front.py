"""A WSGI application that spawns, for a server with several workers.

The variable ``SPAWN`` has the arguments of `SpawningApplication` as JSON. Each answer names the
worker that has given it. With ``at_once`` among the arguments, the process is started when the
application is loaded, and so before the workers are forked if it is loaded before.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["WORKER"]

WORKER = "x-worker"


def _front() -> WSGIApplication:
    from wsgiproxy.spawn import SpawningApplication

    logging.basicConfig(format="%(process)d %(name)s: %(message)s", level=logging.INFO)
    options: dict[str, Any] = json.loads(os.environ["SPAWN"])
    at_once = options.pop("at_once", False)
    app = SpawningApplication(**options)
    if at_once:
        app.start()

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            named = [*headers, (WORKER, str(os.getpid()))]
            return start_response(status, named, exc_info)

        return app(environ, start)

    return front


_MAKERS: dict[str, Callable[[], WSGIApplication]] = {"front": _front}


def __getattr__(name: str) -> WSGIApplication:
    if name not in _MAKERS:
        raise AttributeError(name)
    app = _MAKERS[name]()
    globals()[name] = app
    return app
