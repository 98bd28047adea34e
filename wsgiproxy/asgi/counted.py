"""An answer with whose end something else ends, such as the use of a process."""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.sansio.message import Headers
from wsgiproxy.transport.base import AsyncReply

__all__ = ["CountedReply"]


class CountedReply:
    """A reply that says once that it is over, when it is closed; see :class:`.AsyncReply`.

    :param reply: the answer itself.
    :param at_end: called once.
    """

    def __init__(self, reply: AsyncReply, at_end: Callable[[], None]) -> None:
        self._reply = reply
        self._at_end: Callable[[], None] | None = at_end
        self.head = reply.head
        self.whole = reply.whole
        self.received = reply.received
        self.reused = reply.reused

    @property
    def complete(self) -> bool:
        """As :attr:`.AsyncReply.complete`."""
        return self._reply.complete

    @property
    def trailers(self) -> Headers:
        """As :attr:`.AsyncReply.trailers`."""
        return self._reply.trailers

    def __aiter__(self) -> CountedReply:
        return self

    async def __anext__(self) -> bytes:
        """As :meth:`.AsyncReply.__anext__`."""
        block = await anext(self._reply)
        self.received = self._reply.received
        return block

    def pulse(self, seconds: float) -> None:
        """As :meth:`.AsyncReply.pulse`."""
        self._reply.pulse(seconds)

    def close(self) -> None:
        """As :meth:`.AsyncReply.close`."""
        at_end, self._at_end = self._at_end, None
        self._reply.close()
        if at_end is not None:
            at_end()
