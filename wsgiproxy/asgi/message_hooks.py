"""Hooks of messages: what they are, and what they give."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable

__all__ = ["Hook", "Message", "checked", "closing", "is_larger"]

Message = str | bytes
#: ``async def hook(messages): async for message in messages: yield message``, for one direction.
Hook = Callable[[AsyncIterator[Message]], AsyncIterable[Message]]


def checked(message: object) -> Message:
    """What a hook gives, as a message that both ends can send.

    :raises TypeError: it is neither str nor bytes.
    :raises UnicodeEncodeError: it is no text of Unicode.
    """
    if isinstance(message, str):
        message.encode()
        return message
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"a message of type {type(message).__name__}, neither str nor bytes")


def is_larger(message: Message, limit: int) -> bool:
    """Whether a message has more bytes than that."""
    if len(message) > limit:
        return True
    return isinstance(message, str) and len(message.encode()) > limit


@contextlib.asynccontextmanager
async def closing(messages: AsyncIterable[Message]) -> AsyncIterator[AsyncIterable[Message]]:
    """What a hook gives, closed at the end of the block if it can be."""
    try:
        yield messages
    finally:
        close = getattr(messages, "aclose", None)
        if close is not None:
            await close()
