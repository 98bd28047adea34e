"""A handler for ``paste.httpserver`` that a half-sent request, or a tunnel, does not stop."""

from __future__ import annotations

from wsgiproxy.server.handler import Handler
from wsgiproxy.server.runner import server_runner

__all__ = ["Handler", "server_runner"]
