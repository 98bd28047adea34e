"""``wsgi.input``: the body of one request as it arrives, and never a byte behind it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadRequest, RequestTimeout
from wsgiproxy.sansio.h1 import RequestReader
from wsgiproxy.server.client import ClientConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["RequestBody"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody(io.RawIOBase):
    """The body of a request, as a raw stream.

    :param client: the connection.
    :param reader: finds the end of the body.
    :param first: the bytes of the body that came with the head.
    :param idle: seconds between two reads.
    :param may_continue: whether a 100 may still be sent.
    :ivar error: why the body cannot be read to its end.
    """

    def __init__(
        self,
        client: ClientConnection,
        reader: RequestReader,
        first: bytes,
        idle: float,
        may_continue: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._client = client
        self._reader = reader
        self._idle = idle
        self._may_continue = may_continue
        self._expected = reader.expects_continue and not first
        self._buffered = memoryview(first)
        self.error: BadRequest | None = None

    def readable(self) -> bool:
        """True (:class:`io.RawIOBase`)."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait for bytes; 0 at the end of the body.

        :raises TimeoutError: the client is silent for too long.
        :raises OSError: the rest does not come, or is malformed.
        """
        view = memoryview(buffer).cast("B")
        while not self._buffered and not self._reader.complete:
            self._buffered = memoryview(self._more())
        size = min(len(view), len(self._buffered))
        view[:size] = self._buffered[:size]
        self._buffered = self._buffered[size:]
        return size

    def _more(self) -> bytes:
        if self.error is not None:
            raise ConnectionAbortedError("the request body has ended early")
        try:
            if self._expected and self._may_continue():
                self._client.send(_CONTINUE, self._idle)
            self._expected = False
            data = self._client.receive(self._idle)
            if not data:
                # A cut body must not look complete (RFC 9112, 8).
                raise ConnectionAbortedError("the client has closed in the middle of the body")
            return self._reader.feed(data)
        except TimeoutError as error:
            self.error = RequestTimeout(f"the request body: {error}")
            raise
        except OSError as error:
            self.error = BadRequest(f"the request body: {error}")
            raise
        except BadRequest as error:
            self.error = error
            # Applications and frameworks expect an OSError of a body that fails.
            raise ConnectionAbortedError(str(error)) from error
