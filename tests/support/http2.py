"""A client for HTTP/2 by prior knowledge (RFC 9113, 3.3): one request for each connection."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

__all__ = ["HTTP2Response", "http2_exchange"]

_STREAM = 1


@dataclass
class HTTP2Response:
    """One response; ``complete`` is false where the stream was reset, or the connection closed."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    interim: list[list[tuple[str, str]]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False

    def values(self, name: str) -> list[str]:
        """The values of all fields called *name*, in order."""
        return [value for key, value in self.headers if key == name]


def http2_exchange(
    port: int,
    method: str,
    path: str,
    headers: list[tuple[str, str]] | None = None,
    blocks: list[bytes] | None = None,
) -> HTTP2Response:
    """Send a request, with *blocks* for a body, and read its response."""
    config = h2.config.H2Configuration(header_encoding="latin-1")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    pseudo = [(":method", method), (":scheme", "http"), (":path", path)]
    pseudo.append((":authority", "front.example"))
    connection.send_headers(_STREAM, [*pseudo, *(headers or [])], end_stream=blocks is None)
    for number, block in enumerate(blocks or [], 1):
        connection.send_data(_STREAM, block, end_stream=number == len(blocks or []))
    response = HTTP2Response()
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            for event in connection.receive_data(data):
                if _take(event, response, connection):
                    return response
            sock.sendall(connection.data_to_send())
    return response


def _take(
    event: h2.events.Event, response: HTTP2Response, connection: h2.connection.H2Connection
) -> bool:
    """Whether that was the end."""
    if isinstance(event, h2.events.InformationalResponseReceived):
        response.interim.append(_fields(event.headers))
    elif isinstance(event, h2.events.ResponseReceived):
        (_, status), *response.headers = _fields(event.headers)
        response.status = int(status)
    elif isinstance(event, h2.events.DataReceived):
        response.body += event.data
        connection.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
    elif isinstance(event, h2.events.TrailersReceived):
        response.trailers = _fields(event.headers)
    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
        response.complete = isinstance(event, h2.events.StreamEnded)
        return True
    return isinstance(event, h2.events.ConnectionTerminated)


def _fields(headers: object) -> list[tuple[str, str]]:
    assert isinstance(headers, list)
    return [(str(name), str(value)) for name, value in headers]
