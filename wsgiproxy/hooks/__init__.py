"""Hooks: plain functions that change what passes, in one way for WSGI and ASGI.

A portable hook is a generator function of one parameter. It yields what it waits for, and so runs
in both worlds::

    def api_key(request):
        request.headers["X-API-Key"] = KEY
        response = yield request
        response.headers["X-Seen"] = "1"
"""

from __future__ import annotations

from wsgiproxy.hooks.messages import Body, Headers, Request, Response
from wsgiproxy.sansio.hooks import (
    CLIENT_EDGE,
    PROXY,
    TARGET_EDGE,
    Beside,
    Hook,
    HookFailed,
    InThread,
    Wait,
)

__all__ = [
    "CLIENT_EDGE",
    "PROXY",
    "TARGET_EDGE",
    "Beside",
    "Body",
    "Headers",
    "Hook",
    "HookFailed",
    "InThread",
    "Request",
    "Response",
    "Wait",
]
