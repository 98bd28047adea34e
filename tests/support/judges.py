"""Independent judges: what somebody else's parser makes of our bytes.

None of them shares code with the package; llhttp is asked through its own request parser,
which the package does not use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from wsgiref.validate import validator

import h11
import httptools

from tests.support.messages import HeaderList

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["JudgedRequest", "JudgedResponse", "checked"]
__all__ += ["h11_requests", "h11_response", "h11_responses", "llhttp_requests"]

_LIMIT = 1 << 20  # for a head; h11 would refuse more than 16 KiB


class JudgedRequest(NamedTuple):
    """One complete request; names of fields are in lower case."""

    method: str
    target: str
    headers: HeaderList
    body: bytes


@dataclass
class JudgedResponse:
    """One response; ``complete`` is false if it was cut, ``error`` says how."""

    status: int = 0
    reason: str = ""
    headers: HeaderList = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    interim: list[int] = field(default_factory=list)
    raw: bytes = field(default=b"", repr=False)
    error: str = ""

    def values(self, name: str) -> list[str]:
        """The values of all fields called *name*, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def _text(pairs: list[tuple[bytes, bytes]]) -> HeaderList:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]


def h11_requests(raw: bytes) -> list[JudgedRequest]:
    """The requests in *raw*, as h11 reads them when it is the server.

    :raises h11.RemoteProtocolError: at a malformed request.
    :raises ValueError: at an incomplete one.

    >>> [each.target for each in h11_requests(b"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")]
    ['/x']
    """
    found = []
    while raw:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LIMIT)
        parser.receive_data(raw)
        event = parser.next_event()
        if not isinstance(event, h11.Request):
            raise ValueError(f"an incomplete head of a request: {raw[:200]!r}")
        body = bytearray()
        while not isinstance(part := parser.next_event(), h11.EndOfMessage):
            if not isinstance(part, h11.Data):
                raise ValueError(f"an incomplete request body: {raw[-200:]!r}")
            body += part.data
        method, target = event.method.decode("latin-1"), event.target.decode("latin-1")
        found.append(JudgedRequest(method, target, _text(list(event.headers)), bytes(body)))
        raw = parser.trailing_data[0]
    return found


class _Collected:
    """Callbacks of llhttp's request parser."""

    def __init__(self) -> None:
        self.found: list[JudgedRequest] = []
        self.open = False
        self.parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._target, self._body = bytearray(), bytearray()
        self._headers: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self.open = True
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.open = False
        method, target = self.parser.get_method().decode(), self._target.decode("latin-1")
        request = JudgedRequest(method, target, _text(self._headers), bytes(self._body))
        self.found.append(request)


def llhttp_requests(raw: bytes) -> list[JudgedRequest]:
    """The requests in *raw*, as llhttp reads them. It knows only registered methods.

    :raises httptools.HttpParserError: at a malformed request.
    :raises ValueError: at an incomplete one.

    >>> [each.target for each in llhttp_requests(b"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")]
    ['/x']
    """
    collected = _Collected()
    collected.parser.feed_data(raw)
    if collected.open:
        raise ValueError(f"an incomplete request: {raw[-200:]!r}")
    return collected.found


class ResponseReader:
    """Reads one response out of bytes that arrive bit by bit."""

    def __init__(self, method: str = "GET") -> None:
        self.response = JudgedResponse()
        self.done = False
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
        asked = method if method in ("HEAD", "CONNECT") else "GET"
        self._parser.send(h11.Request(method=asked, target="/", headers=[("Host", "a")]))
        self._parser.send(h11.EndOfMessage())

    @property
    def surplus(self) -> bytes:
        return self._parser.trailing_data[0]

    def feed(self, data: bytes) -> bool:
        """Take what arrived, ``b""`` for the end; whether the response has ended."""
        self.response.raw += data
        try:
            self._parser.receive_data(data)
            while not self.done and self._take(self._parser.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self.response.error, self.done = str(error), True
        return self.done

    def _take(self, event: object) -> bool:
        response = self.response
        if isinstance(event, h11.InformationalResponse):
            response.interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            response.status, response.reason = event.status_code, event.reason.decode("latin-1")
            response.headers = _text(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            response.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            response.complete = self.done = True
        else:  # NEED_DATA, PAUSED, ConnectionClosed
            self.done = isinstance(event, h11.ConnectionClosed)
            return False
        return True


def h11_response(raw: bytes, method: str = "GET") -> JudgedResponse:
    """The first response in *raw*, whose end is the end of the connection.

    >>> h11_response(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhell").complete
    False
    """
    reader = ResponseReader(method)
    if not reader.feed(raw):
        reader.feed(b"")
    return reader.response


def h11_responses(raw: bytes, methods: list[str]) -> list[JudgedResponse]:
    """The responses in *raw* to requests with *methods*, as many as there are."""
    found = []
    for method in methods:
        if not raw:
            break
        reader = ResponseReader(method)
        if not reader.feed(raw):
            reader.feed(b"")
        found.append(reader.response)
        raw = reader.surplus if reader.response.complete else b""
    return found


def checked(app: WSGIApplication) -> WSGIApplication:
    """*app*, with wsgiref's validator around it; an AssertionError where it is wrong."""
    return validator(app)
