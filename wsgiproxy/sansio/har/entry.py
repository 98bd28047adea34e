"""One exchange as an HTTP archive has it; the bytes of bodies are those that went on the wire."""

from __future__ import annotations

from typing import NamedTuple

from wsgiproxy.sansio.message import Headers

__all__ = ["Answer", "Body", "Entry", "Message", "Timings"]


class Body(NamedTuple):
    """The body of a message, as Content-Encoding says it is coded, without a transfer coding.

    :param data: its bytes, or their beginning; None if they are not known.
    :param is_cut: there were more bytes than *data*.
    :param size: bytes of the whole body, where *data* does not say it; None if that is not known.

    >>> Body(b"ab").whole_size, Body(b"ab", is_cut=True, size=7).whole_size, Body(None).whole_size
    (2, 7, None)
    """

    data: bytes | None = b""
    is_cut: bool = False
    size: int | None = None

    @property
    def whole_size(self) -> int | None:
        """Bytes of the whole body; None if that is not known."""
        return self.size if self.is_cut or self.data is None else len(self.data)


class Answer(NamedTuple):
    """A response.

    :param status: 100 to 999.
    :param reason: reason phrase, possibly empty.
    :param http_version: such as ``HTTP/1.1``.
    :param headers: field lines in order, values as latin-1 text.
    """

    status: int
    reason: str
    http_version: str
    headers: Headers
    body: Body = Body()


class Timings(NamedTuple):
    """The steps of an exchange in milliseconds; None for what is not known or did not happen.

    :param connect: *ssl* is a part of it.
    """

    blocked: float | None = None
    dns: float | None = None
    connect: float | None = None
    ssl: float | None = None
    send: float | None = None
    wait: float | None = None
    receive: float | None = None


class Message(NamedTuple):
    """One message of a WebSocket.

    :param at: seconds since the epoch.
    :param direction: ``send`` (from the client) or ``receive``.
    :param opcode: 1 for text, in UTF-8, and 2 for bytes (RFC 6455, 5.2).
    """

    at: float
    direction: str
    opcode: int
    data: bytes


class Entry(NamedTuple):
    """One exchange.

    :param started: seconds since the epoch.
    :param method: the method.
    :param url: absolute, with the query.
    :param http_version: such as ``HTTP/1.1``.
    :param headers: field lines of the request in order, values as latin-1 text.
    :param body: of the request.
    :param answer: None if there was none, for the reason *error*.
    :param error: why there is no answer.
    :param server: IP address of the server; empty if it is not known.
    :param connection: an id of the connection.
    :param messages: what a WebSocket has carried.
    :param comment: for readers.

    >>> entry = Entry(0.0, "GET", "http://a.example/", "HTTP/1.1", [])
    >>> entry.answer is None, entry.body.data
    (True, b'')
    """

    started: float
    method: str
    url: str
    http_version: str
    headers: Headers
    body: Body = Body()
    answer: Answer | None = None
    error: str = ""
    timings: Timings = Timings()
    server: str = ""
    connection: str = ""
    messages: tuple[Message, ...] = ()
    comment: str = ""
