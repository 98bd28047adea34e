"""Writing: the response to one request, checked, and framed so that its end is seen.

It adds no field but those of framing, Connection and Date, and refuses what PEP 3333 does.
"""

from __future__ import annotations

import re

from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.h1.request_reader import ArrivingHead
from wsgiproxy.sansio.h1.request_writer import LAST_CHUNK, chunk
from wsgiproxy.sansio.message import Headers

__all__ = ["ResponseWriter"]

# 1xx are none of the application's; bytes of obsolete texts in a reason are allowed.
_STATUS = re.compile(r"[2-9][0-9]{2}(?: [\t -~\x80-\xff]*)?")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_LENGTH = re.compile("[0-9]{1,18}")
# RFC 9110, 6.4.1 and 15.3.6.
_NO_CONTENT = frozenset([204, 205, 304])
# RFC 9110, 8.6: no length there; a 205 says that it has none (RFC 9110, 15.3.6).
_NO_LENGTH = frozenset([204, 205])
# These are the server's: it says how long the connection stays.
_REPLACED = frozenset(["connection", "keep-alive"])


class ResponseWriter:
    """One response to bytes.

    The connection ends with it, and says so. Where nobody gave a length, HTTP/1.1 gets
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
        if not isinstance(status, str) or not _STATUS.fullmatch(status):
            raise ValueError(f"status {status!r}: expected three digits from 200 on and a reason")
        code = int(status[:3])
        lengths = _checked(headers)
        tunnel = request.method == "CONNECT" and code < 300
        self._has_content = request.method != "HEAD" and code not in _NO_CONTENT
        # RFC 9110, 9.3.6: behind a 2xx the bytes are the tunnel's own.
        framed = self._has_content and not tunnel
        self._chunked = framed and not lengths and request.version == "1.1"
        #: Bytes that are still to come by the Content-Length; None if there is none.
        self._left: int | None = int(lengths[0]) if framed and lengths else None
        #: Bytes that the application gave beyond it.
        self.surplus = 0
        dropped = _REPLACED | {"content-length"} if code in _NO_LENGTH or tunnel else _REPLACED
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
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError(f"{name}: {value!r}: expected latin-1 without control characters")
        lower = name.lower()
        if lower == "transfer-encoding":
            raise ValueError(f"{name}: {value!r}: the server frames the message (PEP 3333)")
        if lower == "content-length":
            lengths.append(value)
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise ValueError(f"Content-Length {lengths!r}: expected one number")
    return lengths
