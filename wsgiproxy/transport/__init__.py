"""Sockets, TLS, the pool and its limits: everything between a Request and a Reply.

It interprets no status, adds and changes no header, and has never seen an environ.
"""

from __future__ import annotations

from wsgiproxy.transport.pool import PooledTransport, Transport
from wsgiproxy.transport.reply import Reply
from wsgiproxy.transport.wire import Timeouts, is_own_request

__all__ = ["PooledTransport", "Reply", "Timeouts", "Transport", "is_own_request"]
