"""Reading: one response, from bytes in whatever pieces they arrive."""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from wsgiproxy.errors import BadResponse, UpstreamLost
from wsgiproxy.sansio.fields.authorization import names_login
from wsgiproxy.sansio.fields.framing import End, response_framing
from wsgiproxy.sansio.fields.names import list_members
from wsgiproxy.sansio.grammar import LENGTH_DIGITS, TOKEN, is_token
from wsgiproxy.sansio.h1.chunks import Chunks
from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, ResponseHead

__all__ = ["ResponseReader"]

_BAD_REASON = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@remembered(limit=256)
def _is_reason(text: str) -> bool:
    return not _BAD_REASON.search(text)


_NO_FIELDS: Headers = []
_HEAD_END = b"\r\n\r\n"
#: Switching Protocols (RFC 9110, 15.2.2).
_SWITCH = 101
_VERSIONS = frozenset([b"HTTP/1.0", b"HTTP/1.1"])
# llhttp has checked the lines before this cuts them. That it finds as many fields as there
# are lines, and that their names are tokens, is a second opinion: older ones of llhttp took a
# folded line for a name.
_FIELD = re.compile(r"([^:]+): ?([^\r]*)\r\n")

# A look at a member of an enumeration costs more than one at a name.
_AT_HEAD, _AT_LENGTH, _WITH_CHUNKS, _AT_CLOSE = End

_LENGTH, _CODING, _CONNECTION, _CHALLENGE = 1, 2, 3, 4
_KINDS = {
    "content-length": _LENGTH,
    "transfer-encoding": _CODING,
    "connection": _CONNECTION,
    "www-authenticate": _CHALLENGE,
    "proxy-authenticate": _CHALLENGE,
}


@remembered
def _framing_kind(name: str) -> int:
    if not is_token(name):
        raise BadResponse(f"the name {name!r} of a field is not a token")
    return _KINDS.get(name.lower(), 0)


# RFC 9112, 5.1: a proxy removes the blanks between a name and its colon from a response.
_BLANK = re.compile(rb"\r\n(" + TOKEN.encode() + rb")[ \t]+:")


def _without_blank(line: re.Match[bytes]) -> bytes:
    # What others may have read in another way decides nothing here.
    if line[1].lower() in (b"content-length", b"transfer-encoding", b"connection"):
        raise BadResponse(f"a blank between {line[1]!r} and its colon")
    return b"\r\n" + line[1] + b":"


