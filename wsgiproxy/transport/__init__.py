"""Sockets, TLS, the pool and its limits: everything between a Request and a Reply.

It interprets no status, adds and changes no header, and has never seen an environ.
"""

from __future__ import annotations

from wsgiproxy.transport.base import Call, Reply, Timeouts, Transport
from wsgiproxy.transport.pool import PooledTransport
from wsgiproxy.transport.threads.connection import is_own_request
from wsgiproxy.transport.threads.reply import PooledReply

__all__ = [
    "Call",
    "PooledReply",
    "PooledTransport",
    "Reply",
    "Timeouts",
    "Transport",
    "is_own_request",
]
