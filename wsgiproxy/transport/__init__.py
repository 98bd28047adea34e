"""Sockets, TLS, the pool and its limits: everything between a Request and a Reply.

It interprets no status, adds and changes no header, and has never seen an environ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgiproxy.transport.base import (
    AsyncCall,
    AsyncReply,
    AsyncTransport,
    Call,
    Reply,
    Timeouts,
    Transport,
)
from wsgiproxy.transport.threads.connection import is_own_request
from wsgiproxy.transport.threads.reply import PooledReply
from wsgiproxy.transport.threads.transport import PooledTransport

if TYPE_CHECKING:
    from wsgiproxy.transport.aio.transport import AsyncPooledTransport

__all__ = [
    "AsyncCall",
    "AsyncPooledTransport",
    "AsyncReply",
    "AsyncTransport",
    "Call",
    "PooledReply",
    "PooledTransport",
    "Reply",
    "Timeouts",
    "Transport",
    "is_own_request",
]


def __getattr__(name: str) -> object:
    # asyncio takes 30 ms to import, for nothing where there are threads alone.
    if name == "AsyncPooledTransport":
        from wsgiproxy.transport.aio.transport import AsyncPooledTransport

        return AsyncPooledTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
