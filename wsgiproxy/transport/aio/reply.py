"""One request and its answer on one connection: what waits, while the exchange decides.

Failure in the middle of a body raises from the iterator, so that the client's connection
breaks and a cut answer never looks complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from operator import methodcaller
from time import monotonic

from wsgiproxy.errors import ClientGone, ProxyError
from wsgiproxy.sansio.h1 import Exchange, Stale
from wsgiproxy.sansio.message import BLOCK, Headers, ResponseHead
from wsgiproxy.transport.aio.connection import Connection
from wsgiproxy.transport.aio.detachable import Detachable
from wsgiproxy.transport.aio.ticker import TICK, Ticker
from wsgiproxy.transport.aio.upload import Upload, wake, write
from wsgiproxy.transport.base import AsyncCall

__all__ = ["AsyncPooledReply"]


class AsyncPooledReply(Detachable):
    """One response; see :class:`.AsyncReply`.

    :param connection: where the request goes.
    :param exchange: decides what happens there.
    :param call: whom the answer is for.
    :param done: takes the connection when it can serve again.
    :param ticker: looks at the clock.
    """

    __slots__ = (
        "_blocks",
        "_call",
        "_done",
        "_is_silent",
        "_pulse",
        "_size",
        "_ticker",
        "_upload",
        "_watch",
        "head",
        "raw_head",
        "received",
        "reused",
        "whole",
    )

    head: ResponseHead

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        call: AsyncCall,
        done: Callable[[Connection], None],
        ticker: Ticker,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection: Connection | None = connection
        self._exchange = exchange
        self._call = call
        self._done = done
        self._ticker = ticker
        self._loop = loop
        self._blocks: list[bytes] = []
        self._size = 0
        self._is_held = self._is_silent = False
        self._pulse: float | None = None
        self._error: BaseException | None = None
        self._tell_end = None
        self._waiter: asyncio.Future[None] | None = None
        self._upload: Upload | None = None
        self._watch: asyncio.Task[None] | None = None
        self.received = 0
        self.reused = connection.reused
        self.whole: bytes | None = None

    def start(self, blocks: AsyncIterator[bytes] | None) -> None:
        """Write what there is, and go on with the rest of the body in a task of its own.

        :param blocks: what of the body the exchange does not have yet.
        """
        connection, exchange = self._connection, self._exchange
        assert connection is not None
        connection.receiver = self
        self._ticker.add(self)
        write(connection, exchange)
        if exchange.sending:
            self._upload = Upload(connection, exchange, blocks, self._uploaded)

    def has_begun(self) -> bool:
        """Whether the final head is there; if not, something has to change.

        Raises ``Stale`` if the connection was dead, and the request can go out again.

        :raises ProxyError: there is no answer.
        """
        exchange = self._exchange
        if exchange.head is None:
            if self._error is not None:
                raise self._error
            return False
        self.head, self.raw_head = exchange.head, exchange.raw_head
        if exchange.complete:
            self.whole = self._taken()
            self._blocks = [self.whole] if self.whole else []
        return True

    async def pass_interims(self, on_interim: Callable[[ResponseHead], Awaitable[None]]) -> None:
        """Hand the interim heads on that have come."""
        # While one is handed on, others may come.
        while interims := self._exchange.new_interims():
            for interim in interims:
                await on_interim(interim)

    def change(self) -> asyncio.Future[None]:
        """What is done as soon as something has happened."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def __aiter__(self) -> AsyncPooledReply:
        return self

    async def __anext__(self) -> bytes:
        """As :meth:`.AsyncReply.__anext__`."""
        exchange = self._exchange
        # Once: the limit is between two blocks, whatever else arrives or is looked at meanwhile.
        if not self._blocks and not self._is_silent:
            exchange.resume(monotonic())
        self._is_silent = False
        while not self._blocks:
            if self._error is not None:
                raise self._error
            if exchange.complete or self._connection is None:
                raise StopAsyncIteration
            if self._is_silent:
                return b""
            waiter, pulse = self.change(), self._pulse
            timer = None if pulse is None else self._loop.call_later(pulse, wake, waiter)
            try:
                await waiter
            except BaseException:
                self.close()
                raise
            finally:
                if timer is not None:
                    self._is_silent = True
                    timer.cancel()
        self._is_silent = False
        return self._taken()

    def pulse(self, seconds: float) -> None:
        """As :meth:`.AsyncReply.pulse`."""
        self._pulse = seconds

    def _taken(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        self._size = 0
        if self._is_held and self._connection is not None:
            self._is_held = False
            self._connection.transport.resume_reading()
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    # What the connection calls

    def data(self, data: bytes) -> None:
        """Bytes have arrived; none at the end of the connection."""
        exchange = self._exchange
        if not data and self._has_switched:
            self._keep_end(methodcaller("data", b""))
            return
        try:
            block = exchange.received(data)
        except (ProxyError, Stale) as error:
            self._fail(error)
            return
        if block:
            self.received += len(block)
            self._blocks.append(block)
            self._size += len(block)
        if exchange.complete:
            self._finish()
        elif self._size >= BLOCK and not self._is_held:
            assert self._connection is not None
            self._is_held = True
            self._connection.transport.pause_reading()
        if self._upload is not None and not exchange.sending:
            self._upload.stop()
            self._upload = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def lost(self, error: OSError) -> None:
        """The connection broke, for writing, for reading, or for both."""
        connection, exchange = self._connection, self._exchange
        if connection is None:
            return
        if self._has_switched:
            self._keep_end(methodcaller("lost", error))
            return
        try:
            # Also if all was sent: an end that follows a reset is no end of a message.
            exchange.send_failed(error, monotonic())
            while (data := connection.left()) is not None:
                self.data(data)
                if self._connection is None:
                    return
        except OSError as other:
            error = other
        except Stale as stale:
            self._fail(stale)
            return
        try:
            exchange.receive_failed(error)
        except (ProxyError, Stale) as failure:
            self._fail(failure)

    def drained(self) -> None:
        """All that was written has gone to the kernel."""
        if self._upload is not None:
            self._upload.drained()

    def tick(self, now: float) -> float:
        """Look at the clock, and from the first look on also whether the client has left.

        :returns: seconds until the next look: a limit is exceeded by a twentieth of it at most,
            or by a turn of the ticker.
        """
        exchange, connection = self._exchange, self._connection
        if connection is None:
            return TICK
        # However long the client takes, for its body or for our answer, is its own matter.
        is_clients = exchange.wants_body and not connection.is_stalled
        left = 0.0
        if self._waiter is not None and not self._waiter.done() and not is_clients:
            try:
                left = min(exchange.tick(now), exchange.shortest_limit / 20)
            except ProxyError as error:
                self._fail(error)
                return TICK
        if self._upload is not None and not self._upload.has_read_all:
            self._upload.look_ahead()  # it alone reads what the client sends, and notices
            return TICK
        if self._watch is None and self._call.abandoned is not None:
            self._watch = self._loop.create_task(self._watch_client(self._call.abandoned))
        return left

    # What it does by itself

    def _uploaded(self, error: BaseException | None) -> None:
        self._upload = None
        if error is not None:
            self._fail(error)

    async def _watch_client(self, abandoned: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(Exception):  # servers raise what they like, too
            await abandoned()
        self._watch = None
        self._fail(ClientGone("the client left while the upstream was silent"))

    def _fail(self, error: BaseException) -> None:
        """Note the first error, for the one who waits; what arrived before it counts still."""
        blocks, self._error = self._blocks, self._error or error
        self.close()
        self._blocks = blocks
        wake(self._waiter)

    def _finish(self) -> None:
        """The whole answer has arrived."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._end()
        if self._exchange.keeps_connection() and not connection.is_stalled:
            connection.receiver = None
            self._done(connection)
        else:
            connection.close()

    def _end(self) -> None:
        """No timer and no task is left."""
        self._ticker.discard(self)
        if self._upload is not None:
            self._upload.stop()
        if self._watch is not None:
            self._watch.cancel()
        self._upload = self._watch = None

    @property
    def trailers(self) -> Headers:
        """The fields behind the body, when it is whole."""
        return self._exchange.trailers

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._exchange.complete

    def close(self) -> None:
        """Give up the rest of the body; at any time, and more than once."""
        connection, self._connection = self._connection, None
        self._blocks = []
        if connection is not None:
            self._end()
            connection.close()

    async def read(self) -> bytes:
        """The whole body, for answers that are known to be small."""
        if self.whole is not None:
            return self.whole
        return b"".join([block async for block in self])
