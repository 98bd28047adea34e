"""An answer with whose end something else ends, such as the use of a process or of an upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgiproxy.sansio.message import Headers

__all__ = ["CountedReply"]


class CountedReply:
    """A reply of either world that says once that it is over, when it is closed.

    :param reply: the answer itself.
    :param at_end: called once.
    """

    def __init__(self, reply: Any, at_end: Callable[[], None]) -> None:
        self._reply = reply
        self._at_end: Callable[[], None] | None = at_end
        self.head = reply.head
        self.whole: bytes | None = reply.whole
        self.reused: bool = reply.reused

    @property
    def is_open(self) -> bool:
        """Whether it is still to be closed."""
        return self._at_end is not None

    @property
    def received(self) -> int:
        """As :attr:`.Reply.received`."""
        count: int = self._reply.received
        return count

    @property
    def complete(self) -> bool:
        """As :attr:`.Reply.complete`."""
        return bool(self._reply.complete)

    @property
    def trailers(self) -> Headers:
        """As :attr:`.AsyncReply.trailers`."""
        found: Headers = self._reply.trailers
        return found

    def __iter__(self) -> CountedReply:
        return self

    def __next__(self) -> bytes:
        """As :meth:`.Reply.__next__`."""
        return next(self._reply)  # type: ignore[no-any-return]

    def __aiter__(self) -> CountedReply:
        return self

    def __anext__(self) -> Any:
        """As :meth:`.AsyncReply.__anext__`."""
        return self._reply.__anext__()

    def pulse(self, seconds: float = 0.5) -> None:
        """As :meth:`.Reply.pulse`."""
        self._reply.pulse(seconds)

    def __getattr__(self, name: str) -> Any:
        # detach(), where the reply has it: the connection is the caller's, and the use goes on.
        return getattr(self._reply, name)

    def close(self) -> None:
        """As :meth:`.Reply.close`."""
        at_end, self._at_end = self._at_end, None
        try:
            self._reply.close()
        finally:
            if at_end is not None:
                at_end()
