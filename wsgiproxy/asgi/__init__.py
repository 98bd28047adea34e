"""The ASGI twin: the same rules under Starlette, FastAPI, Quart, Django and Litestar.

The names are loaded on first use: the receiving end needs nothing that could connect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiproxy.asgi.app import ASGIProxyApp
    from wsgiproxy.asgi.forward import ASGIForwardProxy
    from wsgiproxy.asgi.middleware import ASGIProxyMiddleware
    from wsgiproxy.asgi.router import ASGIRouter
    from wsgiproxy.asgi.spawning import ASGISpawningApplication

__all__ = [
    "ASGIForwardProxy",
    "ASGIProxyApp",
    "ASGIProxyMiddleware",
    "ASGIRouter",
    "ASGISpawningApplication",
]

_HOMES = {
    "ASGIForwardProxy": "wsgiproxy.asgi.forward",
    "ASGIProxyApp": "wsgiproxy.asgi.app",
    "ASGIProxyMiddleware": "wsgiproxy.asgi.middleware",
    "ASGIRouter": "wsgiproxy.asgi.router",
    "ASGISpawningApplication": "wsgiproxy.asgi.spawning",
}


if not TYPE_CHECKING:  # or type checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load a public name from its home (PEP 562)."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
