"""Put any web application behind a Python application, and let it know where it lives.

The public names are loaded on first use, so that ``import wsgiproxy`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from wsgiproxy.app import WSGIProxyApp
    from wsgiproxy.errors import ConfigurationError, ProxyError
    from wsgiproxy.exactproxy import ExactProxy, proxy_exact_request
    from wsgiproxy.forward import ForwardProxy
    from wsgiproxy.guard import Guard
    from wsgiproxy.middleware import WSGIProxyMiddleware
    from wsgiproxy.proxies import HostProxy, Proxy, TransparentProxy
    from wsgiproxy.router import Router, Target
    from wsgiproxy.spawn import SpawningApplication
    from wsgiproxy.transport import PooledTransport
    from wsgiproxy.wsgi.gateway import Gateway

#: The wire protocol that WSGIProxy 0.2 spoke about itself; kept for those who read it.
protocol_version = "0.1"

_HOMES = {
    "ConfigurationError": "wsgiproxy.errors",
    "ExactProxy": "wsgiproxy.exactproxy",
    "ForwardProxy": "wsgiproxy.forward",
    "Gateway": "wsgiproxy.wsgi.gateway",
    "Guard": "wsgiproxy.guard",
    "HostProxy": "wsgiproxy.proxies",
    "PooledTransport": "wsgiproxy.transport",
    "Proxy": "wsgiproxy.proxies",
    "ProxyError": "wsgiproxy.errors",
    "Router": "wsgiproxy.router",
    "SpawningApplication": "wsgiproxy.spawn",
    "Target": "wsgiproxy.router",
    "TransparentProxy": "wsgiproxy.proxies",
    "WSGIProxyApp": "wsgiproxy.app",
    "WSGIProxyMiddleware": "wsgiproxy.middleware",
    "proxy_exact_request": "wsgiproxy.exactproxy",
}

__all__ = [
    "ConfigurationError",
    "ExactProxy",
    "ForwardProxy",
    "Gateway",
    "Guard",
    "HostProxy",
    "PooledTransport",
    "Proxy",
    "ProxyError",
    "Router",
    "SpawningApplication",
    "Target",
    "TransparentProxy",
    "WSGIProxyApp",
    "WSGIProxyMiddleware",
    "__version__",
    "protocol_version",
    "proxy_exact_request",
]


if not TYPE_CHECKING:  # or type checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load a public name from its home (PEP 562)."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
