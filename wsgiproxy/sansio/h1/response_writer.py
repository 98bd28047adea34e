"""Writing: the response to one request, checked, and framed so that its end is seen.

It adds no field but those of framing, Connection and Date, and refuses what PEP 3333 does.
"""

from __future__ import annotations

from wsgiproxy.sansio.grammar import (
    NO_CONTENT,
    NO_LENGTH,
    is_field_value,
    is_length,
    is_token,
    status_line,
)
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk
from wsgiproxy.sansio.h1.request_reader import ArrivingHead
from wsgiproxy.sansio.message import Headers

__all__ = ["ResponseWriter"]

# These are the server's: it says how long the connection stays.
_REPLACED = frozenset(["connection", "keep-alive"])


class ResponseWriter:
    """One response to bytes.

    The connection ends with it, and says so. Where the application gave no length, HTTP/1.1 gets
    chunks, and HTTP/1.0 reads to the end of the connection (RFC 9112, 6.3).

    :param request: what is answered.
    :param status: as ``start_response`` gets it.
    :param headers: field lines of the application.
    :param date: the value for Date, if there is none in *headers*.
    :raises ValueError: status or headers are not what PEP 3333 allows.

    >>> request = ArrivingHead("GET", "/", "1.1", [])
    >>> writer = ResponseWriter(request, "200 OK", [("Date", "today")], "")
    >>> writer.head.split(b"\\r\\n")[:3]
    [b'HTTP/1.1 200 OK', b'Date: today', b'Transfer-Encoding: chunked']
    >>> writer.block(b"ab"), writer.end()
    (b'2\\r\\nab\\r\\n', b'0\\r\\n\\r\\n')
    """

    __slots__ = ("_chunked", "_has_content", "_left", "head", "surplus")

    def __init__(self, request: ArrivingHead, status: str, headers: Headers, date: str) -> None:
        line = status_line(status) if isinstance(status, str) else None
        if line is None:
            raise ValueError(f"status {status!r}: expected three digits from 200 on and a reason")
        code = line[0]
        lengths = _checked(headers)
        tunnel = request.method == "CONNECT" and code < 300
        self._has_content = request.method != "HEAD" and code not in NO_CONTENT
        # RFC 9110, 9.3.6: behind a 2xx the bytes are the tunnel's own.
        framed = self._has_content and not tunnel
        self._chunked = framed and not lengths and request.version == "1.1"
        #: Bytes that are still to come by the Content-Length; None if there is none.
        self._left: int | None = int(lengths[0]) if framed and lengths else None
        #: Bytes that the application gave beyond it.
        self.surplus = 0
        dropped = _REPLACED | {"content-length"} if code in NO_LENGTH or tunnel else _REPLACED
        fields = [field for field in headers if field[0].lower() not in dropped]
        if not any(name.lower() == "date" for name, _ in fields):
            fields.append(("Date", date))  # RFC 9110, 6.6.1
        if code == 205:
            fields.append(("Content-Length", "0"))
        if self._chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        if not tunnel:
            fields.append(("Connection", "close"))
        reason = status[4:]
        lines = [f"HTTP/1.1 {code} {reason}", *(f"{name}: {value}" for name, value in fields)]
        #: The bytes of the head.
        self.head = "\r\n".join([*lines, "", ""]).encode("latin-1")

    def block(self, data: bytes) -> bytes:
        """A block of the body as it goes on the wire; nothing of what has no place there."""
        if not self._has_content:
            self.surplus += len(data)
            return b""
        if self._left is not None:
            self.surplus += max(0, len(data) - self._left)
            data = data[: self._left]
            self._left -= len(data)
            return data
        # An empty chunk would be the last.
        return chunk(data) if self._chunked and data else data

    def end(self) -> bytes:
        """The bytes that end it.

        :raises ValueError: its Content-Length has promised more.
        """
        if self._left:
            raise ValueError(f"the body lacks {self._left} bytes of its Content-Length")
        return LAST_CHUNK if self._chunked else b""


def _checked(headers: Headers) -> list[str]:
    """The values of Content-Length: one or none.

    :raises ValueError: a header that must not be sent.
    """
    lengths = []
    for name, value in headers:
        if not isinstance(name, str) or not is_token(name):
            raise ValueError(f"header name {name!r}: expected a token")
        if not isinstance(value, str) or not is_field_value(value):
            raise ValueError(f"{name}: {value!r}: expected latin-1 without control characters")
        lower = name.lower()
        if lower == "transfer-encoding":
            raise ValueError(f"{name}: {value!r}: the server frames the message (PEP 3333)")
        if lower == "content-length":
            lengths.append(value)
    if len(lengths) > 1 or not all(map(is_length, lengths)):
        raise ValueError(f"Content-Length {lengths!r}: expected one number")
    return lengths
