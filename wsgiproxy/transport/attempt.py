"""One request on one connection, up to the final head of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.h1 import Reader
from wsgiproxy.sansio.message import ResponseHead
from wsgiproxy.transport.reply import Reply
from wsgiproxy.transport.wire import BLOCK, TIMED_OUT, Patience, Wire

__all__ = ["Attempt", "Stale"]


class Stale(Exception):
    """A kept connection was dead, and the request can go out again unchanged."""


class Attempt:
    """One attempt on one connection, up to the final head."""

    __slots__ = ("first", "head", "on_interim", "patience", "reader", "sent_whole", "told", "wire")

    def __init__(
        self,
        wire: Wire,
        reader: Reader,
        patience: Patience,
        on_interim: Callable[[ResponseHead], None] | None,
    ) -> None:
        self.wire = wire
        self.reader = reader
        self.patience = patience
        self.on_interim = on_interim
        self.told = 0
        self.first = b""
        self.sent_whole = False

    def run(
        self,
        head: bytes,
        rest: Iterator[bytes] | None,
        replayable: bool,
        done: Callable[[Wire], None],
    ) -> Reply:
        """Send the request and begin the answer; a failure closes the connection.

        :param head: the head and the first block.
        :param rest: the other blocks, framed.
        :param replayable: the request may go out again if the connection proves dead.
        :param done: takes the connection when it can serve again.
        :raises Stale: it proved dead.
        """
        wire, patience = self.wire, self.patience
        try:
            wire.use(patience.timeouts.slice)
            self._write(head, rest)
            self._read_head(replayable)
        except BaseException:
            wire.close()
            raise
        return Reply(wire, self.reader, self.first, self.sent_whole, patience, done)

    def _write(self, head: bytes, rest: Iterator[bytes] | None) -> None:
        """Send the request; stop when the answer comes early (RFC 9112, 9.5)."""
        try:
            if not self.wire.send_all(head, self.patience):
                if self.wire.reused:
                    raise Stale
                return
            self.sent_whole = rest is None or self._upload(rest)
        except OSError:
            # Nobody takes the rest, but an answer may have been sent before (C8).
            self.sent_whole = False

    def _upload(self, blocks: Iterator[bytes]) -> bool:
        wire, patience = self.wire, self.patience
        for block in blocks:
            view = memoryview(block)
            patience.start(patience.timeouts.idle)
            while view:
                readable, writable = wire.wait()
                if readable and self._heard_early():
                    return False
                sent = wire.send_some(view) if writable else 0
                if sent:
                    view = view[sent:]
                    patience.start(patience.timeouts.idle)
                elif not readable:
                    patience.check()
        return True

    def _heard_early(self) -> bool:
        data = self.wire.recv_now()
        if data is None:
            return False
        if data:
            self._feed(data)
        return not data or self.reader.head is not None

    def _feed(self, data: bytes) -> None:
        reader = self.reader
        self.first = reader.feed(data)
        if self.on_interim is not None and len(reader.interims) > self.told:
            for interim in reader.interims[self.told :]:
                self.on_interim(interim)
            self.told = len(reader.interims)

    def _read_head(self, replayable: bool) -> None:
        """Wait for the final head.

        :raises Stale: the connection was dead before it brought anything.
        """
        wire, reader, patience = self.wire, self.reader, self.patience
        heard = reader.head is not None
        patience.start(patience.timeouts.head)
        while reader.head is None:
            try:
                data = wire.recv(BLOCK)
            except TIMED_OUT:
                patience.check()
                continue
            except OSError as error:
                if wire.reused and replayable and not heard:
                    raise Stale from error
                raise UpstreamLost(f"reading the head: {error}") from error
            if not data:
                if wire.reused and replayable and not heard:
                    raise Stale
                reader.end()
            heard = True
            self._feed(data)
            if reader.head is None:
                patience.check()
