"""One accepted connection of a raw upstream, and the steps that a script can take on it.

It knows nothing of the listener but where to record; see :mod:`tests.support.upstream`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.support.messages import RawRequest, RequestBody

if TYPE_CHECKING:
    from tests.support.upstream import RawUpstream

__all__ = ["Connection", "Ended", "Script"]

#: The steps are the public methods of `Connection` that `STEPS` names, with arguments:
#: ``[("read",), ("send", b"HTTP/1.1 200 OK\r\n"), ("reset",)]``.
Script: TypeAlias = "Sequence[tuple[Any, ...]]"

READING = ("read", "read_head", "read_body", "wait_ended")
WRITING = ("send", "send_slowly", "send_until_ended")
ENDING = ("close", "reset", "shutdown_write")
STEPS = frozenset([*READING, *WRITING, *ENDING, "wait", "signal"])
_STEP_LIMIT = 30  # seconds for one step: a test that hangs should say where
_SLICE = 0.05  # how soon a waiting step notices that the upstream stops


class Ended(Exception):
    """The client has ended the connection, or the upstream is stopping."""


class Connection:
    """One connection: what it received, and what can be done with it."""

    def __init__(self, upstream: RawUpstream, sock: socket.socket, number: int) -> None:
        self.upstream = upstream
        self.number = number
        self.received = bytearray()
        #: Whether the client has closed or reset its side.
        self.ended_by_peer = False
        self.closed = False
        self._sock = sock
        self._buffer = bytearray()
        self._thread: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        return self.closed or self.ended_by_peer

    # -- life ----------------------------------------------------------------------

    def start(self, behaviour: bytes | Script | Callable[[Connection], None]) -> None:
        self._thread = threading.Thread(
            target=self._run, args=[behaviour], name=f"upstream-{self.number}", daemon=True
        )
        self._thread.start()

    def _run(self, behaviour: bytes | Script | Callable[[Connection], None]) -> None:
        try:
            if self.upstream.tls is not None:
                self._sock.settimeout(_STEP_LIMIT)
                self._sock = self.upstream.tls.wrap_socket(self._sock, server_side=True)
            self.follow(behaviour)
        except (Ended, OSError):
            pass
        except Exception as error:  # a test asks for upstream.errors; nobody else could
            self.upstream.errors.append(error)
        finally:
            self.close()

    def follow(self, behaviour: bytes | Script | Callable[[Connection], None]) -> None:
        """Behave so until the connection ends."""
        if isinstance(behaviour, bytes):
            while True:
                self.read()
                self.send(behaviour)
        elif callable(behaviour):
            behaviour(self)
        else:
            self.play(behaviour)
            self.wait_ended()

    def play(self, script: Script) -> None:
        """Take the steps of *script*, and leave the connection as they leave it."""
        for name, *arguments in script:
            assert name in STEPS, f"no step {name!r}; there are {sorted(STEPS)}"
            getattr(self, name)(*arguments)
            if self.closed:
                raise Ended

    def stop(self) -> None:
        """Called by the upstream when it stops."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(10)

    # -- steps: reading ------------------------------------------------------------

    def _receive(self) -> None:
        """Wait for bytes; Ended at the end of them."""
        deadline = time.monotonic() + _STEP_LIMIT
        pending = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        while not pending and not select.select([self._sock], [], [], _SLICE)[0]:
            self._check_alive(deadline)
        with self._noticing():
            data = self._sock.recv(1 << 18)
            if not data:
                raise ConnectionAbortedError("the client has ended")
        with self.upstream.changed:
            self.received += data
            self._buffer += data
            self.upstream.changed.notify_all()

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        """We may see the client's end before the upstream's own watch does."""
        try:
            yield
        except ConnectionError as error:
            with self.upstream.changed:
                self.ended_by_peer = True
                self.upstream.changed.notify_all()
            raise Ended from error

    def _check_alive(self, deadline: float) -> None:
        if self.upstream.stopping:
            raise Ended
        if time.monotonic() > deadline:
            raise TimeoutError(f"a step of connection {self.number} took {_STEP_LIMIT} s")

    def _record(self, request: RawRequest) -> RawRequest:
        with self.upstream.changed:
            self.upstream.requests.append(request)
            self.upstream.changed.notify_all()
        return request

    def read_head(self) -> RawRequest:
        """Read a request up to the empty line, and record it."""
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        end = self._buffer.index(b"\r\n\r\n") + 4
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        return self._record(RawRequest(head, self.number))

    def read_body(self, length: int) -> bytes:
        """Read *length* raw bytes."""
        while len(self._buffer) < length:
            self._receive()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def read(self) -> RawRequest:
        """Read one request with its body, and record it; an error if it is malformed."""
        request = self.read_head()
        body = RequestBody(request.head)
        raw = bytearray()
        while not body.complete:
            if not self._buffer:
                self._receive()
            raw += self._buffer
            body.feed(bytes(self._buffer))
            self._buffer.clear()
        self._buffer[:0] = surplus = body.surplus
        with self.upstream.changed:
            request.raw_body = bytes(raw[: len(raw) - len(surplus)])
            request.body = bytes(body.data)
            request.complete = True
            self.upstream.changed.notify_all()
        return request

    def wait_ended(self) -> None:
        """Go on recording until the client ends the connection."""
        while True:
            self._buffer.clear()
            self._receive()

    # -- steps: writing ------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self._sock.settimeout(_STEP_LIMIT)
        with self._noticing():
            self._sock.sendall(data)

    def send_slowly(self, data: bytes, interval: float) -> None:
        """One byte every *interval* seconds: the slowness is what is tested."""
        for position in range(len(data)):
            self.send(data[position : position + 1])
            if self.upstream.wait_until(lambda: self.ended_by_peer, interval):
                raise Ended

    def send_until_ended(self, block: bytes, limit: int = 1 << 28) -> None:
        """*block* again and again, until the client ends the connection."""
        for _ in range(0, limit, len(block)):
            self.send(block)
        raise AssertionError(f"the client took {limit} bytes and did not end")

    def wait(self, event: threading.Event) -> None:
        """Wait for the test."""
        deadline = time.monotonic() + _STEP_LIMIT
        while not event.wait(_SLICE):
            self._check_alive(deadline)

    def signal(self, event: threading.Event) -> None:
        """Tell the test."""
        event.set()

    # -- steps: ending -------------------------------------------------------------

    def close(self) -> None:
        """End in order (FIN), or by reset if there are unread bytes: so the kernel does it."""
        if self.closed:
            return
        self.upstream.forget(self._sock)
        self._sock.close()
        with self.upstream.changed:
            self.closed = True
            self.upstream.changed.notify_all()

    def reset(self) -> None:
        """End by RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def shutdown_write(self) -> None:
        """End our side (FIN) and go on reading."""
        self._sock.shutdown(socket.SHUT_WR)
