"""One request on one connection, up to the final head of its answer."""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.h1 import ResponseReader
from wsgiproxy.sansio.message import Request, ResponseHead
from wsgiproxy.transport.threads.connection import Connection, Deadline
from wsgiproxy.transport.threads.reply import PooledReply
from wsgiproxy.transport.threads.upload import FramedBody, Upload

__all__ = ["Attempt", "Stale"]


class Stale(Exception):
    """A kept connection was dead, and the request can go out again unchanged."""


class Attempt:
    """One attempt on one connection, up to the final head."""

    __slots__ = ("first", "head", "on_interim", "patience", "reader", "told", "upload", "wire")

    def __init__(
        self,
        wire: Connection,
        reader: ResponseReader,
        patience: Deadline,
        on_interim: Callable[[ResponseHead], None] | None,
    ) -> None:
        self.wire = wire
        self.reader = reader
        self.patience = patience
        self.on_interim = on_interim
        self.told = 0
        self.first = b""
        self.upload: Upload | None = None

    def run(
        self,
        request: Request,
        head: bytes,
        body: FramedBody | None,
        replayable: bool,
        done: Callable[[Connection], None],
    ) -> PooledReply:
        """Send the request and begin the answer; a failure closes the connection.

        :param request: what is asked for.
        :param head: its head and the first block.
        :param body: the other blocks.
        :param replayable: the request may go out again if the connection proves dead.
        :param done: takes the connection when it can serve again.
        :raises Stale: it proved dead.
        """
        wire = self.wire
        wire.begin(request)
        try:
            self._write(head, body, replayable)
            self._read_head(replayable)
        except BaseException:
            wire.close()
            raise
        return PooledReply(wire, self.reader, self.first, self.upload, self.patience, done)

    def _write(self, head: bytes, body: FramedBody | None, replayable: bool) -> None:
        """Send the request, until the head of its answer comes (RFC 9112, 9.5)."""
        wire = self.wire
        try:
            sent = wire.send_now(head)
        except OSError as error:
            # The first write has failed, and with it went nothing, unless TLS had sent some.
            if wire.reused and (replayable or wire.writes_whole):
                raise Stale from error
            self.upload = Upload(head, body)
            self.upload.fail(error)
            return
        if sent < len(head) or (body is not None and not body.last):
            self.upload = Upload(head[sent:], body)
            self._send_rest(self.upload)

    def _send_rest(self, upload: Upload) -> None:
        """Send until the head of the answer comes; the rest goes on while the body is read."""
        patience, reader = self.patience, self.reader
        patience.start(patience.timeouts.idle, "idle_timeout")
        while not upload.ended and reader.head is None:
            try:
                data = upload.step(self.wire, patience)
            except OSError as error:
                upload.fail(error)
                return
            if data:
                self._feed(data)
            elif data is not None:
                upload.stop()
        # What is complete, or says that the connection closes, asks for no more (9.5).
        if reader.head is not None and (reader.complete or not reader.reusable):
            upload.stop()

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
        replayable = replayable and wire.reused and reader.head is None
        patience.start(patience.timeouts.head, "head_timeout")
        while reader.head is None:
            try:
                data = wire.recv(patience) or b""
            except OSError as error:
                if replayable:
                    raise Stale from error
                raise UpstreamLost(f"reading the head: {error}") from error
            if not data:
                if replayable:
                    raise Stale
                reader.end()
            replayable = False
            self._feed(data)
            if reader.head is None:
                patience.slice()  # the deadline counts for those that dribble, too
