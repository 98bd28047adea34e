"""A WebSocket at the site that says again what it is told (RFC 6455, by wsproto)."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.utilities import generate_accept_token

__all__ = ["SERVER_CLOSES", "echo"]

#: What the client says to be left, and the code that it is left with.
SERVER_CLOSES = ("leave me", 4001)


def echo(sock: socket.socket, headers: Mapping[str, str]) -> None:
    """Answer the handshake, and everything until one of both closes.

    :param headers: of the request, with names in lower case.
    """
    accept = generate_accept_token(headers["sec-websocket-key"].encode()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    sock.sendall("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
    connection = Connection(ConnectionType.SERVER)
    while data := sock.recv(1 << 16):
        connection.receive_data(data)
        for event in connection.events():
            answer = _answer(event)
            if answer is not None:
                sock.sendall(connection.send(answer))
            if isinstance(event, CloseConnection):
                return


def _answer(event: Event) -> Event | None:
    words, code = SERVER_CLOSES
    if isinstance(event, TextMessage) and event.data == words:
        return CloseConnection(code=code, reason="as you say")
    if isinstance(event, TextMessage):
        return TextMessage(event.data, message_finished=event.message_finished)
    if isinstance(event, BytesMessage):
        return Message(bytes(event.data), message_finished=event.message_finished)
    if isinstance(event, (Ping, CloseConnection)):
        return event.response()
    return None
