"""Every option of every part, one row each: name, converter, what is expected, help.

Keyword arguments, the command line and the strings of Paste Deploy go through the same
rows, so that a bad value is refused in the same words everywhere.
"""

from __future__ import annotations

from wsgiproxy.settings.balance import BALANCE
from wsgiproxy.settings.forward import FORWARD, FORWARD_TRANSPORT, URL_FORWARD
from wsgiproxy.settings.inspect import INSPECT
from wsgiproxy.settings.rows import APP, EXACT, MIDDLEWARE, SERVER, SIGNING, TRANSPORT
from wsgiproxy.settings.setting import Setting, resolve
from wsgiproxy.settings.spawn import SPAWN, SPAWNED_APP, SPAWNED_SIGNING, SPAWNED_TRANSPORT
from wsgiproxy.settings.websocket import TUNNEL, UPGRADE, WEBSOCKET

__all__ = [
    "APP",
    "BALANCE",
    "EXACT",
    "FORWARD",
    "FORWARD_TRANSPORT",
    "INSPECT",
    "MIDDLEWARE",
    "SERVER",
    "SIGNING",
    "SPAWN",
    "SPAWNED_APP",
    "SPAWNED_SIGNING",
    "SPAWNED_TRANSPORT",
    "TRANSPORT",
    "TUNNEL",
    "UPGRADE",
    "URL_FORWARD",
    "WEBSOCKET",
    "Setting",
    "resolve",
]
