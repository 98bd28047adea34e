"""Reading a chunked body (RFC 9112, 7.1)."""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

from wsgiproxy.errors import BadResponse, ProxyError

__all__ = ["Chunks"]


class Chunks:
    """A chunked body (RFC 9112, 7.1), decoded by llhttp.

    :param limit: bytes of extensions or trailers in one go.
    :param error: what a malformed body raises: the fault of the upstream, or of the client.
    """

    _HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def __init__(self, limit: int, error: type[ProxyError] = BadResponse) -> None:
        self._blocks: list[bytes] = []
        self._limit = limit
        self._error = error
        self._overhead = 0
        self._tail = b""
        self.complete = False
        #: Bytes came after the end.
        self.surplus = False
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._parser.feed_data(self._HEAD)

    # llhttp calls these three. There is none for trailers, so they go nowhere: they must not
    # be merged into the head (RFC 9110, 6.5.1), and WSGI has no place for them.

    def on_message_begin(self) -> None:
        """Once for our own head, and again for whatever follows the end."""
        self.surplus = self.complete

    def on_body(self, data: bytes) -> None:
        """A piece of content; that of a second message is nobody's."""
        if not self.complete:
            self._blocks.append(data)

    def on_message_complete(self) -> None:
        """The last chunk and the trailers have passed."""
        self.complete = True

    def feed(self, data: bytes) -> bytes:
        """The content in *data*.

        :raises ProxyError: of the given kind: it is not chunked as it should be.
        """
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.complete:
                raise self._error(f"chunks: {error}") from error
            self.surplus = True
        self._tail = (self._tail + data[-5:])[-5:]
        blocks, self._blocks = self._blocks, []
        if self.complete:
            # The parser holds our methods and we hold the parser: end the circle by hand.
            self._parser = None
            # llhttp forgives empty lines after the end and does not say where that was, so
            # it is looked at: one empty line, after a line that is not empty.
            if self._tail[1:] != b"\r\n\r\n" or self._tail[:1] in b"\r\n":
                self.surplus = True
        elif blocks:
            self._overhead = 0
        else:
            # Chunk extensions and trailers without end.
            self._overhead += len(data)
            if self._overhead > self._limit:
                raise self._error("chunk extensions or trailers without end")
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)
