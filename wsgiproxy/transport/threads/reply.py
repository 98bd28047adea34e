"""One request and its answer on one connection: what waits, while the exchange decides.

Failure in the middle of a body raises from the iterator, so that the client's connection
breaks and a cut answer never looks complete.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from time import monotonic

from wsgiproxy.errors import ClientGone
from wsgiproxy.sansio.h1 import Exchange
from wsgiproxy.sansio.message import Request, ResponseHead
from wsgiproxy.transport.base import Call
from wsgiproxy.transport.threads.connection import SLICE, Connection

__all__ = ["PooledReply"]


class PooledReply:
    """One response; see :class:`.Reply`.

    :param connection: where the request goes.
    :param exchange: decides what happens there.
    :param blocks: what of the request's body the exchange does not have yet.
    :param call: whom the answer is for.
    :param done: takes the connection when it can serve again.
    :ivar head: status, reason and field lines as the upstream sent them.
    :ivar whole: the whole body, if it has arrived already; else None, and iterate.
    :ivar received: bytes of the body so far.
    :ivar reused: whether the connection had served before.
    """

    __slots__ = (
        "_abandoned",
        "_blocks",
        "_connection",
        "_done",
        "_exchange",
        "_first",
        "_is_silent",
        "_longest",
        "_next_look",
        "_on_interim",
        "_pulses",
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
        blocks: Iterator[bytes],
        call: Call,
        done: Callable[[Connection], None],
    ) -> None:
        self._connection: Connection | None = connection
        self._exchange = exchange
        self._blocks = blocks
        _, self._abandoned, self._on_interim, _ = call
        self._done = done
        self._first = b""
        self._next_look = 0.0
        self._is_silent = self._pulses = False
        self._longest = SLICE
        self.reused = connection.reused
        self.whole: bytes | None = None

    def begin(self, request: Request) -> PooledReply:
        """Send *request*, and wait for the final head; a failure closes the connection.

        Raises ``Stale`` if the connection was dead, and the request can go out again.

        :raises ProxyError: there is no answer.
        """
        connection, exchange, on_interim = self._connection, self._exchange, self._on_interim
        assert connection is not None
        connection.begin(request)
        try:
            self._write(connection)
            while exchange.head is None:
                self._first = self._step(connection) or b""
                if on_interim is not None:
                    for interim in exchange.new_interims():
                        on_interim(interim)
                if exchange.head is None:
                    self._look_in_time()
        except BaseException:
            connection.close()
            raise
        self.head, self.raw_head = exchange.head, exchange.raw_head
        self.received = len(self._first)
        if exchange.complete:
            self._finish()
            self.whole = self._first
        return self

    def __iter__(self) -> PooledReply:
        return self

    def __next__(self) -> bytes:
        """The next block, as it arrives; empty after a silence, if :meth:`pulse` was called.

        :raises ProxyError: the body breaks off, or the upstream is silent for too long.
        """
        block = self._first
        if block:
            self._first = b""
            return block
        connection, exchange = self._connection, self._exchange
        if connection is None:
            raise StopIteration
        if not self._is_silent:  # one silence, however often the caller has looked up from it
            exchange.resume(monotonic())
        try:
            while not block and not exchange.complete:
                data = self._step(connection)
                self._is_silent = data is None and self._pulses
                if self._is_silent:
                    return b""
                block = data or b""
        except BaseException:
            self.close()
            raise
        if exchange.complete:
            self._finish()
            if not block:
                raise StopIteration
        self.received += len(block)
        return block

    def pulse(self, seconds: float = SLICE) -> None:
        """Give an empty block after each half second of silence (PEP 3333: nothing yet).

        :param seconds: of silence, where that is less, from the next wait on.
        """
        self._pulses = True
        self._longest = seconds if seconds < SLICE else SLICE

    def _write(self, connection: Connection) -> None:
        """Write what there is room for, at once."""
        exchange = self._exchange
        try:
            count = connection.send_now(exchange.pending)
        except OSError as error:
            exchange.send_failed(error, monotonic())
        else:
            exchange.sent(count, monotonic())

    def _step(self, connection: Connection) -> bytes | None:
        """Wait for one thing to happen.

        :returns: bytes of the body, which may be none; None if nothing has arrived.
        """
        exchange = self._exchange
        if exchange.sending:
            # What has arrived comes first, since reading the next block may wait for a client
            # that waits for its answer.
            while exchange.wants_body and not connection.has_arrived():
                exchange.supply(next(self._blocks, b""), monotonic())
        try:
            if exchange.sending:
                data = self._send_or_receive(connection)
            else:
                data = self._receive(connection)
        except OSError as error:
            exchange.receive_failed(error)
            raise
        if not data:
            if data is None:
                return None
            if self._connection is None:  # the end is not the upstream's
                raise ClientGone("the answer was given up in another thread")
        return exchange.received(data)

    def _receive(self, connection: Connection) -> bytes | None:
        """Bytes from the upstream, none at its end; None after a slice without any, if it pulses.

        :raises OSError: the connection is broken.
        """
        # TLS may hold decrypted bytes of which the kernel knows nothing.
        data = connection.recv() if connection.is_tls else None
        while data is None:
            limit = self._slice()
            if connection.recv_may_wait(limit):
                data = connection.recv(waits=True)
                is_silent = data is None
            else:
                is_silent = not connection.poll(limit)
                data = None if is_silent else connection.recv()
            if is_silent:
                self._look_at_client()
                if self._pulses:
                    break
        return data

    def _send_or_receive(self, connection: Connection) -> bytes | None:
        """For one slice: receive what has arrived, or send what there is room for.

        :returns: bytes from the upstream, none at its end; None if nothing has arrived.
        :raises ProxyError: the time is over.
        :raises OSError: the connection broke while it was read.
        """
        exchange = self._exchange
        readable, writable = connection.wait(self._slice())
        data = connection.recv() if readable else None
        if data is None and writable and exchange.pending:
            self._write(connection)
        elif not readable and not writable:
            self._look_at_client()
        return data

    def _slice(self) -> float:
        """The milliseconds of a single wait; one more, since poll counts whole ones."""
        left, longest = self._exchange.tick(monotonic()), self._longest
        return (left if left < longest else longest) * 1000 + 1

    def _look_in_time(self) -> None:
        """Look at the client after each slice, also while something goes on all the time."""
        now = monotonic()
        if not self._next_look:
            self._next_look = now + SLICE
        elif now >= self._next_look:
            self._next_look = now + SLICE
            self._look_at_client()

    def _look_at_client(self) -> None:
        if self._abandoned is not None and self._abandoned():
            raise ClientGone("the client left while the upstream was silent")

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.end()
        if self._exchange.keeps_connection():
            self._done(connection)
        else:
            connection.close()

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._exchange.complete

    def close(self) -> None:
        """Give up the rest of the body; at any time, and more than once.

        A connection with an unread rest is closed, so that the upstream stops at once.
        """
        connection, self._connection = self._connection, None
        self._first = b""
        if connection is not None:
            connection.close()

    def detach(self) -> tuple[socket.socket, bytes]:
        """The connection of a 101, which is the caller's to close, and what has come behind it."""
        connection, self._connection = self._connection, None
        assert connection is not None
        connection.end()
        first, self._first = self._first, b""
        return connection.sock, first

    def read(self) -> bytes:
        """The whole body, for answers that are known to be small."""
        if self.whole is not None:
            return self.whole
        return b"".join(self)
