"""The upstream's end of a WebSocket: frames to messages and back, on one connection.

The protocol is that of the library ``websockets``, without its input and output: fragments, pings,
limits, compression and the closing handshake (RFC 6455, 5 to 7; RFC 7692).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from wsgiproxy.asgi.compression import is_between_frames, protocol_of
from wsgiproxy.asgi.masking import data_frame
from wsgiproxy.asgi.portions import PORTION, Portions
from wsgiproxy.sansio.message import BLOCK, Headers

if TYPE_CHECKING:
    from wsgiproxy.asgi.message_hooks import Message
    from wsgiproxy.transport.aio.connection import Connection

__all__ = ["UpstreamEnd"]

# A look at a member of an enumeration costs more than one at a name.
_TEXT, _BINARY, _CONTINUED = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
# Codes of the end (RFC 6455, 7.4.1).
_NOT_UTF8, _TOO_BIG, _FAILED = 1007, 1009, 1011
# Seconds for the other end to answer a Close frame, and to close the connection.
_LAST_WAIT = 0.4
# Bytes that a message takes beside its own, so that a flood of empty ones has an end as well.
_EACH = 64


class UpstreamEnd(Portions):
    """A receiver for a connection that has gone over to WebSocket.

    :param max_message: bytes.
    :param headers: those of the answer 101, which may say what frames are like.
    :param deflate: compression was offered.
    :ivar closed: the code and the reason with which this end has closed, when it has: 1006 if it
        was lost without a word; 1009 if a message was too big, and 1011 if it broke other rules.
    :raises BadResponse: it uses extensions that were not offered.
    """

    __slots__ = (
        "_changed",
        "_connection",
        "_fragments",
        "_is_closing",
        "_is_held",
        "_is_lost",
        "_is_text",
        "_messages",
        "_pinged",
        "_protocol",
        "_room",
        "closed",
    )

    def __init__(self, max_message: int, headers: Headers, *, deflate: bool) -> None:
        super().__init__()
        self._protocol = protocol_of(max_message, headers, deflate=deflate)
        self._messages: deque[Message] = deque()
        self._fragments = bytearray()  # an upstream could fill a list with empty ones
        self._is_text = False
        self._is_held = self._is_lost = self._is_closing = self._pinged = False
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._connection: Connection | None = None
        self.closed: tuple[int, str] | None = None

    def begin(self, connection: Connection, first: bytes) -> None:
        """Take the connection, and what has arrived behind the head of the 101."""
        self._connection = connection
        if first:
            self.data(first)

    # What the relay asks

    def taken(self) -> Message | None:
        """The next message, if one is there."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._size -= len(message) + _EACH
        if self._is_held and self._size < BLOCK:
            self._read_on()
        return message

    def _new_future(self) -> asyncio.Future[None]:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        return loop.create_future()

    def change(self) -> asyncio.Future[None]:
        """What is done as soon as there is a message, or the end."""
        self._changed = changed = self._new_future()
        return changed

    def room(self) -> asyncio.Future[None]:
        """What is done as soon as there is room for another message, or the end."""
        self._room = room = self._new_future()
        if self._is_lost or self._connection is None or not self._connection.is_stalled:
            room.set_result(None)
        return room

    def wake(self) -> None:
        """Let those go on that wait for a change."""
        changed = self._changed
        if changed is not None and not changed.done():
            changed.set_result(None)

    def send(self, message: Message) -> bool:
        """Send a message, if this end is still open.

        :returns: whether it has to wait, and so has the next one; see :meth:`room`.
        """
        protocol, connection = self._protocol, self._connection
        if protocol.state is not OPEN or connection is None or self._is_lost:
            return False
        if not protocol.extensions and not protocol.writes:
            self._write(data_frame(message))
        elif isinstance(message, str):
            protocol.send_text(message.encode())
        else:
            protocol.send_binary(message)
        if protocol.writes:
            self._flush()
        return connection.is_stalled

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be sent."""
        return self.closed is not None or self._is_lost or self._protocol.state is not OPEN

    @property
    def unsent(self) -> int:
        """Bytes for which the kernel has no room."""
        return 0 if self._connection is None else self._connection.transport.get_write_buffer_size()

    def ping(self) -> bool:
        """Ping; false if nothing has come since the ping before, and the connection is lost."""
        if self._is_held:
            return True  # the answer would not be read: it is the client who is slow
        if self._pinged:
            self._lose()
            return False
        if self._protocol.state is OPEN:
            self._pinged = True
            self._protocol.send_ping(b"")
            self._flush()
        return True

    async def close(self, code: int | None, reason: str = "") -> None:
        """Close, in order if there is time: a Close frame each, and the end of the connection.

        :param code: for the Close frame; None for one without a code.
        """
        connection = self._connection
        if connection is None:
            return
        self._is_closing = True
        self._messages.clear()
        self._size = 0
        if self._is_held:
            self._read_on()
        timer = asyncio.get_running_loop().call_later(_LAST_WAIT, self._lose)
        try:
            if self._protocol.state is OPEN:
                self._protocol.send_close(code, reason if code is not None else "")
            self._flush()
            while not self._is_lost:
                await self.change()
        finally:
            timer.cancel()
            self.abort()

    def abort(self) -> None:
        """End the connection now."""
        connection, self._connection = self._connection, None
        self._rest = b""
        self._lose()
        if connection is not None:
            connection.close()

    # What the connection calls

    def data(self, data: bytes) -> None:
        """Bytes have arrived; none at the end of the connection."""
        protocol = self._protocol
        if not data:
            self._end(in_order=True)
            return
        self._pinged = False
        if (len(data) > PORTION or self._rest) and not self._is_parsing:
            self._divide(data)
            return
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if self.closed is None:
                self._frame(cast("Frame", frame))  # the handshake is over
        if protocol.writes:
            self._answer()
        if protocol.state is not OPEN:
            self._note_close()
        elif self._size >= BLOCK:
            self._hold()
        self.wake()

    def lost(self, error: OSError) -> None:
        """The connection broke; what had arrived before is still there to be read."""
        connection = None if self._is_lost else self._connection
        self._is_lost = True
        if connection is None:
            return
        with contextlib.suppress(OSError):
            while data := connection.left():
                self.data(data)
        self._end(in_order=False)

    def drained(self) -> None:
        """All that was written has gone to the kernel."""
        if self._protocol.writes:
            self._flush()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # What it does by itself

    def _is_ending(self) -> bool:
        """Whether the event loop is past reading; uvloop complains if it is asked to."""
        connection = self._connection
        return self._is_lost or connection is None or connection.transport.is_closing()

    def _is_at_frame(self) -> bool:
        return is_between_frames(self._protocol)

    def _hold(self) -> None:
        if not self._is_held and not self._is_ending():
            self._connection.transport.pause_reading()  # type: ignore[union-attr]  # not ending
        self._is_held = True

    def _resume(self) -> None:
        self._is_held = self._pinged = False
        if not self._is_ending():
            self._connection.transport.resume_reading()  # type: ignore[union-attr]  # not ending

    def _frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY:
            self._is_text = opcode is _TEXT
            if frame.fin:
                self._message(frame.data)
            else:
                self._fragments = bytearray(frame.data)
        elif opcode is _CONTINUED:
            self._fragments += frame.data
            if frame.fin:
                fragments, self._fragments = self._fragments, bytearray()
                self._message(fragments)

    def _message(self, data: bytes | bytearray | memoryview) -> None:
        try:
            message: Message = str(data, "utf-8") if self._is_text else bytes(data)
        except UnicodeDecodeError:
            self._protocol.fail(_NOT_UTF8, "a text that is not UTF-8")
            self.closed = _FAILED, ""
            return
        if not self._is_closing:
            self._messages.append(message)
            self._size += len(message) + _EACH

    def _note_close(self) -> None:
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if self.closed is not None:
            return
        if received is not None and self._protocol.parser_exc is None:
            self.closed = received.code, received.reason
        elif sent is not None and not self._is_closing:
            # It broke the rules: the client is not to blame.
            self.closed = (sent.code if sent.code == _TOO_BIG else _FAILED), ""

    def _answer(self) -> None:
        """Send what the library answers by itself, such as a Pong."""
        connection, protocol = self._connection, self._protocol
        if connection is not None and connection.is_stalled and protocol.state is OPEN:
            # It pings and does not read; the latest one is answered, later (RFC 6455, 5.5.3).
            del protocol.writes[:-1]
        else:
            self._flush()

    def _flush(self) -> None:
        if data := b"".join(self._protocol.data_to_send()):
            self._write(data)

    def _write(self, data: bytes) -> None:
        connection = self._connection
        if connection is not None and not self._is_lost and not connection.is_dead:
            try:
                connection.write(data)
            except OSError as error:
                self.lost(error)

    def _ended(self, *, in_order: bool) -> None:
        if in_order:
            with contextlib.suppress(EOFError):
                self._protocol.receive_eof()
            self._note_close()
        self._lose()

    def _lose(self) -> None:
        self._is_lost = True
        if self.closed is None:
            self.closed = 1006, ""
        self.wake()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
