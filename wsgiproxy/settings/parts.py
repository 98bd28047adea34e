"""Which class has which options."""

from __future__ import annotations

from wsgiproxy.settings.forward import FORWARD, FORWARD_TRANSPORT
from wsgiproxy.settings.rows import APP, EXACT, MIDDLEWARE, SIGNING, TRANSPORT
from wsgiproxy.settings.spawn import SPAWN, SPAWNED_APP, SPAWNED_SIGNING, SPAWNED_TRANSPORT

__all__ = ["PARTS"]

#: By the name of the class.
PARTS = {
    "WSGIProxyApp": (*APP, *SIGNING, *TRANSPORT),
    "WSGIProxyMiddleware": MIDDLEWARE,
    "SpawningApplication": (*SPAWN, *SPAWNED_APP, *SPAWNED_SIGNING, *SPAWNED_TRANSPORT),
    "ForwardProxy": (*FORWARD, *FORWARD_TRANSPORT),
    "ExactProxy": EXACT,
    "PooledTransport": TRANSPORT,
}
