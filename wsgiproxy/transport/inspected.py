"""Requests and answers that are looked at: an attempt is told of them, and nothing is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.transport.base import AsyncCall, AsyncReply, AsyncTransport, Call, Reply, Transport

if TYPE_CHECKING:
    from wsgiproxy.observe.inspector.attempt import Attempt
    from wsgiproxy.observe.inspector.kept import Kept
    from wsgiproxy.sansio.message import Origin, Request

__all__ = ["async_send_seen", "send_seen"]


def send_seen(
    transport: Transport,
    attempt: Attempt,
    origin: Origin,
    request: Request,
    body: Iterable[bytes] | None,
    call: Call,
) -> Reply:
    """As :meth:`.Transport.send` of *transport*, and tell an attempt, which watches the call."""
    blocks = None if body is None else attempt.blocks(body)
    try:
        reply = transport.send(origin, request, blocks, call)
    except BaseException as error:
        attempt.fail(error)
        raise
    attempt.take(reply.head, reply.reused, getattr(reply, "raw_head", b""))
    place = attempt.answer_body
    return reply if place is None else _seen(attempt, place, reply, _SeenReply)


async def async_send_seen(
    transport: AsyncTransport,
    attempt: Attempt,
    origin: Origin,
    request: Request,
    body: AsyncIterator[bytes] | None,
    call: AsyncCall,
) -> AsyncReply:
    """The same in an event loop."""
    blocks = None if body is None else attempt.async_blocks(body)
    try:
        reply = await transport.send(origin, request, blocks, call)
    except BaseException as error:
        attempt.fail(error)
        raise
    attempt.take(reply.head, reply.reused, getattr(reply, "raw_head", b""))
    place = attempt.answer_body
    return reply if place is None else _seen(attempt, place, reply, _SeenAsyncReply)


def _seen(attempt: Attempt, body: Kept, reply: Any, kind: type) -> Any:
    """A reply whose body is another one than the client's, and has a place of its own."""
    if hasattr(reply, "detach") and reply.head.status == 101:
        return reply
    if reply.whole is None:
        return kind(reply, attempt, body)
    body.add(reply.whole)
    attempt.end(is_whole=True)
    return reply


class _Seen:
    """A reply whose blocks are told to an attempt; all else is that of the reply itself."""

    def __init__(self, reply: Any, attempt: Attempt, body: Kept) -> None:
        self._reply = reply
        self._attempt = attempt
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reply, name)

    def _note(self, block: bytes) -> bytes:
        self._body.add(block)
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