class ResponseReader:
    """One response, from bytes in whatever pieces they arrive.

    :param method: the request's method; a HEAD has no body in its answer.
    :param limits: bounds of the head.
    :param upgrade: the request asks for another protocol: a 101 is the final head then, and what
        follows it, up to the end of the connection, comes as its body.

    >>> reader = ResponseReader("GET", Limits())
    >>> reader.feed(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nab")
    b'ab'
    >>> reader.head.status, reader.complete, reader.reusable
    (200, True, True)
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_end",
        "_left",
        "_limits",
        "_method",
        "_upgrade",
        "bound",
        "complete",
        "head",
        "interims",
        "raw",
        "reusable",
        "trailers",
    )

    def __init__(self, method: str, limits: Limits, upgrade: bool = False) -> None:
        self._method = method
        self._limits = limits
        self._upgrade = upgrade
        self._buffer = b""
        self._chunks: Chunks | None = None
        self._end = _AT_HEAD
        #: Bytes that are still to come of a body with a length.
        self._left = 0
        #: The final head, None until it is whole.
        self.head: ResponseHead | None = None
        #: The bytes of that head.
        self.raw = b""
        #: The interim heads (1xx) so far.
        self.interims: list[ResponseHead] = []
        #: The fields behind the body, when it is whole.
        self.trailers: Headers = _NO_FIELDS
        #: The message has ended where its framing says.
        self.complete = False
        #: Another request may follow on the connection (RFC 9112, 9.3).
        self.reusable = False
        #: But none of another client: it challenges with a login of the connection.
        self.bound = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the upstream and give those of the body.

        :raises BadResponse: they are no legal response; the connection must be closed.
        """
        if self.head is None:
            data = self._read_head(self._buffer + data if self._buffer else data)
            if self.head is None or not data:
                return b""
        if self.complete:
            # Never a next response (RFC 9112, 6.3): there was one request.
            self.reusable = False
            return b""
        if self._chunks is not None:
            return self._read_chunks(data, self._chunks)
        left = self._left
        return self._read_counted(data, left) if left else data

    def end(self) -> None:
        """The upstream has closed its side.

        :raises UpstreamLost: that was too early (RFC 9112, 8).
        """
        self.reusable = False
        if self.complete:
            return
        if self.head is None or self._end is not _AT_CLOSE:
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

    def _read_chunks(self, data: bytes, chunks: Chunks) -> bytes:
        content = chunks.feed(data)
        if chunks.complete:
            self.complete = True
            self._chunks = None
            self.trailers = chunks.trailers
            if chunks.doubtful:
                self.reusable = False
        return content

    def _read_head(self, data: bytes) -> bytes:
        """Read heads until the final one; give what follows it."""
        while True:
            end = data.find(_HEAD_END) + 4
            if end < 4 or end > self._limits.head:
                self._wait_for_head(data, end)
                return b""
            raw = data[:end] if end < len(data) else data
            head = self._parse(raw)
            old = data[7:8] == b"0"
            data = data[end:]
            if head.status >= 200 or head.status == _SWITCH:
                self.head, self.raw = head, raw
                self._buffer = b""
                if head.status == _SWITCH:
                    self._switch()
                else:
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
            raise BadResponse(f"a head of more than max_head={self._limits.head} bytes")
        # The whole lines that were there before were right.
        new = data.rfind(b"\n", 0, len(self._buffer)) + 1
        ends = data.count(b"\r\n", new)
        if data.count(b"\n", new) != ends or data.count(b"\r", new, len(data) - 1) != ends:
            # The empty line would never come.
            raise BadResponse("a line of the head ends in LF or CR alone")
        self._buffer = data

    def _add_interim(self, head: ResponseHead) -> None:
        self.interims.append(head)
        if len(self.interims) > self._limits.interim:
            raise BadResponse(f"more than {self._limits.interim} interim responses")

    def _parse(self, data: bytes) -> ResponseHead:
        if data[:8] not in _VERSIONS:
            raise BadResponse("the answer is not HTTP/1.0 or 1.1")
        parser = HttpResponseParser(None)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # a 101, at whose end llhttp stops
        except HttpParserError as error:
            mended = _BLANK.sub(_without_blank, data)
            if mended != data:
                return self._parse(mended)
            raise BadResponse(f"head: {error}") from error
        status = parser.get_status_code()
        text = data.decode("latin-1")
        if "\t" in text:
            # PEP 3333 forbids the tab that RFC 9110, 5.5 allows between words.
            text = text.replace("\t", " ")
        line, _, lines = text.partition("\r\n")
        reason = line[13:].strip(" ")
        fields: Headers = _FIELD.findall(lines)
        if len(fields) != lines.count("\n") - 1:
            raise BadResponse("a line of the head is not a field")
        if " \r\n" in lines or ":  " in lines:
            fields = [(name, value.strip(" ")) for name, value in fields]
        # RFC 9110, 15: those above 599 are not valid, and in use all the same (999, 799).
        if not 100 <= status <= 999 or not _is_reason(reason):
            raise BadResponse(f"status {status} or its reason phrase")
        if len(data) > self._limits.line or len(fields) > self._limits.fields:
            self._check_size(len(data), fields)
        return ResponseHead(status, reason, fields)

    def _check_size(self, size: int, fields: Headers) -> None:
        longest = max((len(name) + len(value) + 2 for name, value in fields), default=0)
        excess = self._limits.excess(size, longest, len(fields))
        if excess:
            raise BadResponse(excess)

    def _switch(self) -> None:
        """What follows is another protocol, up to the end of the connection."""
        if not self._upgrade:
            raise BadResponse("101, which was not asked for")
        self._end = _AT_CLOSE

    def _frame(self, head: ResponseHead, old: bool) -> None:
        """Where the body ends (RFC 9112, 6.3); llhttp has refused conflicting fields.

        :param old: the upstream speaks HTTP/1.0.
        """
        length = coding = None
        options = ""
        kind_of = _framing_kind
        for name, value in head.headers:
            kind = kind_of(name)
            if kind:
                if kind == _LENGTH:
                    length = int(value) if len(value) <= LENGTH_DIGITS else _too_large(value)
                elif kind == _CODING:
                    coding = value if coding is None else f"{coding}, {value}"
                elif kind == _CONNECTION:
                    options += "," + value
                else:
                    # On any status: a 200 brings the last token of Negotiate.
                    self.bound = self.bound or names_login(value)
        self._end = end = response_framing(self._method, head.status, length, coding, old)
        self.reusable = _stays_open(options, old)
        if head.status == 204 and (length or coding):
            self.reusable = False  # it announces a body that must not come; who knows
        if end is _AT_LENGTH:
            self._left = length or 0
        elif end is _WITH_CHUNKS:
            self._chunks = Chunks(self._limits.head)
        else:
            self.complete = end is _AT_HEAD


def _too_large(value: str) -> int:
    raise BadResponse(f"Content-Length {value!r}")


def _stays_open(options: str, old: bool) -> bool:
    """Whether Connection lets the connection serve again (RFC 9112, 9.3)."""
    if not options or options == ",keep-alive":
        return not old or bool(options)
    members = list_members(options)
    return "close" not in members and (not old or "keep-alive" in members)
