"""Reading ``receive``: the blocks of a request's body, and whether the client has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from wsgiproxy.errors import BadRequest, ClientGone, ContentTooLarge

__all__ = ["Body", "Message", "Receive", "Scope", "Send", "read_whole", "until_gone"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Body:
    """The blocks of a request's body, as an asynchronous iterator.

    :param receive: as the ASGI specification describes it.
    :param limit: bytes; None for no limit.
    :param first: blocks that have been read already.
    """

    __slots__ = ("_first", "_is_ended", "_limit", "_receive", "_total")

    def __init__(
        self, receive: Receive, limit: int | None = None, first: Iterable[bytes] = ()
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._first = list(first)
        self._total = 0
        self._is_ended = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        """The next block, which is never empty.

        :raises ClientGone: the client has left before the end.
        :raises ContentTooLarge: the body is larger than the limit.
        """
        if self._first:
            return self._first.pop(0)
        while not self._is_ended:
            message = await self._received()
            self._is_ended = not message.get("more_body")
            block = message.get("body")
            if block:
                self._total += len(block)
                if self._limit is not None and self._total > self._limit:
                    raise ContentTooLarge(f"a body of more than max_body={self._limit} bytes")
                return bytes(block)
        raise StopAsyncIteration

    async def _received(self) -> Message:
        # Servers raise what they like when a client leaves in mid-body.
        try:
            message = await self._receive()
        except Exception as error:
            raise BadRequest(f"reading the request body: {error!r}") from error
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its request was complete")
        return message

    def unread(self, block: bytes) -> None:
        """Put back a block, which is then the next one."""
        self._first.insert(0, block)


async def read_whole(blocks: AsyncIterator[bytes], limit: int) -> bytes:
    """The whole of a body.

    :param limit: bytes.
    :raises ContentTooLarge: it is larger.
    """
    found, total = [], 0
    async for block in blocks:
        found.append(block)
        total += len(block)
        if total > limit:
            raise ContentTooLarge(f"a signed body of more than {limit} bytes")
    return b"".join(found)


async def until_gone(receive: Receive) -> None:
    """Wait until the client has left; for ever, where ``receive`` does not tell.

    Middlewares that have read the body give the same message again and again, or raise: asking
    them once more would never end, and stop the event loop.
    """
    is_ended = False
    while True:
        try:
            message = await receive()
        except OSError:
            return
        except Exception:
            break
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            return
        if is_ended:
            break
        is_ended = not message.get("more_body")
    await asyncio.get_running_loop().create_future()
