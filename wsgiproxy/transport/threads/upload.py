"""The rest of a request, sent while its answer may already be arriving.

It writes blocks when there is room for them, and knows nothing of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.h1 import LAST_CHUNK, chunk
from wsgiproxy.sansio.message import Request
from wsgiproxy.transport.threads.connection import Connection, Deadline

__all__ = ["FramedBody", "Upload"]


class FramedBody:
    """A body as it goes on the wire: exactly as many bytes as the head of *request* announces.

    :param body: its blocks; empty ones are left out.
    :ivar last: nothing follows the block that was read last.
    """

    __slots__ = ("_blocks", "_left", "_length", "last")

    def __init__(self, body: Iterable[bytes], request: Request) -> None:
        self._blocks = iter(body)
        self._length = None if request.chunked else request.content_length or 0
        self._left = self._length or 0
        self.last = False

    def read(self) -> bytes:
        """The next block; none at the end.

        :raises BadRequest: the body is shorter or longer than its length (RFC 9112, 8).
        """
        if self.last:
            return b""
        block = next(filter(None, self._blocks), b"")
        if self._length is None:
            self.last = not block
            return chunk(block) if block else LAST_CHUNK
        self._left -= len(block)
        # The last block goes out when nothing comes after it: sent before, it would make the
        # request complete at the upstream, though it is refused here.
        if self._left < 0 or (block and not self._left and any(self._blocks)):
            raise BadRequest(f"the request body is longer than its length of {self._length}")
        if self._left and not block:
            raise BadRequest(f"the request body ended {self._left} bytes short of {self._length}")
        self.last = not self._left
        return block


class Upload:
    """What of a request is still to be sent on a connection.

    :param block: the bytes to send first.
    :param body: those after them; the next block is read when the one before is sent, so that
        no more than one is held.
    :ivar whole: all of them are sent.
    :ivar ended: nothing more will be sent: all is, or nothing more is asked for or taken.
    :ivar reset: the connection broke in such a way that its end proves nothing.
    """

    __slots__ = ("_body", "_view", "ended", "reset", "whole")

    def __init__(self, block: bytes, body: FramedBody | None = None) -> None:
        self._body = body
        self._view = memoryview(block)
        self.whole = self.ended = self.reset = False

    def step(self, wire: Connection, patience: Deadline) -> bytes | None:
        """Wait for one slice: receive what has arrived, or send what there is room for.

        What has arrived comes first, since reading the next block may wait for a client that
        waits for its answer.

        :returns: bytes of the answer, none at its end; None if nothing has arrived.
        :raises ProxyError: the next block cannot be had, or the time is over.
        :raises OSError: the connection broke while it was read.
        """
        if not self._view and self._body is not None and not wire.has_arrived():
            self._view = memoryview(self._body.read())
            # However long the client took for the block, the upstream is not to blame.
            patience.start(patience.timeouts.idle, "idle_timeout")
        readable, writable = wire.wait(patience)
        data = wire.recv_now() if readable else None
        if data is None and writable and self._view:
            try:
                sent = wire.send_now(self._view)
            except OSError as error:
                self.fail(error)
                return None
            if sent:
                patience.start(patience.timeouts.idle, "idle_timeout")
                self._view = self._view[sent:]
                if not self._view and (self._body is None or self._body.last):
                    self.whole = self.ended = True
        return data

    def fail(self, error: OSError) -> None:
        """The upstream takes no more; an answer may have been sent before (RFC 9112, 9.5).

        A broken pipe is the kernel's word for an upstream that had closed in order. After
        anything else the end of the connection is no longer the end of a message.
        """
        self.ended = True
        self.reset = not isinstance(error, BrokenPipeError)

    def stop(self) -> None:
        """Send no more of it."""
        self.ended = True
