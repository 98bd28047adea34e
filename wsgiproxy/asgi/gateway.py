"""The ASGI edge: scope and receive in, send out.

It decides nothing about headers; the rules are in :mod:`wsgiproxy.sansio`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi import balanced, hooked
from wsgiproxy.asgi.answers import (
    TRAILERS,
    early_hints,
    send_error,
    send_streaming,
    start_message,
)
from wsgiproxy.asgi.beside import BesideTasks
from wsgiproxy.asgi.body import Body, Receive, Scope, Send, read_whole, until_gone
from wsgiproxy.asgi.broken import break_off
from wsgiproxy.errors import (
    BadResponse,
    ClientGone,
    ContentTooLarge,
    ProxyError,
    WebSocketNotCarried,
)
from wsgiproxy.hooks.hookable import Chained
from wsgiproxy.observe.accesslog import INSPECTED, Record, asked_in_scope
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.sansio.environ import scope as scopes
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY
from wsgiproxy.sansio.fields.envelope import Facts
from wsgiproxy.sansio.fields.max_forwards import is_final_recipient
from wsgiproxy.sansio.message import ALLOWED, Inbound, Origin, Request, ResponseHead
from wsgiproxy.sansio.pipeline import Outgoing, Policy, client_response, outgoing
from wsgiproxy.sansio.target import decoded
from wsgiproxy.sansio.websocket import PROTOCOL, switches_to
from wsgiproxy.transport.base import AsyncCall, AsyncReply, AsyncTransport
from wsgiproxy.transport.inspected import async_send_seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from wsgiproxy.asgi.websocket import WebSockets
    from wsgiproxy.sansio.hooks import Hook
    from wsgiproxy.signature import Signer
    from wsgiproxy.transport.upstreams import Upstreams

__all__ = ["ASGIGateway", "end_exchange"]

_log = logging.getLogger("wsgiproxy.error")
# RFC 9110, 15: higher ones are not valid. uvicorn looks the reason phrase up, and fails.
_HIGHEST = 599


class ASGIGateway(Chained):
    """An ASGI application for ``http`` scopes that sends requests on as a policy decides.

    :param policy: the rules of one kind of proxy.
    :param transport: what sends.
    :param max_body: largest request body in bytes; None for no limit (413 beyond it).
    :param signer: puts the signature on what is sent (stage 4); None for none.
    :param hooks: what changes requests and responses, the outermost first, checked.
    :param fetcher: what sends the requests of hooks' own; *transport* if not given.
    :param beside: the tasks of what they begin beside requests; some of its own if not given.
    :param websockets: what serves WebSocket; None where that is not carried.
    :param upstreams: those among which one is chosen for each request; None for the one that the
        policy names.
    """

    def __init__(
        self,
        policy: Policy,
        transport: AsyncTransport,
        *,
        max_body: int | None = None,
        signer: Signer | None = None,
        websockets: WebSockets | None = None,
        hooks: Sequence[Hook] = (),
        fetcher: AsyncTransport | None = None,
        beside: BesideTasks | None = None,
        upstreams: Upstreams | None = None,
    ) -> None:
        self.policy = policy
        self.upstreams = upstreams
        self.transport = transport
        self.max_body = max_body
        self.signer = signer
        self.websockets = websockets
        self.hooks = hooks
        self._fetcher = fetcher
        self.beside = BesideTasks() if beside is None else beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. The scope is read and never changed.

        :raises ProxyError: the answer breaks off; the server then breaks the connection.
        """
        record = Record(scope, None, asked_in_scope)
        # Trailers are fields that no hook could change.
        has_trailers = not self.links and TRAILERS in (scope.get("extensions") or ())
        try:
            head, reply = await self.exchange(scope, receive, send, record)
        except ProxyError as error:
            await send_error(error, scope, send, record)
            return
        except Exception as error:  # the last line: ours or the server's mistake
            _log.exception("unexpected failure before the answer", extra=record.logged)
            unexpected = ProxyError(f"unexpected {type(error).__name__}")
            await send_error(unexpected, scope, send, record)
            return
        except BaseException:  # the server has cancelled the task
            record.fail(ClientGone("the server gave the request up"))
            record.end(ClientGone.status)
            raise
        try:
            if reply is not None and (reply.whole is None or has_trailers):
                await send_streaming(head, reply, send, has_trailers=has_trailers)
            else:
                body = b"" if reply is None else reply.whole
                await send(start_message(head.status, head.headers))
                await send({"type": "http.response.body", "body": body})
        except OSError as error:  # the client has left (ASGI 2.4)
            record.fail(ClientGone(f"sending the answer: {error}"))
        except ClientGone as error:
            record.fail(error)
        except Exception as error:
            failure = error if isinstance(error, ProxyError) else ProxyError(repr(error))
            log_failure(failure, record)
            record.fail(failure)
            await break_off(send, error)
        finally:
            end_exchange(reply, head.status, record)

    async def exchange(
        self,
        scope: Scope,
        receive: Receive,
        send: Send | None,
        record: Record,
        handshake: Callable[[Request], Request] | None = None,
    ) -> tuple[ResponseHead, AsyncReply | None]:
        """Send one request, and begin its answer.

        :param send: takes early hints; None if they cannot be sent yet.
        :param record: what is noted of it.
        :param handshake: makes a handshake of the request, which stands for the client's own.
        :returns: the head for the client; and the reply whose body follows, which is to be
            closed, or None if there is no body.
        :raises ProxyError: there is no answer.
        """
        inbound = scopes.read(scope)
        if (trusts := self.policy.trusts_ids) is not None:
            inbound = record.identify(inbound, trusts)
        if inbound.method == "OPTIONS" and is_final_recipient(inbound):
            return ResponseHead(204, "No Content", [("Allow", ", ".join(ALLOWED))]), None
        if inbound.upgrade:
            inbound = _not_upgraded(inbound, is_taken=handshake is not None)
        if self.links:
            steps = hooked.exchange(self, scope, receive, send, inbound, record, handshake)
            return await steps
        if self.upstreams is not None:
            sending = partial(self.send, scope, receive, send, inbound, record=record)
            made, framed = partial(_made, inbound, handshake), partial(self.body, receive, inbound)
            return await balanced.exchange(self.upstreams, inbound, sending, made, framed)
        going = _made(inbound, handshake, self.policy)
        request = going.request
        body: Body | None = None
        if inbound.chunked or inbound.content_length:
            body, request = await self.body(receive, inbound, request)
        return await self.send(scope, receive, send, inbound, going, request, body, record)

    async def send(
        self,
        scope: Scope,
        receive: Receive,
        send: Send | None,
        inbound: Inbound,
        going: Outgoing,
        request: Request,
        body: AsyncIterator[bytes] | None,
        record: Record,
    ) -> tuple[ResponseHead, AsyncReply | None]:
        """Stage 4, the transport, and stages 5 to 7.

        :param going: what the policy has made of *inbound*.
        :param request: the same request with its final framing.
        :param body: its blocks; None if it has none.
        :returns: as :meth:`exchange`.
        :raises ProxyError: there is no answer.
        """
        origin, _, context, facts = going
        record.origin, record.has_own_upstream = origin, self.policy.has_own_upstreams
        if self.signer is not None and facts is not None:
            body, request = await self._seal(
                self.signer, scope, inbound, facts, origin.scheme, request, body
            )
        # Early hints are Links that no hook could change.
        hints = None if send is None or self.links else early_hints(scope, send)
        seen = scope.get(INSPECTED)
        watch = seen and seen.attempt(origin, request, is_changed=bool(self.links))
        call = AsyncCall(None, partial(until_gone, receive), hints, watch)
        if watch is None:
            reply = await self.transport.send(origin, request, body, call)
        else:
            reply = await async_send_seen(self.transport, watch, origin, request, body, call)
        record.reused = reply.reused
        return self._answer(request, reply, context)

    async def fetch(
        self, scope: Scope, origin: Origin, request: Request, body: AsyncIterator[bytes] | None
    ) -> AsyncReply:
        """Send a request of a hook's own.

        :raises ProxyError: there is no answer.
        """
        transport, seen = self._fetcher or self.transport, scope.get(INSPECTED)
        watch = seen and seen.attempt(origin, request, is_own=True)
        call = AsyncCall(watch=watch)
        if watch is None:
            return await transport.send(origin, request, body, call)
        return await async_send_seen(transport, watch, origin, request, body, call)

    def _answer(
        self, request: Request, reply: AsyncReply, context: object
    ) -> tuple[ResponseHead, AsyncReply | None]:
        """The head for the client, and the reply if its body follows."""
        try:
            if reply.head.status > _HIGHEST:
                raise BadResponse(f"status {reply.head.status}, which servers for ASGI do not know")
            head, has_body = client_response(request, reply.head, self.policy, context)
        except BaseException:
            reply.close()
            raise
        if has_body:
            return head, reply
        reply.close()
        return head, None

    async def body(
        self, receive: Receive, inbound: Inbound, request: Request
    ) -> tuple[Body | None, Request]:
        """The blocks of the request body, and the request with its final framing."""
        length, limit = inbound.content_length, self.max_body
        if not length and not inbound.chunked:
            return None, request
        if length is not None and limit is not None and length > limit:
            raise ContentTooLarge(f"a body of {length} bytes, over max_body={limit}")
        body = Body(receive, limit)
        if inbound.chunked and inbound.protocol[:1] in "23":
            # HTTP/2 does not say beforehand whether there is a body.
            first = await anext(body, b"")
            if not first:
                return None, request._replace(chunked=False)
            body.unread(first)
        return body, request

    async def _seal(
        self,
        signer: Signer,
        scope: Scope,
        inbound: Inbound,
        facts: Facts,
        scheme: str,
        request: Request,
        body: AsyncIterator[bytes] | None,
    ) -> tuple[AsyncIterator[bytes] | None, Request]:
        """The request with envelope and signature, and its body."""
        carried = {**(scope.get("state") or {}), **(scope.get("wsgiproxy") or {})}
        path, query = decoded(inbound.path), inbound.query[1:]
        view = {**carried, "PATH_INFO": path, "QUERY_STRING": query}
        if body is None or not signer.covers_body:
            return body, signer.seal(view, facts, scheme, request, None)[1]
        data = await read_whole(body, LARGEST_BODY)
        blocks, request = signer.seal(view, facts, scheme, request, iter([data]))
        return Body(_no_more, first=blocks or ()), request


def _made(
    inbound: Inbound, handshake: Callable[[Request], Request] | None, policy: Policy
) -> Outgoing:
    """What a policy makes of a request, or of the handshake that stands for it."""
    going = outgoing(inbound, policy)
    return going if handshake is None else going._replace(request=handshake(going.request))


def _not_upgraded(inbound: Inbound, *, is_taken: bool) -> Inbound:
    """The request as one that goes over to no other protocol.

    :param is_taken: the server has taken the handshake for WebSocket.
    :raises WebSocketNotCarried: it has not, and the client wants nothing else.
    :raises BadRequest: it was right, since it is no proper handshake.
    """
    if not is_taken and switches_to(inbound, (PROTOCOL,)):
        raise WebSocketNotCarried("the server has not taken the handshake for a WebSocket")
    return inbound._replace(upgrade=())


async def _no_more() -> dict[str, Any]:
    return {"type": "http.request"}


def end_exchange(reply: AsyncReply | None, status: int, record: Record) -> None:
    """Give the rest of the answer up, and write the record."""
    if reply is None:
        record.end(status)
        return
    if not reply.complete:
        record.fail(ClientGone("the server gave the answer up before its end"))
    reply.close()
    record.end(status, reply.received)
