"""How long the backend has taken, where the tools of browsers show it (W3C Server Timing)."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from wsgiproxy.hooks.checks import named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.hooks import Hook

__all__ = ["server_timing"]


def server_timing(name: str = "upstream") -> Hook:
    """Add a ``Server-Timing`` with the milliseconds until the head of the response.

    What the backend says itself stays. Hooks behind this one are part of the time.

    :param name: of the measurement.
    :raises ConfigurationError: it is no token.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[server_timing()])
    """
    require(isinstance(name, str) and is_token(name), "name", name, "a token")

    def hook(request: Request) -> Generator[Any, Any, None]:
        start = time.perf_counter()
        response: Response = yield request
        taken = (time.perf_counter() - start) * 1000
        response.headers.add("Server-Timing", f"{name};dur={taken:.1f}")

    return named(hook, f"server_timing({name})")
