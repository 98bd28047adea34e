"""Reading: one request, from bytes in whatever pieces they arrive.

It repairs nothing: what two readers could read differently is refused (RFC 9112, 11.2).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from wsgiproxy.errors import BadRequest, HeadTooLarge, TargetTooLong
from wsgiproxy.sansio.fields.expect import expects_continue
from wsgiproxy.sansio.fields.framing import End, request_framing
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.grammar import FIELD_VALUE, TOKEN
from wsgiproxy.sansio.h1.chunks import Chunks
from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.message import Headers

__all__ = ["ArrivingHead", "RequestReader"]

_HEAD_END = b"\r\n\r\n"
# One expression for the whole: it has no place for a folded line, a bare CR or LF, a blank
# before the colon, or a control character. No empty line goes before the head either: what
# RFC 9112, 2.2 forgives is a rest of an earlier request, and here is none.
_HEAD = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/(1\.[01])\r\n(?:{TOKEN}:{FIELD_VALUE}\r\n)*\r\n")
_FIELD = re.compile(r"([^:]+):([^\r]*)\r\n")
# No head becomes one with these, so that its end is not waited for: TLS spoken to a plain port, a
# bare LF. The end of a piece may be the first half of a line's end.
_NEVER_IN_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]|(?<!\r)\n")
_METHOD_LIMIT = 32  # characters; no registered one has more than 17


class ArrivingHead(NamedTuple):
    """Request line and field lines of one request.

    :param method: a token, as received.
    :param target: the request-target, byte for byte.
    :param version: ``1.0`` or ``1.1``.
    :param headers: field lines as received.
    """

    method: str
    target: str
    version: str
    headers: Headers


class RequestReader:
    """One request, from bytes in whatever pieces they arrive.

    There is no next one: a server with one request for each connection can never take
    bytes of a body, or behind it, for a request (RFC 9112, 11.2).

    :param limits: bounds of the head.

    >>> reader = RequestReader(Limits())
    >>> reader.feed(b"POST /a HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 2\\r\\n\\r\\nabc")
    b'ab'
    >>> reader.head.target, reader.complete, reader.surplus
    ('/a', True, b'c')
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_left",
        "_limits",
        "chunked",
        "complete",
        "content_length",
        "expects_continue",
        "head",
        "is_head",
        "surplus",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._chunks: Chunks | None = None
        self._left = 0
        #: The head, None until it is whole.
        self.head: ArrivingHead | None = None
        #: The method is HEAD, even if the request is refused: no answer to it has a body.
        self.is_head = False
        #: The length of the body that the client gave, None if it gave none.
        self.content_length: int | None = None
        #: The body comes in chunks.
        self.chunked = False
        #: The client waits for a 100 before it sends the body (RFC 9110, 10.1.1).
        self.expects_continue = False
        #: The message has ended where its framing says.
        self.complete = False
        #: What came behind the message, for CONNECT the first bytes of the tunnel. Bytes in
        #: the piece with the last chunk are not kept: they may never be read.
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client and give those of the body.

        :raises BadRequest: or a kind of it: they are no request, and nothing may be read
            of the connection any more.
        """
        if self.head is None:
            data = self._read_head(data)
            if self.head is None:
                return b""
        if self.complete:
            self.surplus += data
            return b""
        if self._chunks is not None:
            content = self._chunks.feed(data) if data else b""
            if self._chunks.complete:
                self._chunks = None
                self.complete = True
            return content
        content, self.surplus = data[: self._left], data[self._left :]
        self._left -= len(content)
        self.complete = not self._left
        return content

    def _read_head(self, data: bytes) -> bytes:
        """Read the head; give what follows it."""
        buffer, limits = self._buffer, self._limits
        known = max(0, len(buffer) - 3)
        buffer += data
        self.is_head = buffer.lstrip(b"\r\n").startswith(b"HEAD ")
        end = buffer.find(_HEAD_END, known, limits.head) + 4
        bad = _NEVER_IN_HEAD.search(buffer, known, end if end > 3 else len(buffer))
        if bad:
            raise BadRequest(f"{bytes(bad[0])!r} in the head of a request")
        if end < 4:
            self._wait_for_head()
            return b""
        raw, rest = bytes(buffer[:end]), bytes(buffer[end:])
        self._buffer = bytearray()
        head = self._parse(raw)
        self._frame(head)
        self._ask_llhttp(raw, head.method)
        self.head = head
        return rest

    def _wait_for_head(self) -> None:
        limits = self._limits
        if len(self._buffer) >= limits.head:
            raise HeadTooLarge(f"a head of more than {limits.head} bytes")
        if self._buffer.find(b"\r", 0, limits.line + 1) < 0 and len(self._buffer) > limits.line:
            raise TargetTooLong(f"a request line of more than {limits.line} bytes")

    def _parse(self, raw: bytes) -> ArrivingHead:
        text = raw.decode("latin-1")
        match = _HEAD.fullmatch(text)
        if match is None:
            raise BadRequest(f"the head of a request is malformed: {raw[:200]!r}")
        method, target, version = match.groups()
        if len(method) > _METHOD_LIMIT:
            raise BadRequest(f"method {method[:40]!r} is longer than {_METHOD_LIMIT}")
        line, _, lines = text.partition("\r\n")
        limits, longest = self._limits, max(map(len, text.split("\r\n")))
        fields = [(name, value.strip(" \t")) for name, value in _FIELD.findall(lines)]
        if len(line) > limits.line:
            raise TargetTooLong(f"a request line of {len(line)} bytes")
        if longest > limits.line or len(fields) > limits.fields:
            raise HeadTooLarge(f"{len(fields)} header fields, the longest line of {longest}")
        return ArrivingHead(method, target, version, fields)

    def _frame(self, head: ArrivingHead) -> None:
        """Where the body ends (RFC 9112, 6.3), and who is asked (RFC 9112, 3.2)."""
        hosts = values(head.headers, "host")
        if len(hosts) > 1 or (not hosts and head.version == "1.1"):
            raise BadRequest(f"{len(hosts)} Host fields")
        if hosts and hosts[0] and not is_host(hosts[0]):
            raise BadRequest(f"Host {hosts[0]!r} is not host[:port]")
        lengths = values(head.headers, "content-length")
        codings = values(head.headers, "transfer-encoding")
        end, length = request_framing(head.method, head.version, lengths, codings)
        self.complete = end is End.HEAD
        if end is End.CHUNKS:
            self.chunked = True
            self._chunks = Chunks(self._limits.head, BadRequest)
        elif lengths:
            self.content_length = self._left = length
        if head.version == "1.1" and not self.complete:
            self.expects_continue = expects_continue(",".join(values(head.headers, "expect")))

    @staticmethod
    def _ask_llhttp(raw: bytes, method: str) -> None:
        """A second opinion on the head.

        :raises BadRequest: llhttp reads no request in it.
        """
        if method != "CONNECT":
            # It knows the registered methods only; a token it is already.
            raw = b"GET" + raw[len(method) :]
        try:
            HttpRequestParser(None).feed_data(raw)
        except HttpParserUpgrade:
            pass  # how it says that another protocol may follow
        except HttpParserError as error:
            raise BadRequest(f"head: {error}") from error
