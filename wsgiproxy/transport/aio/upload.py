"""The body of a request in an event loop: read, and sent as fast as the upstream takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic

from wsgiproxy.sansio.h1 import BodyWriter, Exchange
from wsgiproxy.sansio.message import BLOCK
from wsgiproxy.transport.aio.connection import Connection

__all__ = ["Upload", "first", "wake", "write"]


async def _next_block(blocks: AsyncIterator[bytes]) -> bytes:
    """The next block that is not empty; an empty one at the end, and only there."""
    async for block in blocks:
        if block:
            return block
    return b""


async def first(writer: BodyWriter, blocks: AsyncIterator[bytes]) -> bytes:
    """The bytes to send for the first of *blocks*, as :meth:`.BodyWriter.first`.

    :raises BadRequest: the body is shorter or longer than its length.
    """
    data = b""
    while not data and not writer.complete:
        data = writer.frame(await _next_block(blocks))
    return data


def write(connection: Connection, exchange: Exchange) -> None:
    """Write what there is room for, at once, and leave the rest to the loop."""
    # In parts, so that an upstream that takes a huge block slowly is seen not to be silent.
    data = exchange.pending[: 4 * BLOCK]
    if not connection.is_tls and not connection.transport.get_write_buffer_size():
        try:
            exchange.sent(connection.send_now(data), monotonic())
        except OSError as error:
            exchange.send_failed(error, monotonic())
        if not exchange.pending:
            return
        data = exchange.pending[: 4 * BLOCK]
    connection.transport.write(data)
    # A write that fails at once closes it, and lost() is called soon.
    if not connection.transport.is_closing():
        exchange.sent(len(data), monotonic())


class Upload:
    """The task that sends what of a request has not been sent at once.

    :param blocks: what of the body the exchange does not have yet; None if it has all.
    :param ended: called at the end, with the error that has ended it, or with None.
    """

    __slots__ = (
        "_ahead",
        "_blocks",
        "_connection",
        "_ended",
        "_error",
        "_exchange",
        "_is_stopped",
        "_kept",
        "_room",
        "_task",
    )

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        blocks: AsyncIterator[bytes] | None,
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._blocks = blocks
        self._ended = ended
        self._is_stopped = False
        self._room: asyncio.Future[None] | None = None
        # What is read while there is no room; the last block is empty.
        self._ahead: asyncio.Task[bytes] | None = None
        self._kept: list[bytes] = []
        self._error: BaseException | None = None
        self._task = asyncio.get_running_loop().create_task(self._send())

    def drained(self) -> None:
        """All that was written has gone to the kernel."""
        wake(self._room)

    def stop(self) -> None:
        """Send no more."""
        self._is_stopped = True
        self._task.cancel()
        self._stop_looking()

    @property
    def has_read_all(self) -> bool:
        """Whether the end of the body has been read, though it is not sent."""
        return bool(self._kept) and not self._kept[-1]

    def look_ahead(self) -> None:
        """Where there has been no room for a while, read on, up to a block.

        Only reading tells that the client has left. What is beyond a block stays with the server,
        which then reads no more from the client.
        """
        is_waiting = self._room is not None and not self._room.done()
        if not is_waiting or self._blocks is None or self._ahead is not None or self.has_read_all:
            return
        if sum(map(len, self._kept)) < BLOCK:
            self._ahead = asyncio.get_running_loop().create_task(_next_block(self._blocks))
            self._ahead.add_done_callback(self._has_looked)

    def _stop_looking(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()

    def _has_looked(self, ahead: asyncio.Task[bytes]) -> None:
        self._ahead = None
        if ahead.cancelled():
            return
        self._error = ahead.exception()
        if self._error is not None:
            wake(self._room)
        else:
            self._kept.append(ahead.result())
            self.look_ahead()

    async def _send(self) -> None:
        exchange, connection, blocks = self._exchange, self._connection, self._blocks
        error: BaseException | None = None
        try:
            while exchange.sending and not connection.transport.is_closing():
                if await self._has_room():
                    if exchange.wants_body and blocks is not None:
                        exchange.supply(await self._next(blocks), monotonic())
                    if exchange.pending:
                        write(connection, exchange)
                        # A body that is at hand would keep all others waiting, and the answer.
                        await asyncio.sleep(0)
        except BaseException as raised:  # reading the body may raise what the server likes
            error = raised
            if not isinstance(raised, Exception):
                raise
        finally:
            self._stop_looking()
            if not self._is_stopped:
                self._ended(error)

    async def _has_room(self) -> bool:
        """Whether more may be written; if not, that may have changed afterwards."""
        if self._connection.is_stalled:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
            if self._error is not None:
                raise self._error
            self._exchange.sent(0, monotonic())
            return False
        return True

    async def _next(self, blocks: AsyncIterator[bytes]) -> bytes:
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
        if self._error is not None:
            raise self._error
        return self._kept.pop(0) if self._kept else await _next_block(blocks)


def wake(waiter: asyncio.Future[None] | None) -> None:
    """Let the one go on that waits, if there is one."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
