"""HTTP/1.1 as a client speaks it: a request head to bytes, bytes to a response.

It knows no socket and never waits. llhttp (``httptools``) parses; what it lets through and
must not pass is refused here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from wsgiproxy.errors import BadRequest, BadResponse, HeadTooLarge, UpstreamLost
from wsgiproxy.sansio.headers import TOKEN, Remembered, list_members
from wsgiproxy.sansio.message import Headers, Request, ResponseHead

__all__ = ["LAST_CHUNK", "Limits", "Reader", "chunk", "request_head"]


class Limits(NamedTuple):
    """What a head may cost; beyond it the message is refused.

    :param head: bytes of a whole head, 64 KiB.
    :param fields: field lines, 200.
    :param line: bytes of one line, 8 KiB, which is also nginx's and gunicorn's limit.
    :param interim: 1xx responses before the final one, 16.
    """

    head: int = 65536
    fields: int = 200
    line: int = 8192
    interim: int = 16


_HEAD = re.compile(rf"{TOKEN} [!-~]+ HTTP/1\.1\r\n(?:{TOKEN}:[\t -~\x80-\xff]*\r\n)+\r\n")
#: RFC 9110, 8.6: a server expects a length with these methods, even for no content.
_WITH_CONTENT = frozenset(["POST", "PUT", "PATCH"])


def request_head(request: Request, limits: Limits) -> bytes:
    """The head of a request, checked as a whole (RFC 9112, sections 2 to 6).

    :raises BadRequest: it would not be exactly one well-formed head.
    :raises HeadTooLarge: it exceeds a limit.

    >>> request_head(Request("POST", "/", [("Host", "a")]), Limits())
    b'POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 0\\r\\n\\r\\n'
    """
    method, target, headers, length, chunked = request
    lines = [f"{name}: {value}" for name, value in headers]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif length is not None:
        lines.append(f"Content-Length: {length}")
    elif method in _WITH_CONTENT:
        lines.append("Content-Length: 0")
    text = f"{method} {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    # One expression for the form, and one count for what a value could have smuggled in.
    if not _HEAD.fullmatch(text) or text.count("\n") != len(lines) + 2:
        raise BadRequest("a line of the request's head holds characters that must not be sent")
    if len(text) > limits.line:
        _check_size(target, lines, len(text), limits)
    elif len(lines) > limits.fields:
        raise HeadTooLarge(f"{len(lines)} header fields, over {limits.fields}")
    return text.encode("latin-1")


def _check_size(target: str, lines: list[str], size: int, limits: Limits) -> None:
    longest = max(len(target), *map(len, lines))
    if size > limits.head or longest > limits.line or len(lines) > limits.fields:
        raise HeadTooLarge(f"a head of {size} bytes, {len(lines)} fields, longest {longest}")


def chunk(block: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1); *block* is not empty."""
    return b"%x\r\n%b\r\n" % (len(block), block)


LAST_CHUNK = b"0\r\n\r\n"

# Names of response fields, decoded once; llhttp has checked that they are tokens.
_NAMES: Remembered[bytes, str] = Remembered(lambda name: name.decode("latin-1"))
_BAD_REASON = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEAD_END = b"\r\n\r\n"
_NO_BODY = frozenset([204, 304])

#: What of a body is still to come.
_UNTIL_EOF = -1
_CHUNKS = -2


