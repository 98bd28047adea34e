"""A request body that can be read from its beginning again, while little of it has been read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from wsgiproxy.sansio.message import BLOCK

__all__ = ["Rewindable"]


class Rewindable:
    """The blocks of a body, for threads or for an event loop.

    A transport reads the first block before it connects, so that one has to be kept.

    :param blocks: an iterator, or an asynchronous one.
    :param limit: bytes that are kept; the first block is, whatever its size.

    >>> body = Rewindable(iter([b"one", b"two"]))
    >>> next(body), body.rewind(), list(body)
    (b'one', True, [b'one', b'two'])
    """

    __slots__ = ("_again", "_blocks", "_is_reading", "_kept", "_limit", "_size")

    def __init__(self, blocks: Any, limit: int = BLOCK) -> None:
        self._blocks = blocks
        self._limit = limit
        self._size = 0
        self._kept: list[bytes] | None = []
        self._again: list[bytes] = []
        # A generator is over when the task that reads from it is cancelled.
        self._is_reading: bool | None = False if isinstance(blocks, AsyncGenerator) else None

    def rewind(self) -> bool:
        """Begin again; False if more has been read than is kept, or an upload is still reading."""
        if self._kept is None or self._is_reading:
            return False
        self._again = self._kept[::-1]
        return True

    def _passed(self, block: bytes) -> bytes:
        kept = self._kept
        if kept is not None:
            self._size += len(block)
            if kept and self._size > self._limit:
                self._kept = None
            else:
                kept.append(block)
        return block

    def __iter__(self) -> Rewindable:
        return self

    def __next__(self) -> bytes:
        """The next block of an iterator."""
        return self._again.pop() if self._again else self._passed(next(self._blocks))

    def __aiter__(self) -> Rewindable:
        return self

    async def __anext__(self) -> bytes:
        """The next block of an asynchronous iterator."""
        if self._again:
            return self._again.pop()
        if self._is_reading is None:
            return self._passed(await anext(self._blocks))
        self._is_reading = True
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            self._is_reading = False
            raise
        self._is_reading = False
        return self._passed(block)
