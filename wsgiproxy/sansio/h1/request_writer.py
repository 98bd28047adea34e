"""Writing: the head of a request, checked as a whole, and the chunks of its body."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wsgiproxy.errors import BadRequest, HeadTooLarge, TargetTooLong
from wsgiproxy.sansio.grammar import FIELD_VALUE, TOKEN
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk
from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.message import Request
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE

__all__ = ["BodyWriter", "is_replayable", "request_head"]

_HEAD = re.compile(rf"{TOKEN} [!-~]+ HTTP/1\.1\r\n(?:{TOKEN}:{FIELD_VALUE}\r\n)+\r\n")
#: RFC 9110, 8.6: a server expects a length with these methods, even for no content.
_WITH_CONTENT = frozenset(["POST", "PUT", "PATCH"])


def request_head(request: Request, limits: Limits) -> bytes:
    """The head of a request, checked as a whole (RFC 9112, sections 2 to 6).

    :raises BadRequest: it would not be exactly one well-formed head.
    :raises HeadTooLarge: it exceeds a limit; TargetTooLong, if the target does.

    >>> request_head(Request("POST", "/", [("Host", "a")]), Limits())
    b'POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 0\\r\\n\\r\\n'
    """
    method, target, headers, length, chunked, _, upgrade = request
    lines = [f"{name}: {value}" for name, value in headers]
    if upgrade:
        lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"]
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
    size = len(text)
    if size > limits.line or size > limits.head or len(lines) > limits.fields:
        _check_size(target, lines, size, limits)
    return text.encode("latin-1")


def _check_size(target: str, lines: list[str], size: int, limits: Limits) -> None:
    if len(target) > limits.line:
        raise TargetTooLong(f"a request-target of {len(target)} bytes, over {limits.line}")
    excess = limits.excess(size, max(map(len, lines)), len(lines))
    if excess:
        raise HeadTooLarge(excess)


class BodyWriter:
    """The body of a request as it goes on the wire: as many bytes as the head announces.

    :param request: what says whether it is chunked, or how long it is.
    :ivar complete: nothing follows what was given last.

    >>> writer = BodyWriter(Request("PUT", "/", [], chunked=True))
    >>> writer.frame(b"hello"), writer.frame(b""), writer.complete
    (b'5\\r\\nhello\\r\\n', b'0\\r\\n\\r\\n', True)
    """

    __slots__ = ("_held", "_left", "_length", "complete")

    def __init__(self, request: Request) -> None:
        self._length = None if request.chunked else request.content_length or 0
        self._left = self._length or 0
        self._held = b""
        self.complete = False

    def first(self, blocks: Iterator[bytes]) -> bytes:
        """The bytes to send for the first of *blocks*, which are not empty.

        :raises BadRequest: as :meth:`frame`.
        """
        data = b""
        while not data and not self.complete:
            data = self.frame(next(blocks, b""))
        return data

    def frame(self, block: bytes) -> bytes:
        """The bytes to send for the next block; an empty block is the end of the body.

        The last block of a body with a length is held until the end. Sent before, it would make
        the request complete at the upstream, though it is refused here.

        :raises BadRequest: the body is shorter or longer than its length (RFC 9112, 8).
        """
        if self._length is None:
            self.complete = not block
            return chunk(block) if block else LAST_CHUNK
        self._left -= len(block)
        if self._left < 0:
            raise BadRequest(f"the request body is longer than its length of {self._length}")
        if block and self._left:
            return block
        if block:
            self._held = block
            return b""
        if self._left:
            raise BadRequest(f"the request body ended {self._left} bytes short of {self._length}")
        self.complete = True
        return self._held


def is_replayable(method: str, body: BodyWriter | None) -> bool:
    """Whether a request may go out a second time on another connection (RFC 9110, 9.2.2).

    :param body: its body, of which the first part is framed; None if it has none. What is still
        to be read could not be sent again.

    >>> is_replayable("PUT", None), is_replayable("POST", None)
    (True, False)
    """
    return method in IDEMPOTENT if body is None else body.complete and method in SAFE
