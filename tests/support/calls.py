"""The calls of a request that give up the interpreter lock, counted on one kept connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.threads.connection import Connection

__all__ = ["counted", "in_thread"]

Result = TypeVar("Result")


class _CountedSocket:
    """A socket that notes what it sends and receives; it has no other calls than these."""

    def __init__(self, sock: socket.socket, calls: list[str]) -> None:
        self._sock = sock
        self._calls = calls
        # CPython holds the lock during getsockopt(2).
        self.getsockopt = sock.getsockopt
        self.shutdown, self.close = sock.shutdown, sock.close

    def send(self, data: bytes, flags: int = 0) -> int:
        self._calls.append("send")
        return self._sock.send(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._calls.append("recv")
        return self._sock.recv(size, flags)


def counted(transport: PooledTransport) -> list[str]:
    """The names of the calls from now on, on the one idle connection of *transport*."""
    calls: list[str] = []
    [[connection]] = transport._pool._idle.values()
    assert isinstance(connection, Connection) and isinstance(connection.sock, socket.socket)
    connection.sock = _CountedSocket(connection.sock, calls)  # type: ignore[assignment]
    poll = connection.poll

    def counted_poll(milliseconds: float) -> list[Any]:
        calls.append("poll")
        return poll(milliseconds)

    connection.poll = counted_poll
    return calls


def in_thread(function: Callable[[], Result]) -> Result:
    """What *function* returns in a thread that is not the first one, or the error it raises."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]
