"""The options of each class: the one place that puts the tables of rows together."""

from __future__ import annotations

from wsgiproxy.settings.forward import FORWARD, FORWARD_TRANSPORT
from wsgiproxy.settings.rows import APP, EXACT, MIDDLEWARE, SIGNING, TRANSPORT
from wsgiproxy.settings.setting import Setting
from wsgiproxy.settings.spawn import SPAWN, SPAWNED_APP, SPAWNED_SIGNING, SPAWNED_TRANSPORT

__all__ = ["PARTS"]

#: Name of the class -> the rows of all its options.
PARTS: dict[str, tuple[Setting, ...]] = {
    "WSGIProxyApp": (*APP, *SIGNING, *TRANSPORT),
    "WSGIProxyMiddleware": MIDDLEWARE,
    "SpawningApplication": (*SPAWN, *SPAWNED_APP, *SPAWNED_SIGNING, *SPAWNED_TRANSPORT),
    "ForwardProxy": (*FORWARD, *FORWARD_TRANSPORT),
    "ExactProxy": EXACT,
    "PooledTransport": TRANSPORT,
}
