"""An ASGI application whose exchanges are looked at; it changes nothing of what passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.served import Served
from wsgiproxy.observe.accesslog import INSPECTED
from wsgiproxy.observe.inspector.feed import ScopeSource, SentAnswer
from wsgiproxy.observe.inspector.harmless import harmless
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

    # Each coroutine around another one, and around receive and send, would cost a microsecond or
    # two of a request.

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> Any:
        self.loop = asyncio.get_running_loop()
        if scope["type"] not in ("http", "websocket") or INSPECTED in scope:
            return self.application(scope, receive, send)
        exchange = self._begun(scope)
        if exchange is None:
            return self.application(scope, receive, send)
        return self.serve(exchange, scope, receive, send)

    @harmless
    def _begun(self, scope: Scope) -> Exchange | None:
        """The exchange of a request; None if it is not to be kept."""
        if "state" in scope:
            self.shared = {"state": scope["state"].copy()}
        scheme = scope.get("scheme") or "http"
        exchange = self._ring.begin(ScopeSource(scope), HTTP_SCHEMES.get(scheme) or scheme)
        if exchange is not None:
            exchange.mount = scope.get("root_path", "")
        return exchange

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
            ends = receive if _has_no_body(scope) else seen.receive, seen.send
        try:
            await self.application(scope, *ends)
        except BaseException as error:
            exchange.fail(error)
            exchange.end(is_whole=False)
            raise
        exchange.end(is_whole=seen.is_whole)


@harmless
def _has_no_body(scope: Scope) -> bool:
    """Whether nothing can come of its body (RFC 9112, 6.3)."""
    fields = dict(scope["headers"])
    return (
        scope.get("http_version", "")[:2] == "1."
        and b"content-length" not in fields
        and b"transfer-encoding" not in fields
    )


class _Seen:
    """The events of one scope, told to an exchange."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self.is_whole = False

    async def receive(self) -> Message:
        message = await self._receive()
        block = message.get("body")
        if block:
            self._exchange.add_body(block)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        self._note(message, message.get("type", ""))
        return self._send(message)

    @harmless
    def _note(self, message: Message, kind: str) -> None:
        exchange = self._exchange
        if kind.endswith("http.response.start"):
            self._exchange.begin_answer(SentAnswer(message["status"], message.get("headers")))
        elif kind.endswith("http.response.body"):
            block, is_last = message.get("body"), not message.get("more_body")
            if block:
                exchange.add_answer(block, is_all=is_last)
            self.is_whole = is_last

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
            self._exchange.begin_answer(SentAnswer(SWITCHING, event.get("headers")))
        elif kind == "websocket.close":
            if self._exchange.answered is None:  # a refusal; the server has this status for it
                self._exchange.begin_answer(SentAnswer(403))
            self._close(event, is_from_client=False)
        else:
            self._note(event, kind)
        await self._send(event)

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
