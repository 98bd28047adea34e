"""Heads of requests as they are kept: made when they are looked at, since most never are."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple, Protocol

from wsgiproxy.sansio.message import Headers, ResponseHead

__all__ = ["FIELD", "AnswerSource", "Known", "Packed", "RequestHead", "Source"]

#: Bytes of memory for a field or a message without its texts, measured.
FIELD = 150


class RequestHead(NamedTuple):
    """The head of a request at the client's side.

    :param method: token.
    :param target: the request-target.
    :param version: such as ``HTTP/1.1``.
    :param headers: field lines, Host included.
    """

    method: str
    target: str
    version: str
    headers: Headers


class Source(Protocol):
    """What a head is made of when it is looked at: most exchanges are kept and never seen."""

    @property
    def size(self) -> int:
        """Bytes of its texts, about."""

    def request(self) -> RequestHead:
        """The head."""

    def client(self) -> str:
        """The address of the peer; empty where the server does not know it."""


class AnswerSource(Protocol):
    """The same for the head of an answer.

    :ivar fields: its field lines, as the application has given them.
    """

    fields: Packed

    def answer(self) -> ResponseHead:
        """The head."""


class Known(NamedTuple):
    """A head that is made already, and the address of the peer; see :class:`Source`."""

    head: RequestHead
    address: str

    @property
    def size(self) -> int:
        """As :attr:`Source.size`."""
        return len(self.head.target) + Packed(self.head.headers).size

    def request(self) -> RequestHead:
        """As :meth:`Source.request`."""
        return self.head

    def client(self) -> str:
        """As :meth:`Source.client`."""
        return self.address


class Packed:
    """Field lines as one text, while they are not looked at.

    Some dozens of small objects that are kept for each exchange would cost more than all else: the
    next request could not have their memory, which is still in the processor's cache.

    :param headers: pairs of text or of bytes; they may be whatever an application gives.

    >>> Packed([("A", "b"), ("C", "d")]).pairs()
    [('A', 'b'), ('C', 'd')]
    """

    __slots__ = ("_count", "_other", "_text", "size")

    def __init__(self, headers: Any) -> None:
        self._other: Any = None
        self._count = 0
        self._text: Any = ""
        #: Bytes of memory, about, with those of its fields when they are looked at.
        self.size = 0
        # Of an iterator there would be nothing left for the server.
        if not headers or not isinstance(headers, (list, tuple)):
            return
        self._count = len(headers)
        try:
            between: Any = b"\0" if type(headers[0][0]) is bytes else "\0"
            self._text = text = between.join(chain.from_iterable(headers))
            self.size = FIELD * self._count + 2 * len(text)
        except (TypeError, IndexError):  # no field lines, which the server refuses
            self._other = list(headers)
            self.size = FIELD * self._count

    def pairs(self) -> list[Any]:
        """The field lines."""
        if self._other is not None or not self._count:
            return self._other or []
        parts = self._text.split(b"\0" if isinstance(self._text, bytes) else "\0")
        return list(zip(parts[::2], parts[1::2], strict=False))
