"""A client that sends exactly the bytes it is given and shows exactly those it gets.

It repairs nothing and follows nothing; h11 tells where a response ends.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct

from tests.support.judges import JudgedResponse, ResponseReader

__all__ = ["RawClient", "raw_exchange", "request_bytes"]


def request_bytes(
    line: str,
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    *,
    host: str = "front.example",
    length: bool = True,
) -> bytes:
    """A request; Host and, for a body without framing, Content-Length are added.

    >>> request_bytes("GET /x", [("A", "1")])
    b'GET /x HTTP/1.1\\r\\nHost: front.example\\r\\nA: 1\\r\\n\\r\\n'
    """
    fields = [("Host", host), *(headers or [])]
    framed = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in fields}
    if body and length and not framed:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class RawClient:
    """One connection to a front server, from *source* if that is given."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", timeout: float = 10, source: str = ""
    ) -> None:
        self._sock = socket.create_connection((host, port), timeout, (source, 0))
        #: All bytes that were received.
        self.received = b""
        self._unread = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def _receive(self) -> bytes:
        data = self._sock.recv(1 << 18)
        self.received += data
        return data

    def read_until(self, wanted: bytes) -> bytes:
        """Everything up to the first *wanted*; EOFError if the server ends before it."""
        while wanted not in self._unread:
            data = self._receive()
            if not data:
                raise EOFError(f"{wanted!r} is not in {self._unread!r}")
            self._unread += data
        end = self._unread.index(wanted) + len(wanted)
        found, self._unread = self._unread[:end], self._unread[end:]
        return found

    def response(self, method: str = "GET") -> JudgedResponse:
        """Read one response, to its end or to the end of the connection."""
        reader = ResponseReader(method)
        done = bool(self._unread) and reader.feed(self._unread)
        while not done:
            try:
                done = reader.feed(data := self._receive()) or not data
            except TimeoutError:
                reader.response.error = "timeout"
                break
            except ConnectionError as error:
                reader.response.error = reader.response.error or str(error)
                break
        self._unread = reader.surplus
        return reader.response

    def closed_by_server(self) -> bool:
        """Read to the end; whether it came before the time limit."""
        try:
            while self._receive():
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def silent_for(self, seconds: float) -> bool:
        """Whether the server sends nothing, and does not end, for so long."""
        return not select.select([self._sock], [], [], seconds)[0]

    def shutdown_write(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        """Go away as a killed client does, by RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def raw_exchange(
    port: int, request: bytes, *, host: str = "127.0.0.1", timeout: float = 10, source: str = ""
) -> JudgedResponse:
    """Send the bytes of one request on a connection of its own, and read the response.

    ``complete`` is false if the message was cut, or did not end before *timeout*; then
    ``error`` says why.
    """
    method = request.split(b" ", 1)[0].decode("latin-1")
    with RawClient(port, host=host, timeout=timeout, source=source) as client:
        # A server may answer, and close, before it has read all.
        with contextlib.suppress(ConnectionError):
            client.send(request)
        return client.response(method)
