"""A transport whose requests and answers are looked at: it tells an exchange, and changes nothing.

It is one for a single request of a client, around the transport that sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.transport.base import AsyncCall, AsyncReply, AsyncTransport, Call, Reply, Transport

if TYPE_CHECKING:
    from wsgiproxy.observe.inspector.attempt import Attempt
    from wsgiproxy.observe.inspector.exchange import Exchange
    from wsgiproxy.sansio.message import Origin, Request

__all__ = ["AsyncInspected", "Inspected"]


_PLAIN, _ASYNC_PLAIN = Call(), AsyncCall()


class _Inspected:
    """What both worlds have.

    :param exchange: what is told.
    :param is_changed: hooks may make other bodies of those that pass here.
    :param is_own: the requests are those of hooks, and not the client's.
    """

    def __init__(self, exchange: Exchange, *, is_changed: bool, is_own: bool = False) -> None:
        self._exchange = exchange
        self._is_changed = is_changed or is_own
        self._is_own = is_own

    def _attempt(self, origin: Origin, request: Request) -> Attempt:
        attempt = self._exchange.attempt(origin, request, is_changed=self._is_changed)
        attempt.is_own = self._is_own
        return attempt

    def _seen(self, attempt: Attempt, reply: Any, kind: type) -> Any:
        """The reply, whose body is looked at if it is another one than the client's."""
        attempt.take(reply.head, is_reused=reply.reused)
        if attempt.answer_body is None or hasattr(reply, "detach") and reply.head.status == 101:
            return reply
        if reply.whole is not None:
            attempt.answer_body.add(reply.whole)
            attempt.end(is_whole=True)
            return reply
        return kind(reply, attempt)


class Inspected(_Inspected):
    """A transport for one request; see :class:`_Inspected` for the others.

    :param transport: what sends.
    """

    def __init__(
        self,
        transport: Transport,
        exchange: Exchange,
        *,
        is_changed: bool,
        is_own: bool = False,
    ) -> None:
        super().__init__(exchange, is_changed=is_changed, is_own=is_own)
        self._transport = transport

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        call: Call | None = None,
    ) -> Reply:
        """As :meth:`.Transport.send`."""
        attempt = self._attempt(origin, request)
        call = call or _PLAIN
        call = Call(call.timeouts, call.abandoned, call.on_interim, attempt.connect)
        blocks = None if body is None else attempt.blocks(body)
        try:
            reply = self._transport.send(origin, request, blocks, call)
        except BaseException as error:
            attempt.fail(error)
            raise
        seen: Reply = self._seen(attempt, reply, _SeenReply)
        return seen


class AsyncInspected(_Inspected):
    """The same in an event loop."""

    def __init__(
        self,
        transport: AsyncTransport,
        exchange: Exchange,
        *,
        is_changed: bool,
        is_own: bool = False,
    ) -> None:
        super().__init__(exchange, is_changed=is_changed, is_own=is_own)
        self._transport = transport

    async def send(
        self,
        origin: Origin,
        request: Request,
        body: AsyncIterator[bytes] | None = None,
        call: AsyncCall | None = None,
    ) -> AsyncReply:
        """As :meth:`.AsyncTransport.send`."""
        attempt = self._attempt(origin, request)
        call = call or _ASYNC_PLAIN
        call = AsyncCall(call.timeouts, call.abandoned, call.on_interim, attempt.connect)
        blocks = None if body is None else attempt.async_blocks(body)
        try:
            reply = await self._transport.send(origin, request, blocks, call)
        except BaseException as error:
            attempt.fail(error)
            raise
        seen: AsyncReply = self._seen(attempt, reply, _SeenAsyncReply)
        return seen


class _Seen:
    """A reply whose blocks are told to an attempt; all else is that of the reply itself."""

    def __init__(self, reply: Any, attempt: Attempt) -> None:
        self._reply = reply
        self._attempt = attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reply, name)

    def _note(self, block: bytes) -> bytes:
        body = self._attempt.answer_body
        if body is not None:
            body.add(block)
        return block

    def close(self) -> None:
        """Give up the rest of the body."""
        self._reply.close()
        self._attempt.end(is_whole=self._reply.complete)


class _SeenReply(_Seen):
    def __iter__(self) -> _SeenReply:
        return self

    def __next__(self) -> bytes:
        try:
            return self._note(next(self._reply))
        except StopIteration:
            self._attempt.end(is_whole=True)
            raise
        except BaseException as error:
            self._attempt.fail(error)
            raise


class _SeenAsyncReply(_Seen):
    def __aiter__(self) -> _SeenAsyncReply:
        return self

    async def __anext__(self) -> bytes:
        try:
            return self._note(await anext(self._reply))
        except StopAsyncIteration:
            self._attempt.end(is_whole=True)
            raise
        except BaseException as error:
            self._attempt.fail(error)
            raise
