"""A proxy for browsers (RFC 9110, 3.7), which is no way into the machine that runs it."""

from __future__ import annotations

from wsgiproxy.forward.proxy import ForwardProxy

__all__ = ["ForwardProxy"]
