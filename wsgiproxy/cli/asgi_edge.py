"""What stands before an ASGI application of the command: names, the count in flight, ``Date``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING

from wsgiproxy.asgi.answers import send_error
from wsgiproxy.asgi.websocket import refuse_websocket
from wsgiproxy.cli.inflight import log_in_progress
from wsgiproxy.cli.own_names import OwnNames, own_names
from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.signals import at_first_signal
from wsgiproxy.observe.accesslog import Record, asked_in_scope

if TYPE_CHECKING:
    from wsgiproxy.asgi.body import Message, Receive, Scope, Send
    from wsgiproxy.cli.listen import Listen
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = ["asgi_counted", "asgi_with_own_names", "current_date", "dated"]


# Messages that begin an answer; the second one refuses a WebSocket.
_STARTS = ("http.response.start", "websocket.http.response.start")
# Seconds for exchanges whose answer is sent already, and which end by themselves.
_SETTLING = 0.1


def asgi_with_own_names(
    make: Callable[[], ASGIApplication], listen: Listen, allowed: Iterable[str]
) -> ASGIApplication:
    """As :func:`~wsgiproxy.cli.own_names.with_own_names`."""
    application, names = make(), OwnNames(listen, allowed)
    if not own_names(listen):
        return application

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            # The server has put the host of an absolute-form target there.
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            error = names.refusal(hosts)
            if error is not None:
                record = Record(scope, None, asked_in_scope)
                if scope["type"] == "websocket":
                    await receive()  # websocket.connect
                    await refuse_websocket(error, scope, send, record)
                else:
                    await send_error(error, scope, send, record)
                return
        await application(scope, receive, send)

    return check


def asgi_counted(make: Callable[[], ASGIApplication], grace: float = GRACE) -> ASGIApplication:
    """As :func:`~wsgiproxy.cli.inflight.counted`, without WebSockets: they end at once."""
    application, number = make(), 0

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal number
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        number += 1
        try:
            await application(scope, receive, send)
        finally:
            number -= 1

    def log() -> None:
        time.sleep(_SETTLING)
        log_in_progress(number, grace)

    at_first_signal(log)
    return count


class _Dates:
    """The present time as a field value, made once a second."""

    def __init__(self) -> None:
        self._second, self._value = -1, b""

    def __call__(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._value = second, formatdate(second, usegmt=True).encode()
        return self._value


#: The value of a ``Date`` field, now.
current_date: Callable[[], bytes] = _Dates()


def dated(application: ASGIApplication) -> ASGIApplication:
    """An application whose answers all have a ``Date``: their own, or the present time.

    An origin server with a clock has to send it (RFC 9110, 6.6.1).
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = [*message.get("headers", ())]
                if all(name.lower() != b"date" for name, _ in headers):
                    headers.append((b"date", current_date()))
                message = {**message, "headers": headers}
            await send(message)

        await application(scope, receive, send_dated)

    return serve
