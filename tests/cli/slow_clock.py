"""A front application on a machine whose clock is an hour behind: for a process of its own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__: list[str] = []


def _front() -> WSGIApplication:
    from wsgiproxy.app import WSGIProxyApp

    now = time.time
    time.time = lambda: now() - 3600
    return WSGIProxyApp(os.environ["UPSTREAM"], os.environ["SECRET"])


def __getattr__(name: str) -> WSGIApplication:
    if name != "front":
        raise AttributeError(name)
    app = globals()[name] = _front()
    return app
