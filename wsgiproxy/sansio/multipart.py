"""The parts of a ``multipart/form-data`` body (RFC 7578), for those who look at it.

It takes what browsers and libraries send, and repairs nothing: what is no such body has no parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Part", "boundary_of", "parts"]

_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="((?:[^"\\]|\\.)*)"|[;\s]name=([^\s;"]+)', re.IGNORECASE)
_FILE = re.compile(rb'[;\s]filename\*?=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
# Bytes of the head of one part.
_HEAD = 16384


class Part(NamedTuple):
    """One part.

    :param name: of the field.
    :param file: the name of the file; None for a field without one.
    :param start: where its content begins, in bytes.
    :param end: where it ends.
    """

    name: str
    file: str | None
    start: int
    end: int


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names; empty if it is no form in parts.

    >>> boundary_of('multipart/form-data; boundary="a b"'), boundary_of("text/plain; boundary=a")
    (b'a b', b'')
    """
    match = _BOUNDARY.search(content_type)
    if match is None or content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return b""
    return (match[1] or match[2]).encode("latin-1", "replace")


def parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    r"""The parts of a body, or of its beginning: the last one may be cut.

    >>> body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    >>> [(part.name, body[part.start : part.end]) for part in parts(body, b"x")]
    [('a', b'1')]
    """
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    begin = None
    for match in line.finditer(body):
        if begin is not None:
            yield from _part(body, begin, match.start())
        begin = match.end()
        if match[1]:
            return
    if begin is not None:
        yield from _part(body, begin, len(body))


def _part(body: bytes, begin: int, end: int) -> Iterator[Part]:
    """The part between two boundaries; none if it has no head."""
    split = _HEAD_END.search(body, begin, min(end, begin + _HEAD))
    if split is not None:
        found = _DISPOSITION.search(body[begin : split.start()])
        head = found[0] if found else b""
        name = _text(_NAME.search(head))
        if name is not None:
            yield Part(name, _text(_FILE.search(head)), split.end(), max(end, split.end()))


def _text(match: re.Match[bytes] | None) -> str | None:
    if match is None:
        return None
    value = match[2] if match[1] is None else match[1]
    return value.decode("utf-8", "replace")
