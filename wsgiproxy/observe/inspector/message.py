"""One message of a WebSocket, as it is kept."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Message"]


class Message(NamedTuple):
    """One message of a WebSocket.

    :param seconds: since the exchange began.
    :param is_from_client: which way it went.
    :param kind: ``text``, ``binary``, ``ping``, ``pong`` or ``close``.
    :param data: its first bytes.
    :param size: all of its bytes.
    """

    seconds: float
    is_from_client: bool
    kind: str
    data: bytes
    size: int
