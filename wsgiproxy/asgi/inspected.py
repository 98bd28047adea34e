"""An ASGI application whose exchanges are looked at; it changes nothing of what passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.served import Served
from wsgiproxy.observe.accesslog import INSPECTED
from wsgiproxy.observe.inspector.harmless import harmless, note_fault
from wsgiproxy.observe.inspector.heads import SCOPE, scope_facts
from wsgiproxy.sansio.websocket import HTTP_SCHEMES, SWITCHING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wsgiproxy.asgi.body import Message, Receive, Scope, Send
    from wsgiproxy.observe.inspector.exchange import Exchange
    from wsgiproxy.observe.inspector.ring import Ring

    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["InspectedASGI"]

# What a server sends by itself could not be seen.
_UNSEEN = ("http.response.pathsend", "http.response.zerocopysend")


class InspectedASGI(Served):
    """An application around another one, which tells a ring what passes.

    :param application: any ASGI application.
    :param ring: what keeps the exchanges.
    :ivar loop: the event loop that serves; None as long as nothing has come.
    :ivar shared: what a server gives to each scope alike: the state of the lifespan.
    """

    def __init__(self, application: Application, ring: Ring) -> None:
        super().__init__()
        self.application = application
        self.loop: asyncio.AbstractEventLoop | None = None
        self.shared: dict[str, Any] = {}
        self._ring = ring

    # Each coroutine around another one, around receive and send, and each call that takes any
    # arguments would cost a microsecond or two of a request.

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve one scope."""
        self.loop = asyncio.get_running_loop()
        if scope["type"] not in ("http", "websocket") or INSPECTED in scope:
            return self.application(scope, receive, send)
        try:
            if not self.shared and "state" in scope:
                self.shared = {"state": scope["state"].copy()}
            scheme = scope.get("scheme") or "http"
            scheme = HTTP_SCHEMES.get(scheme, scheme)
            mount = scope.get("root_path", "")
            exchange = self._ring.begin(SCOPE, scope_facts(scope), scheme, mount)
        except Exception as error:
            note_fault("begin", error)
            exchange = None
        if exchange is None:
            return self.application(scope, receive, send)
        return self.serve(exchange, scope, receive, send)

    async def serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request of an exchange that has begun."""
        scope = {**scope, INSPECTED: exchange}
        extensions = scope.get("extensions")
        if extensions:
            scope["extensions"] = {
                name: value for name, value in extensions.items() if name not in _UNSEEN
            }
        seen: Any = _Seen(exchange, receive, send)
        if scope["type"] == "websocket":
            exchange.is_websocket = True
            ends = seen.receive_message, seen.send_message
        else:
            ends = seen.receive, seen.send
        try:
            await self.application(scope, *ends)
        except BaseException as error:
            exchange.fail(error)
            exchange.end(is_whole=False)
            raise
        exchange.end(is_whole=seen.is_whole)


class _Seen:
    """The events of one scope, told to an exchange."""

    __slots__ = ("_exchange", "_receive", "_send", "is_whole")

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange, self._receive, self._send = exchange, receive, send
        self.is_whole = False

    async def receive(self) -> Message:
        message = await self._receive()
        block = message.get("body")
        if block:
            self._exchange.add_body(block)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        try:
            kind = message["type"]
            # A WebSocket may be refused with an answer, whose events have names of their own.
            if kind == "http.response.body" or kind == "websocket.http.response.body":
                block, self.is_whole = message.get("body"), not message.get("more_body")
                if block:
                    self._exchange.add_answer(block, is_all=self.is_whole)
            elif kind == "http.response.start" or kind == "websocket.http.response.start":
                self._exchange.begin_answer(message["status"], message.get("headers"))
        except Exception as error:
            note_fault("send", error)
        return self._send(message)

    async def receive_message(self) -> Message:
        event = await self._receive()
        kind = event["type"]
        if kind == "websocket.receive":
            self._tell(event, is_from_client=True)
        elif kind == "websocket.disconnect":
            self._close(event, is_from_client=True)
        return event

    async def send_message(self, event: Message) -> None:
        kind = event["type"]
        if kind == "websocket.send":
            self._tell(event, is_from_client=False)
        elif kind == "websocket.accept":
            self._begin_answer(SWITCHING, event)
        elif kind == "websocket.close":
            if self._exchange.answered is None:  # a refusal; the server has this status for it
                self._begin_answer(403, {})
            self._close(event, is_from_client=False)
        else:
            return await self.send(event)
        await self._send(event)

    @harmless
    def _begin_answer(self, status: int, event: Message) -> None:
        self._exchange.begin_answer(status, event.get("headers"))

    @harmless
    def _tell(self, event: Message, *, is_from_client: bool) -> None:
        text = event.get("text")
        if text is not None:
            data, kind = text.encode("utf-8", "surrogatepass"), "text"
        else:
            data, kind = bytes(event.get("bytes") or b""), "binary"
        self._exchange.message(kind, data, is_from_client=is_from_client)

    @harmless
    def _close(self, event: Message, *, is_from_client: bool) -> None:
        # As the frame would have it (RFC 6455, 5.5.1).
        code, reason = event.get("code") or 1005, event.get("reason") or ""
        data = code.to_bytes(2, "big") + reason.encode("utf-8", "replace")
        self._exchange.message("close", data, is_from_client=is_from_client)
        self.is_whole = True
