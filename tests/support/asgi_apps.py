"""ASGI applications for the front servers, made from the environment when they are asked for.

``reverse``, ``mounted`` (by Starlette) and ``rooted`` (by ``root_path``); ``UPSTREAM`` and
``OPTIONS`` as in `tests.support.apps`. The exact proxy and the doors of WSGIProxy2 are of WSGI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from tests.support.apps import MOUNT

__all__ = ["with_root_path"]


def _reverse() -> Any:
    from wsgiproxy.asgi import ASGIProxyApp

    return ASGIProxyApp(os.environ["UPSTREAM"], **json.loads(os.environ.get("OPTIONS", "{}")))


def _mounted() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount(MOUNT, app=_reverse())])


def with_root_path(app: Any, root_path: str = MOUNT) -> Any:
    """*app* with the ``root_path`` that a setting of the server says; ``path`` begins with it."""

    async def below(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root_path}, receive, send)

    return below


_MAKERS: dict[str, Callable[[], Any]] = {
    "reverse": _reverse,
    "mounted": _mounted,
    "rooted": lambda: with_root_path(_reverse()),
}


def __getattr__(name: str) -> Any:
    if name not in _MAKERS:
        raise AttributeError(name)
    app = globals()[name] = _MAKERS[name]()
    return app
