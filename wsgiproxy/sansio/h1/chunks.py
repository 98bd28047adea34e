"""Reading a chunked body (RFC 9112, 7.1).

It refuses what the grammar does not have, but for blanks behind the size in a response: some
upstreams fill it up with them, and other proxies read it.
"""

from __future__ import annotations

import re

from wsgiproxy.errors import BadResponse, ProxyError
from wsgiproxy.sansio.grammar import FIELD_VALUE, TOKEN
from wsgiproxy.sansio.message import Headers

__all__ = ["LAST_CHUNK", "Chunks", "chunk"]

#: Ends a chunked body, without trailers.
LAST_CHUNK = b"0\r\n\r\n"

# More digits than any size needs, zeros in front included.
_SIZE = rb"([0-9A-Fa-f]{1,16})"
_VALUE = FIELD_VALUE.encode()
_EXTENSIONS = rb"(;" + _VALUE + rb")?"
_STRICT = re.compile(_SIZE + rb"()" + _EXTENSIONS + rb"\r\n")
_TOLERANT = re.compile(_SIZE + rb"([ \t]*)" + _EXTENSIONS + rb"\r\n")
# What is still the beginning of such a line: the end of anything else is not waited for.
_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}[ \t]*(?:;" + _VALUE + rb")?\r?)?")
_TRAILER = re.compile(TOKEN.encode() + rb":" + _VALUE + rb"\r\n")
# They would frame the message anew, for those who merge trailers into the head.
_NEVER_IN_TRAILER = re.compile(rb"(?:content-length|transfer-encoding):", re.IGNORECASE)

# Bytes. No upstream has longer extensions, and each byte that dribbles has the line read again.
_LONGEST_SIZE_LINE = 4096

_AT_SIZE, _IN_DATA, _BEHIND_DATA, _IN_TRAILER = range(4)


class Chunks:
    """A chunked body, decoded. Trailers are never merged into the head (RFC 9110, 6.5.1).

    :param limit: bytes of one line, and of all trailers.
    :param error: what a malformed body raises: the fault of the upstream, or of the client.
        A client's is read strictly.

    >>> chunks = Chunks(100)
    >>> chunks.feed(b"2\\r\\nab\\r\\n0\\r\\n\\r\\n"), chunks.complete, chunks.doubtful
    (b'ab', True, False)
    """

    __slots__ = (
        "_buffer",
        "_error",
        "_left",
        "_limit",
        "_line",
        "_state",
        "complete",
        "doubtful",
        "trailers",
    )

    def __init__(self, limit: int, error: type[ProxyError] = BadResponse) -> None:
        self._limit = limit
        self._error = error
        self._line = _TOLERANT if error is BadResponse else _STRICT
        self._buffer = b""
        self._state = _AT_SIZE
        #: Bytes that are still to come of a chunk, or of the limit for trailers.
        self._left = 0
        self.complete = False
        #: Bytes came after the end, or blanks where the grammar has none.
        self.doubtful = False
        #: The fields behind the last chunk.
        self.trailers: Headers = []

    def feed(self, data: bytes) -> bytes:
        """The content in *data*.

        :raises ProxyError: of the given kind: it is not chunked as it should be.
        """
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        blocks: list[bytes] = []
        position, size = 0, len(data)
        while position < size and not self.complete:
            if self._state == _IN_DATA:
                block = data[position : position + self._left]
                blocks.append(block)
                position += len(block)
                self._left -= len(block)
                if not self._left:
                    self._state = _BEHIND_DATA
                continue
            end = data.find(b"\n", position) + 1
            if not end:
                self._wait(data[position:])
                break
            self._read_line(data[position:end])
            position = end
        if self.complete and position < size:
            self.doubtful = True
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _wait(self, begun: bytes) -> None:
        """Keep a line of which the end is not there yet."""
        limit = min(self._limit, _LONGEST_SIZE_LINE) if self._state == _AT_SIZE else self._limit
        if len(begun) > limit:
            raise self._error("chunk extensions or trailers without end")
        is_size = self._state != _AT_SIZE or _BEGUN.fullmatch(begun)
        is_end = self._state != _BEHIND_DATA or begun == b"\r"
        if not (is_size and is_end):
            raise self._error(f"chunks: {begun[:40]!r}")
        self._buffer = begun

    def _read_line(self, line: bytes) -> None:
        if len(line) > self._limit:
            raise self._error("chunk extensions or trailers without end")
        if self._state == _IN_TRAILER:
            self._read_trailer(line)
            return
        if self._state == _BEHIND_DATA:
            if line != b"\r\n":
                raise self._error(f"chunks: {line[:40]!r} behind a chunk")
            self._state = _AT_SIZE
            return
        match = self._line.fullmatch(line)
        if match is None:
            raise self._error(f"chunks: {line[:40]!r} where a size should be")
        digits, blanks, extensions = match.groups()
        if blanks and not extensions:
            self.doubtful = True
        self._left = int(digits, 16)
        self._state = _IN_DATA
        if not self._left:
            self._state, self._left = _IN_TRAILER, self._limit

    def _read_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.complete = True
            return
        self._left -= len(line)
        if self._left < 0:
            raise self._error("chunk extensions or trailers without end")
        if not _TRAILER.fullmatch(line) or _NEVER_IN_TRAILER.match(line):
            raise self._error(f"trailer {line[:40]!r}")
        name, _, value = line.decode("latin-1").partition(":")
        self.trailers.append((name, value.strip(" \t\r\n")))


def chunk(block: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1).

    :param block: its bytes; not empty, since that would be the last chunk.
    """
    return b"%x\r\n%b\r\n" % (len(block), block)
