"""A service of this machine that no page may reach, and who has reached it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.forward.pages import PICTURE

__all__ = ["Canary", "canary"]

_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Type: image/gif\r\nContent-Length: %d\r\n\r\n%s" % (
    len(PICTURE),
    PICTURE,
)


class Canary:
    """One port at 127.0.0.1, and at ::1 where there is IPv6.

    :ivar reached: what it was sent first, once for each connection.
    """

    def __init__(self) -> None:
        self.reached: list[bytes] = []
        self._listeners = [socket.create_server(("127.0.0.1", 0))]
        self.port = int(self._listeners[0].getsockname()[1])
        with contextlib.suppress(OSError):
            self._listeners.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        self._threads = [threading.Thread(target=self._serve, args=[s]) for s in self._listeners]

    def __enter__(self) -> Canary:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for listener in self._listeners:
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the end
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self.reached.append(b"")
                self.reached[-1] = connection.recv(1 << 16)
                connection.sendall(_ANSWER)


@contextlib.contextmanager
def canary() -> Iterator[Canary]:
    """A running one."""
    with Canary() as service:
        yield service
