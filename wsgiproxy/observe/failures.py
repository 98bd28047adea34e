"""One line in the log for each exchange that failed, with the reason, for operators."""

from __future__ import annotations

import logging

from wsgiproxy.errors import ProxyError, WebSocketNotCarried
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.observe.warn import warn_once

__all__ = ["log_failure"]

_log = logging.getLogger("wsgiproxy.error")
_NO_WEBSOCKET = (
    "A WebSocket handshake was refused (501): this server gives no socket"
    " for it, or upgrade= does not allow it. gunicorn, Werkzeug, gevent.pywsgi, paste.httpserver"
    " with wsgiproxy.server.Handler, and servers for ASGI (the extra asgi) can carry it. A page"
    " that needs one may stay empty"
)


def log_failure(error: ProxyError, record: Record) -> None:
    """Say what was asked for, of which upstream, and why it has failed."""
    if isinstance(error, WebSocketNotCarried):  # once, since pages try again and again
        warn_once(_NO_WEBSOCKET)
    level = logging.INFO if error.side == "client" else logging.WARNING
    # The access log says it too: a handler may want one line for each exchange.
    line, reason = record.failure(error)
    extra = {"exchange_failed": reason, **record.logged}
    _log.log(level, "%s%s", line, reason, extra=extra)
