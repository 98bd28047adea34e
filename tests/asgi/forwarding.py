"""A proxy to the URL in the path, for a real server; ``ALLOW`` is what it may reach."""

from __future__ import annotations

import os

from wsgiproxy.asgi import ASGIForwardProxy

__all__ = ["application"]

application = ASGIForwardProxy(allow=os.environ.get("ALLOW", ()))
