"""The options of each class: the one place that puts the tables of rows together."""

from __future__ import annotations

from wsgiproxy.settings.balance import BALANCE
from wsgiproxy.settings.forward import (
    FORWARD,
    FORWARD_TRANSPORT,
    URL_FORWARD,
    URL_FORWARD_TRANSPORT,
)
from wsgiproxy.settings.inspect import INSPECT
from wsgiproxy.settings.rows import APP, EXACT, MIDDLEWARE, SIGNING, TRANSPORT
from wsgiproxy.settings.setting import Setting
from wsgiproxy.settings.spawn import SPAWN, SPAWNED_APP, SPAWNED_SIGNING, SPAWNED_TRANSPORT
from wsgiproxy.settings.websocket import TUNNEL, UPGRADE, WEBSOCKET

__all__ = ["PARTS"]

_SPAWN = (*SPAWN, *SPAWNED_APP, *SPAWNED_SIGNING, *SPAWNED_TRANSPORT)

#: Name of the class -> the rows of all its options.
PARTS: dict[str, tuple[Setting, ...]] = {
    "WSGIProxyApp": (*APP, *BALANCE, *UPGRADE, *TUNNEL, *SIGNING, *TRANSPORT),
    "WSGIProxyMiddleware": MIDDLEWARE,
    "ASGIProxyMiddleware": MIDDLEWARE,
    "SpawningApplication": (*_SPAWN, *UPGRADE, *TUNNEL),
    "ForwardProxy": (*FORWARD, *FORWARD_TRANSPORT),
    "ASGIForwardProxy": (*URL_FORWARD, *URL_FORWARD_TRANSPORT),
    "ExactProxy": EXACT,
    "PooledTransport": TRANSPORT,
    "AsyncPooledTransport": TRANSPORT,
    "ASGIProxyApp": (*APP, *BALANCE, *UPGRADE, *WEBSOCKET, *SIGNING, *TRANSPORT),
    "ASGISpawningApplication": (*_SPAWN, *UPGRADE, *WEBSOCKET),
    "Inspector": INSPECT,
}
