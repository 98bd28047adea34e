"""What every transport has: its interface, and its limits in time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from wsgiproxy.sansio.h1.limits import Timeouts
from wsgiproxy.sansio.message import Headers, Origin, Request, ResponseHead

__all__ = [
    "AsyncCall",
    "AsyncReply",
    "AsyncTransport",
    "Call",
    "Reply",
    "SwitchedReply",
    "Timeouts",
    "Transport",
    "Watch",
]


class Watch(Protocol):
    """What looks at a request while it is sent."""

    def connect(self) -> None:
        """A new connection stands; not called where a kept one serves."""

    def send(self, head: bytes) -> None:
        """The head of the request is about to be sent, with these bytes."""


class Call(NamedTuple):
    """What one request wants besides being sent.

    :param timeouts: its own limits in time; None for those of the transport.
    :param abandoned: called during waits; true when the client has left.
    :param on_interim: called with the head of each interim response (1xx).
    :param watch: looks at the request; None for nothing.
    """

    timeouts: Timeouts | None = None
    abandoned: Callable[[], bool] | None = None
    on_interim: Callable[[ResponseHead], None] | None = None
    watch: Watch | None = None


class Reply(Protocol):
    """One response.

    :ivar head: status, reason and field lines as the upstream sent them.
    :ivar whole: the whole body, if it has arrived already; else None, and iterate.
    :ivar received: bytes of the body so far.
    :ivar reused: whether the connection had served before.
    """

    head: ResponseHead
    whole: bytes | None
    received: int
    reused: bool

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes:
        """The next block, as it arrives.

        :raises ProxyError: the body breaks off, or the upstream is silent for too long.
        """

    def pulse(self, seconds: float = 0.5) -> None:
        """Give empty blocks while the upstream is silent (PEP 3333: nothing yet), if it can.

        :param seconds: of silence before one comes, from the next wait on; one may come earlier.
        """

    def close(self) -> None:
        """Give up the rest of the body; at any time, and more than once."""


class SwitchedReply(Reply, Protocol):
    """The answer 101 to a request that asked for another protocol (RFC 9110, 15.2.2)."""

    def detach(self) -> tuple[socket.socket, bytes]:
        """The connection, which is the caller's to close, and what has come behind the head."""


class Transport(Protocol):
    """Sends one request and begins its answer. Any status is an answer."""

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Send *request* to *origin*.

        :param body: blocks of the body, read as they are sent; None for none.
        :param call: its own limits in time, and what is called meanwhile; None for neither.
        :raises ProxyError: there is no answer.
        """


class AsyncCall(NamedTuple):
    """What one request in an event loop wants besides being sent.

    :param timeouts: its own limits in time; None for those of the transport.
    :param abandoned: awaited while the upstream is silent; it returns when the client has left.
    :param on_interim: awaited with the head of each interim response (1xx).
    :param watch: looks at the request; None for nothing.
    """

    timeouts: Timeouts | None = None
    abandoned: Callable[[], Awaitable[None]] | None = None
    on_interim: Callable[[ResponseHead], Awaitable[None]] | None = None
    watch: Watch | None = None


class AsyncReply(Protocol):
    """One response, in an event loop; its attributes are those of :class:`.Reply`."""

    head: ResponseHead
    whole: bytes | None
    received: int
    reused: bool

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""

    @property
    def trailers(self) -> Headers:
        """The fields behind the body, when it is whole (RFC 9110, 6.5)."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes:
        """The next block, as it arrives.

        :raises ProxyError: the body breaks off, or the upstream is silent for too long.
        """

    def pulse(self, seconds: float) -> None:
        """Give empty blocks while the upstream is silent, if it can.

        :param seconds: of silence before one comes, from the next wait on; one may come earlier.
        """

    def close(self) -> None:
        """Give up the rest of the body; at any time, and more than once."""


class AsyncTransport(Protocol):
    """Sends one request and begins its answer, in an event loop. Any status is an answer."""

    async def send(
        self,
        origin: Origin,
        request: Request,
        body: AsyncIterator[bytes] | None = None,
        call: AsyncCall | None = None,
    ) -> AsyncReply:
        """Send *request* to *origin*.

        :param body: blocks of the body, read as they are sent; None for none.
        :param call: its own limits in time, and what is awaited meanwhile; None for neither.
        :raises ProxyError: there is no answer.
        """
