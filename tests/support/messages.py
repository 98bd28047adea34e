"""HTTP messages as the tests see them: recorded requests, and answers as bytes.

It never touches a socket; the only parser is h11, which the package does not use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

__all__ = ["HeaderList", "RawRequest", "RequestBody", "answer", "chunked_answer", "chunks"]

HeaderList = list[tuple[str, str]]


@dataclass
class RawRequest:
    """One request as an upstream received it; ``body`` is decoded, ``raw_body`` is not."""

    head: bytes
    connection: int = 0
    raw_body: bytes = b""
    body: bytes = b""
    complete: bool = False
    _fields: HeaderList = field(default_factory=list, repr=False)

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def headers(self) -> HeaderList:
        """Name and value of every field, in order and case as received."""
        if not self._fields:
            for line in self.head.split(b"\r\n")[1:]:
                if line:
                    name, _, value = line.decode("latin-1").partition(":")
                    self._fields.append((name, value.strip(" \t")))
        return self._fields

    def values(self, name: str) -> list[str]:
        """The values of all fields called *name*, in order.

        >>> RawRequest(b"GET / HTTP/1.1\\r\\nA: 1\\r\\na: 2\\r\\n\\r\\n").values("A")
        ['1', '2']
        """
        return [value for key, value in self.headers if key.lower() == name.lower()]


class RequestBody:
    """Tells where the body of one request ends, and what is in it.

    :raises h11.RemoteProtocolError: if the head or the body is not well-formed.
    """

    def __init__(self, head: bytes) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self.data = bytearray()
        self.complete = False
        self.feed(head)

    def feed(self, received: bytes) -> None:
        self._parser.receive_data(received)
        while not self.complete:
            event = self._parser.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Data):
                self.data += event.data
            self.complete = isinstance(event, h11.EndOfMessage)

    @property
    def surplus(self) -> bytes:
        """What came after the end of the message."""
        return self._parser.trailing_data[0]


def _head(status: int, reason: str | None, headers: HeaderList, version: str) -> bytes:
    if reason is None:
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    reason: str | None = None,
    version: str = "1.1",
) -> bytes:
    """A complete response; Content-Length is added where there is no framing yet.

    >>> answer(200, [("A", "1")], b"hello")
    b'HTTP/1.1 200 OK\\r\\nA: 1\\r\\nContent-Length: 5\\r\\n\\r\\nhello'
    """
    fields = list(headers)
    framed = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in fields}
    if not framed and status >= 200 and status not in (204, 304):
        fields.append(("Content-Length", str(len(body))))
    return _head(status, reason, fields, version) + body


def chunks(*blocks: bytes, last: bool = True) -> bytes:
    """*blocks* in the chunked transfer coding, without the last chunk if not *last*."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks)
    return coded + (b"0\r\n\r\n" if last else b"")


def chunked_answer(
    *blocks: bytes,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    last: bool = True,
) -> bytes:
    """A response in the chunked transfer coding; cut before the last chunk if not *last*."""
    fields = [*headers, ("Transfer-Encoding", "chunked")]
    return answer(status, fields) + chunks(*blocks, last=last)