class _Fields:
    """llhttp's callbacks for one head."""

    __slots__ = (
        "block",
        "complete",
        "fields",
        "in_body",
        "keep_alive",
        "parser",
        "reason",
        "spare",
    )

    def __init__(self) -> None:
        self.fields: Headers = []
        self.reason = ""
        self.keep_alive = False
        self.in_body = False
        self.complete = False
        self.spare = False
        self.block: list[bytes] = []
        self.parser = HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.spare = self.complete

    def on_status(self, reason: bytes) -> None:
        self.reason = reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, and must not be merged into the head (RFC 9110, 6.5.1).
        if not self.in_body:
            self.fields.append((_NAMES[name], value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        # After the message llhttp answers no, so it is asked now.
        self.keep_alive = self.parser.should_keep_alive()
        self.in_body = True

    def on_body(self, data: bytes) -> None:
        self.block.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


class Reader:
    """One response, from bytes in whatever pieces they arrive.

    :param method: the request's method; a HEAD has no body in its answer.
    :param limits: bounds of the head.

    >>> reader = Reader("GET", Limits())
    >>> reader.feed(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nab")
    b'ab'
    >>> reader.head.status, reader.complete, reader.reusable
    (200, True, True)
    """

    __slots__ = (
        "_buffer",
        "_fields",
        "_left",
        "_limits",
        "_method",
        "_overhead",
        "complete",
        "head",
        "interims",
        "reusable",
    )

    def __init__(self, method: str, limits: Limits) -> None:
        self._method = method
        self._limits = limits
        self._buffer = b""
        self._fields: _Fields | None = None
        self._left = 0
        self._overhead = 0
        #: The final head, None until it is whole.
        self.head: ResponseHead | None = None
        #: The interim heads (1xx) so far.
        self.interims: list[ResponseHead] = []
        #: The message has ended where its framing says.
        self.complete = False
        #: Another request may follow on the connection (RFC 9112, 9.3).
        self.reusable = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the upstream and give those of the body.

        :raises BadResponse: they are no legal response; the connection must be closed.
        """
        if self.head is None:
            data = self._read_head(self._buffer + data if self._buffer else data)
            if self.head is None or not data:
                return b""
        if self.complete:
            # Never a next response (RFC 9112, 6.3): nobody has asked for one.
            self.reusable = False
            return b""
        left = self._left
        if left > 0:
            return self._read_counted(data, left)
        return data if left == _UNTIL_EOF else self._read_chunks(data)

    def end(self) -> None:
        """The upstream has closed its side.

        :raises UpstreamLost: that was too early (RFC 9112, 8).
        """
        self.reusable = False
        if self.complete:
            return
        if self.head is None or self._left != _UNTIL_EOF:
            raise UpstreamLost("the upstream closed in the middle of its answer")
        self.complete = True

    def _read_counted(self, data: bytes, left: int) -> bytes:
        size = len(data)
        if size < left:
            self._left = left - size
            return data
        self.complete = True
        if size > left:
            self.reusable = False
            return data[:left]
        return data

    def _read_chunks(self, data: bytes) -> bytes:
        fields = self._fields
        assert fields is not None
        try:
            fields.parser.feed_data(data)
        except HttpParserError as error:
            if not fields.complete:
                raise BadResponse(f"chunks: {error}") from error
            fields.spare = True
        blocks, fields.block = fields.block, []
        if fields.complete:
            self.complete = True
            self._fields = None
            del fields.parser
            if fields.spare or data.endswith(b"\r\n\r\n\r\n"):
                self.reusable = False
        elif blocks:
            self._overhead = 0
        else:
            # Chunk extensions and trailers without end.
            self._overhead += len(data)
            if self._overhead > self._limits.head:
                raise BadResponse("chunk extensions or trailers without end")
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _read_head(self, data: bytes) -> bytes:
        """Read heads until the final one; give what follows it."""
        while True:
            end = data.find(_HEAD_END) + 4
            if end < 4 or end > self._limits.head:
                self._wait_for_head(data, end)
                return b""
            head = self._parse(data[:end] if end < len(data) else data)
            data = data[end:]
            if head.status >= 200:
                self.head = head
                self._buffer = b""
                self._frame(head)
                return data
            self._add_interim(head)
            self._fields = None
            if not data:
                self._buffer = b""
                return b""

    def _wait_for_head(self, data: bytes, end: int) -> None:
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise BadResponse("the answer is not HTTP/1.0 or 1.1")
        if end > self._limits.head or len(data) > self._limits.head:
            raise BadResponse(f"a head of more than {self._limits.head} bytes")
        self._buffer = data

    def _add_interim(self, head: ResponseHead) -> None:
        if head.status == 101:
            raise BadResponse("101 without having been asked for an upgrade")
        self.interims.append(head)
        if len(self.interims) > self._limits.interim:
            raise BadResponse(f"more than {self._limits.interim} interim responses")

    def _parse(self, data: bytes) -> ResponseHead:
        if data[:7] != b"HTTP/1." or data[7:8] not in (b"0", b"1"):
            raise BadResponse("the answer is not HTTP/1.0 or 1.1")
        fields = _Fields()
        try:
            fields.parser.feed_data(data)
        except HttpParserUpgrade as error:
            raise BadResponse("101 without having been asked for an upgrade") from error
        except HttpParserError as error:
            raise BadResponse(f"head: {error}") from error
        if not fields.in_body:
            raise BadResponse("the head ends early")
        status = fields.parser.get_status_code()
        if not 100 <= status <= 599 or _BAD_REASON.search(fields.reason):
            raise BadResponse(f"status {status} or its reason phrase")
        self._check_size(data, fields.fields)
        self._fields = fields
        self.reusable = fields.keep_alive
        return ResponseHead(status, fields.reason, fields.fields)

    def _check_size(self, data: bytes, fields: Headers) -> None:
        limits = self._limits
        if len(fields) > limits.fields:
            raise BadResponse(f"{len(fields)} header fields, over {limits.fields}")
        if len(data) > limits.line:
            longest = max((len(name) + len(value) for name, value in fields), default=0)
            if longest + 2 > limits.line:
                raise BadResponse(f"a header field of {longest} bytes")

    def _frame(self, head: ResponseHead) -> None:
        """Where the body ends (RFC 9112, 6.3); llhttp has refused conflicting fields."""
        fields, self._fields = self._fields, None
        assert fields is not None
        length = coding = None
        for name, value in head.headers:
            if len(name) == 14 and name.lower() == "content-length":
                length = int(value)
            elif len(name) == 17 and name.lower() == "transfer-encoding":
                coding = value if coding is None else f"{coding}, {value}"
        if self._method == "HEAD" or head.status in _NO_BODY or length == 0:
            self.complete = True
        elif coding is not None:
            # "gzip, chunked" would reach the client with its coding unnamed.
            if list_members(coding) != ["chunked"] or fields.parser.get_http_version() == "1.0":
                raise BadResponse(f"transfer coding {coding!r}")
            self._fields, self._left = fields, _CHUNKS
            return
        else:
            self._left = _UNTIL_EOF if length is None else length
        # The parser holds our callbacks and we hold the parser: end the circle by hand,
        # or every exchange leaves work for the garbage collector.
        del fields.parser
