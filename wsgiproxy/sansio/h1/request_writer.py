"""Writing: the head of a request, checked as a whole, and the chunks of its body."""

from __future__ import annotations

import re

from wsgiproxy.errors import BadRequest, HeadTooLarge, TargetTooLong
from wsgiproxy.sansio.grammar import FIELD_VALUE, TOKEN
from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.message import Request

__all__ = ["LAST_CHUNK", "chunk", "request_head"]

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
    method, target, headers, length, chunked, _ = request
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


def chunk(block: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1); *block* is not empty."""
    return b"%x\r\n%b\r\n" % (len(block), block)


LAST_CHUNK = b"0\r\n\r\n"
