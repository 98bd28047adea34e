"""One connection of uvicorn: what its own class leaves out, or would let pass."""

from __future__ import annotations

import asyncio
import sys
import weakref
from time import monotonic

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wsgiproxy.cli.asgi_edge import current_date
from wsgiproxy.cli.signals import is_ending
from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.target import absolute_form

__all__ = ["Protocol"]

# Seconds of silence in a head, in a body, and between two requests.
_SILENCE = 75.0
# Bytes of a head; llhttp has no limit of its own. waitress has this one, too.
_HEAD = 256 * 1024
# Of a handshake: the package websockets takes 128 fields, and 8192 bytes of a line with its end.
_LINES, _LINE = 128, 8170
# Fields of a request that has a body.
_FRAMING = (b"content-length", b"transfer-encoding")


class Protocol(HttpToolsProtocol):
    """One connection: as uvicorn's, with a limit for heads, and targets of every form."""

    _is_handed_over = False
    _ended_heads = 0
    _in_head = True
    # A copy of a head is parsed, for its framing.
    _is_in_copy = False
    _data = b""
    _head_size = 0
    _arrived = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called for a new connection."""
        super().connection_made(transport)
        self._arrived = monotonic()
        self._look_later()

    def _look_later(self) -> None:
        # The loop alone keeps it alive then, and no connection that is gone.
        self.loop.call_later(_SILENCE / 4, _look_at, weakref.ref(self))

    def look(self) -> None:
        """End the connection if its client owes us something, and has been silent for too long."""
        if self._is_handed_over or self.transport.is_closing():
            return
        cycle = self.cycle
        is_serving = cycle is not None and not cycle.response_complete
        # While reading is paused, it is the application that does not take what has arrived.
        owes = cycle.more_body and not self.flow.read_paused if is_serving else True
        if owes and monotonic() - self._arrived > _SILENCE:
            self.transport.close()
            return
        self._look_later()

    def data_received(self, data: bytes) -> None:
        """Called with what has arrived."""
        self._arrived = monotonic()
        self._data = data
        before = self._ended_heads
        super().data_received(data)
        if not self._in_head:
            return
        # What belongs to the message before counts as none of it.
        self._head_size = self._head_size + len(data) if self._ended_heads == before else 0
        if self._head_size > _HEAD and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", b"The head is too large.")

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if not self._is_in_copy:
            self._in_head = True
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Called by the parser for a part of the target."""
        if not self._is_in_copy:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for a field; for trailers, too, which must not become fields."""
        if self._in_head and not self._is_in_copy:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser, at the end of a head."""
        if self._is_in_copy:
            return
        self._in_head = False
        self._head_size = 0
        self._ended_heads += 1
        target = self.url
        if target[:1] == b"/":
            super().on_headers_complete()
        else:
            self._take_target(target)
        if is_ending():
            self.answer_once()

    def answer_once(self) -> None:
        """Close the connection behind the answer to the request that it has now, if it has one.

        An answer whose head has gone has not said so: its client may have it whole by now, and be
        sending the next request.
        """
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def may_ask(self, since: float, silence: float) -> bool:
        """Whether one more request may come, or is on its way; not while one is being served.

        :param since: when the end began (:func:`time.monotonic`).
        :param silence: seconds, from then on, behind which a silent client sends no more.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        return not self.transport.is_closing() and (
            monotonic() - max(self._arrived, since) < silence
        )

    def _take_target(self, target: bytes) -> None:
        """Take a target of another form than the usual one (RFC 9112, 3.2), or hand it over."""
        self.url = b"/"
        raw, path = target, target.decode("latin-1")
        try:
            absolute = absolute_form(path)
        except BadRequest:
            absolute = None
        if absolute is not None:
            self.url = ("/" + absolute.rest.removeprefix("/")).encode("latin-1")
            if not absolute.rest and self.parser.get_method() == b"OPTIONS":
                raw, path = b"*", "*"  # 3.2.4
        super().on_headers_complete()
        if absolute is None or path == "*":  # the application judges it
            self.scope["raw_path"], self.scope["path"] = raw, path
        if absolute is None:
            return
        # It counts more than Host (RFC 9112, 3.2.2).
        self.headers[:] = [field for field in self.headers if field[0] != b"host"]
        self.headers.append((b"host", absolute.authority.encode("latin-1")))

    def _should_upgrade(self) -> bool:
        """Whether a request is taken for a WebSocket; what is none is for the application."""
        is_handshake = self.scope["method"] == "GET" and self.parser.get_http_version() == "1.1"
        return is_handshake and not self._framing() and super()._should_upgrade()

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """The fields that say where the body ends."""
        return [field for field in self.headers if field[0] in _FRAMING]

    def _unsupported_upgrade_warning(self) -> None:
        """Called behind the head of a request that asks for another protocol, and stays what it is.

        llhttp stops there, and would take the body for the next request. Another parser, which is
        told the framing alone, goes on with the body and with what follows.
        """
        stop = sys.exc_info()[1]
        assert isinstance(stop, HttpParserUpgrade)
        rest, framing = self._data[stop.args[0] :], self._framing()
        self.parser = HttpRequestParser(self)
        if framing:
            lines = [b"%b: %b\r\n" % field for field in framing]
            self._is_in_copy = True
            self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *lines, b"\r\n"]))
            self._is_in_copy = False
        if rest:
            self.data_received(rest)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless what takes it could not read the handshake."""
        lines = [self.url, *(name + value for name, value in self.headers)]
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # the answer to the request before is still on its way
        elif "raw_path" in self.scope or not self.url.isascii():
            self._refuse(b"400 Bad Request", b"No WebSocket has such a target.")
        elif len(lines) > _LINES or max(map(len, lines)) > _LINE:
            self._refuse(b"431 Request Header Fields Too Large", b"The head is too large.")
        else:
            self._is_handed_over = True
            super().handle_websocket_upgrade()

    def on_message_complete(self) -> None:
        """Called by the parser, at the end of a request."""
        if self.parser.should_upgrade() and self._framing() and not self._is_in_copy:
            return  # its body follows
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is no request."""
        self._refuse(b"400 Bad Request", msg.encode("latin-1", "replace"))

    def _refuse(self, status: bytes, text: bytes) -> None:
        lines = [
            b"HTTP/1.1 " + status,
            b"date: " + current_date(),
            b"content-type: text/plain; charset=utf-8",
            b"content-length: %d" % len(text),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join([*lines, b"", text]))
        self.transport.close()


def _look_at(known: weakref.ref[Protocol]) -> None:
    protocol = known()
    if protocol is not None:
        protocol.look()
