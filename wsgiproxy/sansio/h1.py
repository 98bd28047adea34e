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

_BAD_REASON = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEAD_END = b"\r\n\r\n"
_VERSIONS = frozenset([b"HTTP/1.0", b"HTTP/1.1"])
_NO_BODY = frozenset([204, 304])
# llhttp has checked the lines before this cuts them: there is a colon in each, and no CR or
# LF but at its end.
_FIELD = re.compile(r"([^:]+): ?([^\r]*)\r\n")

#: What of a body is still to come, when it is not a number of bytes.
_UNTIL_EOF = -1
_CHUNKS = -2


_LENGTH, _CODING, _CONNECTION = 1, 2, 3
_KINDS = {"content-length": _LENGTH, "transfer-encoding": _CODING, "connection": _CONNECTION}


def _framing_kind(name: str) -> int:
    return _KINDS.get(name.lower(), 0)


_FRAMING = Remembered(_framing_kind)


class _Chunks:
    """A chunked body (RFC 9112, 7.1), decoded by llhttp."""

    _HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def __init__(self, limit: int) -> None:
        self._blocks: list[bytes] = []
        self._limit = limit
        self._overhead = 0
        self.complete = False
        #: Bytes came after the end.
        self.surplus = False
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._parser.feed_data(self._HEAD)

    # llhttp's callbacks. It has none for trailers here, so they go nowhere: they must not
    # be merged into the head (RFC 9110, 6.5.1), and WSGI has no place for them.

    def on_message_begin(self) -> None:
        self.surplus = self.complete

    def on_body(self, data: bytes) -> None:
        self._blocks.append(data)

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> bytes:
        """The content in *data*.

        :raises BadResponse: it is not chunked as it should be.
        """
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.complete:
                raise BadResponse(f"chunks: {error}") from error
            self.surplus = True
        blocks, self._blocks = self._blocks, []
        if self.complete:
            # The parser holds our methods and we hold the parser: end the circle by hand.
            self._parser = None
            # llhttp forgives empty lines after the end.
            self.surplus = self.surplus or data.endswith(b"\r\n\r\n\r\n")
        elif blocks:
            self._overhead = 0
        else:
            # Chunk extensions and trailers without end.
            self._overhead += len(data)
            if self._overhead > self._limit:
                raise BadResponse("chunk extensions or trailers without end")
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)


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
        "_chunks",
        "_left",
        "_limits",
        "_method",
        "complete",
        "head",
        "interims",
        "reusable",
    )

    def __init__(self, method: str, limits: Limits) -> None:
        self._method = method
        self._limits = limits
        self._buffer = b""
        self._chunks: _Chunks | None = None
        self._left = 0
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
        chunks = self._chunks
        assert chunks is not None
        content = chunks.feed(data)
        if chunks.complete:
            self.complete = True
            self._chunks = None
            if chunks.surplus:
                self.reusable = False
        return content

    def _read_head(self, data: bytes) -> bytes:
        """Read heads until the final one; give what follows it."""
        while True:
            end = data.find(_HEAD_END) + 4
            if end < 4 or end > self._limits.head:
                self._wait_for_head(data, end)
                return b""
            head = self._parse(data[:end] if end < len(data) else data)
            old = data[7:8] == b"0"
            data = data[end:]
            if head.status >= 200:
                self.head = head
                self._buffer = b""
                self._frame(head, old)
                return data
            self._add_interim(head)
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
        if data[:8] not in _VERSIONS:
            raise BadResponse("the answer is not HTTP/1.0 or 1.1")
        parser = HttpResponseParser(None)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as error:
            raise BadResponse("101 without having been asked for an upgrade") from error
        except HttpParserError as error:
            raise BadResponse(f"head: {error}") from error
        status = parser.get_status_code()
        text = data.decode("latin-1")
        if "\t" in text:
            # PEP 3333 forbids the tab that RFC 9110, 5.5 allows between words.
            text = text.replace("\t", " ")
        line, _, lines = text.partition("\r\n")
        reason = line[13:]
        fields: Headers = _FIELD.findall(lines)
        if " \r\n" in lines or ":  " in lines:
            fields = [(name, value.strip(" ")) for name, value in fields]
        if not 100 <= status <= 599 or _BAD_REASON.search(reason):
            raise BadResponse(f"status {status} or its reason phrase")
        if len(data) > self._limits.line or len(fields) > self._limits.fields:
            self._check_size(fields)
        return ResponseHead(status, reason, fields)

    def _check_size(self, fields: Headers) -> None:
        limits = self._limits
        longest = max((len(name) + len(value) + 2 for name, value in fields), default=0)
        if len(fields) > limits.fields or longest > limits.line:
            raise BadResponse(f"{len(fields)} header fields, the longest of {longest} bytes")

    def _frame(self, head: ResponseHead, old: bool) -> None:
        """Where the body ends (RFC 9112, 6.3); llhttp has refused conflicting fields.

        :param old: the upstream speaks HTTP/1.0.
        """
        length = coding = None
        options = ""
        kind_of = _FRAMING
        for name, value in head.headers:
            kind = kind_of[name]
            if kind:
                if kind == _LENGTH:
                    length = int(value)
                elif kind == _CODING:
                    coding = value if coding is None else f"{coding}, {value}"
                else:
                    options += "," + value
        self.reusable = _stays_open(options, old)
        if self._method == "HEAD" or head.status in _NO_BODY or length == 0:
            self.complete = True
        elif coding is not None:
            # "gzip, chunked" would reach the client with its coding unnamed; HTTP/1.0 knows
            # no codings, so whoever sends one has made the message up (RFC 9112, 6.1).
            if coding.lower() != "chunked" or old:
                raise BadResponse(f"transfer coding {coding!r}")
            self._chunks, self._left = _Chunks(self._limits.head), _CHUNKS
        else:
            self._left = _UNTIL_EOF if length is None else length


def _stays_open(options: str, old: bool) -> bool:
    """Whether Connection lets the connection serve again (RFC 9112, 9.3)."""
    if not options or options == ",keep-alive":
        return not old or bool(options)
    members = list_members(options)
    return "close" not in members and (not old or "keep-alive" in members)
