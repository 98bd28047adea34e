"""Heads of requests as they are kept: made when they are looked at, since most never are."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

from wsgiproxy.sansio.message import Headers, ResponseHead

__all__ = ["FIELD", "AnswerSource", "Known", "RequestHead", "Source", "size_of"]

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

    fields: Sequence[Any]

    def answer(self) -> ResponseHead:
        """The head."""


class Known(NamedTuple):
    """A head that is made already, and the address of the peer; see :class:`Source`."""

    head: RequestHead
    address: str

    @property
    def size(self) -> int:
        """As :attr:`Source.size`."""
        return len(self.head.target) + size_of(self.head.headers)

    def request(self) -> RequestHead:
        """As :meth:`Source.request`."""
        return self.head

    def client(self) -> str:
        """As :meth:`Source.client`."""
        return self.address


def size_of(headers: Sequence[Any]) -> int:
    """Bytes of memory for field lines, about; they may be whatever an application gives.

    >>> size_of([("A", "b")]) > size_of([])
    True
    """
    size = FIELD * len(headers)
    for empty in (b"", ""):  # no loop over fields: it is asked for each exchange
        with contextlib.suppress(TypeError):
            joined: Any = empty.join(chain.from_iterable(headers))
            return size + len(joined)
    return size
