"""A raw-socket upstream that records every byte and answers with scripted ones.

It trusts no HTTP library to answer for it, and waits for conditions, never for time.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tests.support.connection import Connection, Ended, Script
from tests.support.messages import RawRequest, answer, chunked_answer, chunks

__all__ = [
    "Behaviour",
    "Connection",
    "Ended",
    "One",
    "RawRequest",
    "RawUpstream",
    "Script",
    "answer",
    "chunked_answer",
    "chunks",
]

#: A fixed answer to every request, a script for every connection, a callable that gets the
#: connection; or a list of those, one for each connection in turn (the last one stays).
Behaviour: TypeAlias = "One | Sequence[One]"
One: TypeAlias = "bytes | Script | Callable[[Connection], None]"


class RawUpstream:
    """A server in threads, on 127.0.0.1 or on a Unix socket, with TLS if given a context.

    ``behaviour`` may be assigned at any time and counts from the next connection on. A
    script that has run out leaves its connection open and goes on recording.

    >>> with RawUpstream(answer(200, body=b"hello")) as upstream:
    ...     with socket.create_connection(("127.0.0.1", upstream.port)) as client:
    ...         client.sendall(b"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    ...         line = client.makefile("rb").readline()
    ...     upstream.wait_closed(5), upstream.requests[0].target, line
    (True, '/x', b'HTTP/1.1 200 OK\\r\\n')
    """

    def __init__(
        self,
        behaviour: Behaviour = b"",
        *,
        unix: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.behaviour: Behaviour = behaviour or answer()
        self.tls = tls
        #: One for every connection accepted, in order.
        self.accepted: list[Connection] = []
        #: One for every request head received, in order; see ``RawRequest.complete``.
        self.requests: list[RawRequest] = []
        #: What the behaviours and the judges in them complained of.
        self.errors: list[Exception] = []
        self.changed = threading.Condition()
        self.stopping = False
        self._folder = tempfile.TemporaryDirectory() if unix else None
        self._listener = self._listen()
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = os.pipe()
        self._watched: dict[int, Connection] = {}
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    # -- where it is ---------------------------------------------------------------

    def _listen(self) -> socket.socket:
        if self._folder is None:
            return socket.create_server(("127.0.0.1", 0), backlog=128)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(128)
        return listener

    @property
    def path(self) -> str:
        """The Unix socket's path."""
        assert self._folder is not None, "not a Unix socket"
        return os.path.join(self._folder.name, "upstream.sock")

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address as an ``href`` of the proxy, without a path."""
        if self._folder is not None:
            return f"unix:{self.path}"
        return f"{'https' if self.tls else 'http'}://{self.netloc}"

    # -- what happened -------------------------------------------------------------

    @property
    def connections(self) -> int:
        return len(self.accepted)

    @property
    def received(self) -> bytes:
        """All bytes of all connections, one connection after the other."""
        return b"".join(bytes(connection.received) for connection in self.accepted)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 5) -> bool:
        """Wait for *condition*, which is asked again whenever something was received."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def wait_for_requests(self, count: int, timeout: float = 5) -> list[RawRequest]:
        """The requests, as soon as there are *count*; AssertionError after *timeout*."""
        arrived = self.wait_until(lambda: len(self.requests) >= count, timeout)
        assert arrived, f"{len(self.requests)} requests of {count} after {timeout} s"
        return self.requests

    def wait_closed(self, timeout: float = 5) -> bool:
        """Whether all connections that ever were are ended within *timeout*."""
        return self.wait_until(lambda: all(each.ended for each in self.accepted), timeout)

    # -- running -------------------------------------------------------------------

    def __enter__(self) -> RawUpstream:
        self._epoll.register(self._wake_read, select.EPOLLIN)
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping = True
        os.write(self._wake_write, b".")
        self._thread.join(10)
        for connection in list(self.accepted):
            connection.stop()
        self._epoll.close()
        self._listener.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._folder is not None:
            self._folder.cleanup()

    def _run(self) -> None:
        while not self.stopping:
            for number, _ in self._epoll.poll():
                if number == self._listener.fileno():
                    self._accept()
                elif number != self._wake_read:
                    self._peer_ended(number)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            connection = Connection(self, sock, len(self.accepted))
            with self.changed:
                self.accepted.append(connection)
                self._watched[sock.fileno()] = connection
                self.changed.notify_all()
            # The kernel tells when the client has ended, whatever the script waits for.
            self._epoll.register(sock.fileno(), select.EPOLLRDHUP | select.EPOLLET)
            connection.start(self._script_for(connection))

    def _script_for(self, connection: Connection) -> One:
        behaviour = self.behaviour
        if isinstance(behaviour, bytes) or callable(behaviour):
            return behaviour
        if isinstance(behaviour[0], tuple):  # steps are tuples, scripts are lists
            return behaviour  # type: ignore[return-value]
        return behaviour[min(connection.number, len(behaviour) - 1)]

    def _peer_ended(self, number: int) -> None:
        with self.changed:
            connection = self._watched.get(number)
            if connection is not None:
                connection.ended_by_peer = True
                self.changed.notify_all()

    def forget(self, sock: socket.socket) -> None:
        """Stop watching a socket that is about to be closed."""
        with self.changed:
            if self._watched.pop(sock.fileno(), None) is not None:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(sock.fileno())
