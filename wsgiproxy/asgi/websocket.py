"""WebSocket for ASGI: the handshake of the client, that of the upstream, and what is between.

The upstream is asked first, and its answer decides: it is accepted as the upstream has accepted, or
refused as the upstream has refused. Each side has its own key, extensions and pings.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.asgi.answers import error_of, page_of, relay, start_message
from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.errors import (
    BadRequest,
    BadResponse,
    ClientGone,
    ConfigurationError,
    ProxyError,
    Unavailable,
    WebSocketNotCarried,
)
from wsgiproxy.observe.accesslog import Record, asked_in_scope
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.observe.watched import TUNNELS
from wsgiproxy.sansio.clients import client_key
from wsgiproxy.sansio.message import Request, ResponseHead
from wsgiproxy.sansio.websocket import (
    PROTOCOL,
    SWITCHING,
    accept_headers,
    close_reason,
    handshake_headers,
    offered_protocols,
)

if TYPE_CHECKING:
    from wsgiproxy.asgi.frames import UpstreamEnd
    from wsgiproxy.asgi.gateway import ASGIGateway
    from wsgiproxy.asgi.message_hooks import Hook
    from wsgiproxy.asgi.relay import Relay
    from wsgiproxy.transport.aio.reply import AsyncPooledReply
    from wsgiproxy.transport.base import AsyncReply

__all__ = ["WebSockets", "refuse_websocket"]

#: The extension of servers that can refuse with a response, and the type of its messages.
_DENIAL = "websocket.http.response"
# RFC 6455, 7.4.1: a condition that keeps the server from fulfilling the request.
_POLICY = 1008
# Bytes of its body; uvicorn sends none before it has all.
_LARGEST_REFUSAL = 1 << 20


class WebSockets:
    """The WebSockets of one proxy: its settings, and those that are open.

    :param settings: the rows UPGRADE and WEBSOCKET, resolved.
    :param from_client: changes the messages of clients.
    :param from_upstream: changes those of the upstream.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        from_client: Hook | None = None,
        from_upstream: Hook | None = None,
    ) -> None:
        for name, hook in (
            ("messages_from_client", from_client),
            ("messages_from_upstream", from_upstream),
        ):
            if hook is not None and not callable(hook):
                raise ConfigurationError(f"{name}={hook!r}: expected an async generator function")
        others = [name for name in settings["upgrade"] if name != PROTOCOL]
        if others:
            raise ConfigurationError(
                f"upgrade={others[0]!r}: expected websocket, or nothing: servers for ASGI know no"
                " other protocol"
            )
        self._settings = settings
        self._hooks = {"from_client": from_client, "from_upstream": from_upstream}
        self._open: Counter[str] = Counter()
        self._relays: set[Relay] = set()
        # A handshake may be under way when all are closed.
        self._times_closed = 0
        TUNNELS.add(self)

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    async def serve(self, gateway: ASGIGateway, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of type ``websocket``, from its handshake to its end.

        :raises OSError: of *send*: the client has left (ASGI 2.4).
        """
        record = Record(scope, None, asked_in_scope)
        await receive()  # websocket.connect
        try:
            self.check()
            with self._counted(scope):
                await self._served(gateway, scope, receive, send, record)
        except ProxyError as error:
            await refuse_websocket(error, scope, send, record)
        except OSError as error:
            record.fail(ClientGone(f"during the handshake: {error!r}"))
            record.end(ClientGone.status)
            raise
        except Exception as error:  # the last line: ours or the server's mistake
            record.fail(ProxyError(f"unexpected {type(error).__name__}"))
            record.end(ProxyError.status)
            raise  # the server logs it, and refuses or cuts
        except BaseException:  # the server has cancelled the task
            record.fail(ClientGone("the server gave the WebSocket up"))
            record.end(ClientGone.status)
            raise

    def check(self) -> None:
        """Check that they are carried at all.

        :raises WebSocketNotCarried: they are not.
        """
        if PROTOCOL not in self._settings["upgrade"]:
            raise WebSocketNotCarried("upgrade= does not list websocket")
        if find_spec("websockets") is None:
            raise WebSocketNotCarried(
                "the package websockets is missing, which the extra asgi installs"
            )

    def close(self) -> None:
        """End all that are open, from any thread: with 1012, so that clients come back."""
        self._times_closed += 1
        for each in list(self._relays):
            each.end_soon()

    @contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        """One more is open in the block.

        :raises Unavailable: too many are, in all or of this client.
        """
        limit, each = (self._settings[f"max_websockets{end}"] for end in ("", "_per_client"))
        address = client_key(str((scope.get("client") or ("",))[0]))
        if limit is not None and self._open.total() >= limit:
            raise Unavailable(f"max_websockets={limit} are open")
        if each is not None and self._open[address] >= each:
            raise Unavailable(f"max_websockets_per_client={each} are open for {address!r}")
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _served(
        self, gateway: ASGIGateway, scope: Scope, receive: Receive, send: Send, record: Record
    ) -> None:
        from wsgiproxy.asgi.compression import OFFER  # loads the package websockets

        shake = partial(_handshake, scope, OFFER if self._settings["deflate"] else "")
        closed = self._times_closed
        head, reply = await gateway.exchange(scope, receive, None, record, shake)
        if reply is None or head.status != SWITCHING:
            await _deny(head, reply, scope, send, record)
            return
        with closing(reply):  # what is detached stays open, and in use
            await self._relay(reply, head, scope, receive, send, record, closed)

    async def _relay(
        self,
        reply: AsyncReply,
        head: ResponseHead,
        scope: Scope,
        receive: Receive,
        send: Send,
        record: Record,
        closed: int,
    ) -> None:
        from wsgiproxy.asgi.relay import Relay

        settings = self._settings
        end = self._detached(reply)
        try:
            # One of those that were offered, as the exchange has seen.
            protocol = next(iter(offered_protocols(reply.head.headers)), None)
            accepted = start_message(0, accept_headers(head.headers))["headers"]
            await send({"type": "websocket.accept", "subprotocol": protocol, "headers": accepted})
            messages = Relay(
                receive,
                send,
                end,
                max_message=settings["max_message"],
                ping_interval=settings["ping_interval"],
                lifetime=settings["websocket_lifetime"],
                **self._hooks,
            )
            with self._closable(messages, closed):
                await messages.run()
        finally:
            end.abort()
        if messages.error is not None:
            log_failure(messages.error, record)
            record.fail(messages.error)
        record.end(head.status, messages.received)

    def _detached(self, reply: AsyncReply) -> UpstreamEnd:
        """The connection of a 101, as one end of a WebSocket.

        :raises WebSocketNotCarried: a transport of another kind does not give it.
        """
        from wsgiproxy.asgi.frames import UpstreamEnd

        if not hasattr(reply, "detach"):
            raise WebSocketNotCarried("the transport does not hand its connection over")
        limit, deflate = (self._settings[name] for name in ("max_message", "deflate"))
        end = UpstreamEnd(limit, reply.head.headers, deflate=deflate)
        end.begin(*cast("AsyncPooledReply", reply).detach(end))
        return end

    @contextmanager
    def _closable(self, relay: Relay, closed: int) -> Iterator[None]:
        """In the block, :meth:`close` ends it.

        :param closed: how often all were closed when its handshake began.
        """
        self._relays.add(relay)
        if closed != self._times_closed:
            relay.end_soon()
        try:
            yield
        finally:
            self._relays.discard(relay)


def _handshake(scope: Scope, extensions: str, request: Request) -> Request:
    """The request for WebSocket that stands for the one that the server has taken.

    :raises BadRequest: it has a body, which no server hands over.
    """
    if request.content_length or request.chunked:
        raise BadRequest("a WebSocket handshake has a body")
    key = base64.b64encode(os.urandom(16)).decode()
    offered = list(scope.get("subprotocols") or ()) or offered_protocols(request.headers)
    headers = handshake_headers(request.headers, key, extensions, offered)
    return request._replace(headers=headers, upgrade=PROTOCOL)


async def _deny(
    head: ResponseHead, reply: AsyncReply | None, scope: Scope, send: Send, record: Record
) -> None:
    """Relay what the upstream answers instead of 101.

    An answer that breaks off gets no end, and so the server breaks the connection.
    """
    size = 0

    async def sending(message: Any) -> None:
        nonlocal size
        size += len(message.get("body", b""))
        if size > _LARGEST_REFUSAL:
            raise BadResponse(f"a refusal of a WebSocket with more than {_LARGEST_REFUSAL} bytes")
        await _send_denial(send, message)

    try:
        if _DENIAL in (scope.get("extensions") or ()):
            await sending(start_message(_known(head.status), head.headers))
            if reply is None:
                await sending({"type": "http.response.body", "body": b""})
            else:
                await relay(reply, sending, greets=False)
        else:  # the server answers 403
            await send({"type": "websocket.close", "code": _POLICY})
    except ProxyError as error:
        log_failure(error, record)
        record.fail(error)
    finally:
        if reply is not None:
            reply.close()
        record.end(head.status, 0 if reply is None else reply.received)


def _known(status: int) -> int:
    """A status that has a name, for uvicorn, which looks it up; x00 for others (RFC 9110, 15)."""
    try:
        return HTTPStatus(status).value
    except ValueError:
        return status // 100 * 100


async def _send_denial(send: Send, message: Any) -> None:
    kind = message["type"].replace("http.response", _DENIAL)
    await send({**message, "type": kind})


async def refuse_websocket(
    error: ProxyError, scope: Scope, send: Send, record: Record | None = None
) -> None:
    """Refuse a handshake with an error page, where the server can; else it answers 403.

    :param record: what is noted of it; None for not a word in the log.
    :raises OSError: of *send*: the client has left (ASGI 2.4).
    """
    asked = {"method": "GET", **scope}
    page = page_of(error, asked) if record is None else error_of(error, asked, record)
    if _DENIAL in (scope.get("extensions") or ()):
        await _send_denial(send, start_message(_known(page.status), page.headers))
        await _send_denial(send, {"type": "http.response.body", "body": page.body})
    else:
        reason = close_reason(error.public)
        await send({"type": "websocket.close", "code": _POLICY, "reason": reason})
