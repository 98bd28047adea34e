"""A client and an upstream of a WebSocket in one event loop: messages and bytes, no library.

What they do is seen by conditions; nothing waits for a time but for a limit.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tests.support.loops import LOOPS, ended
from wsgiproxy.asgi import ASGIProxyApp

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "LIMIT",
    "PING",
    "PONG",
    "SWITCH",
    "TEXT",
    "Client",
    "Peer",
    "close_frame",
    "frame",
    "run",
    "scope_of",
    "serving",
]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: Seconds, more than anything here may take.
LIMIT = 10
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

T = TypeVar("T")
Message = dict[str, Any]


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = False
) -> bytes:
    """The bytes of a frame, well-formed or not."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0x80 if mask else 0
    if len(data) < 126:
        head = bytes([first, bit | len(data)])
    elif len(data) < 65536:
        head = struct.pack("!BBH", first, bit | 126, len(data))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(data))
    return head + (b"\0\0\0\0" if mask else b"") + data


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def scope_of(*headers: tuple[bytes, bytes], **more: Any) -> Message:
    """The scope of a handshake for ``/x``."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/x",
        "raw_path": b"/x",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"front.example"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-version", b"13"),
            *headers,
        ],
        "client": ("192.0.2.1", 40000),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        **more,
    }


class Client:
    """A client as its server shows it to an application.

    :ivar sent: what the application has sent.
    :ivar reads: cleared, it reads nothing: ``send`` waits.
    :ivar is_gone: ``send`` raises.
    """

    def __init__(self, app: Any, scope: Message | None = None) -> None:
        self.app = app
        self.scope = scope_of() if scope is None else scope
        self.events: asyncio.Queue[Message] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})
        self.sent: list[Message] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_gone = False
        self._new: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        await self.app(self.scope, self.events.get, self._send)

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if self.is_gone:
            raise OSError("the client has gone")
        self.sent.append(message)
        self._new.put_nowait(message)

    def say(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        self.events.put_nowait({"type": "websocket.receive", kind: message})

    def close(self, code: int = 1000, reason: str = "") -> None:
        """It closes; 1006 if it is cut."""
        self.is_gone = True
        self.reads.set()
        event = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.events.put_nowait(event)

    async def next(self) -> Message:
        """The next message of the application."""
        return await asyncio.wait_for(self._new.get(), LIMIT)

    async def accepted(self) -> Message:
        message = await self.next()
        assert message["type"] == "websocket.accept", message
        return message

    async def heard(self) -> str | bytes:
        """The next message of the other end."""
        message = await self.next()
        assert message["type"] == "websocket.send", message
        found: str | bytes = message["text"] if "text" in message else message["bytes"]
        return found

    async def closed(self) -> tuple[int, str]:
        """How the application closes; messages before it are passed over."""
        while (message := await self.next())["type"] != "websocket.close":
            assert message["type"] == "websocket.send", message
        return message["code"], message.get("reason") or ""

    async def ended(self) -> None:
        """The application has returned."""
        await asyncio.wait_for(self.task, LIMIT)

    @property
    def status(self) -> int:
        """That of a refusal."""
        (start,) = [each for each in self.sent if each["type"] == "websocket.http.response.start"]
        return int(start["status"])

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent)


class Peer:
    """One connection at the upstream.

    :ivar head: the lines of the request.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head: list[str] = []

    async def read_head(self) -> None:
        data = await self.reader.readuntil(b"\r\n\r\n")
        self.head = data.decode("latin-1").split("\r\n")[:-2]

    def values(self, name: str) -> list[str]:
        pairs = [line.partition(": ") for line in self.head[1:]]
        return [value for key, _, value in pairs if key.lower() == name.lower()]

    def accept_key(self) -> str:
        (key,) = self.values("sec-websocket-key")
        return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()

    def switch(self, *fields: str, first: bytes = b"") -> None:
        """Accept, with *first* in the same segment."""
        lines = [f"Sec-WebSocket-Accept: {self.accept_key()}", *fields, "", ""]
        self.writer.write((SWITCH + "\r\n".join(lines)).encode("latin-1") + first)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode, and its data without the mask."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        assert second & 0x80, "a client masks its frames"
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self.reader.readexactly(size), "big")
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(length)
        shown = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        return first & 0x4F, shown

    async def next(self, opcode: int) -> bytes:
        found, data = await asyncio.wait_for(self.frame(), LIMIT)
        assert found == opcode, (found, data[:100])
        return data

    async def closed(self) -> tuple[int | None, str]:
        """The code and the reason of the Close frame, which is answered."""
        while (found := await asyncio.wait_for(self.frame(), LIMIT))[0] != CLOSE:
            pass
        data = found[1]
        self.send(frame(CLOSE, data[:2]))
        self.cut()
        return (int.from_bytes(data[:2], "big") if data else None), data[2:].decode()

    async def lost(self) -> bytes:
        """What came before the end of the connection."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), LIMIT)
        return b""

    def cut(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """The other end gets no end, but an error."""
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[object]]


class Upstream:
    """A server that has one script for all its connections."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.all: list[Peer] = []
        self.port = 0
        #: Held by one who connects, until the connection is here: so that it is known whose it is.
        self.pairing = asyncio.Lock()

    async def peer(self, *, switches: bool = True, first: bytes = b"") -> Peer:
        """The next connection, whose request has been read."""
        peer = await asyncio.wait_for(self.peers.get(), LIMIT)
        if switches:
            peer.switch(first=first)
        return peer

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.all.append(peer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await peer.read_head()
            self.peers.put_nowait(peer)


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[ASGIProxyApp, Upstream]]:
    """A proxy, and the upstream that it asks."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.connected, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    app = ASGIProxyApp(f"http://127.0.0.1:{upstream.port}", **options)
    try:
        yield app, upstream
    finally:
        app.close()
        server.close()
        for peer in upstream.all:
            peer.writer.transport.abort()
        await server.wait_closed()


def run(loop: str, main: Coroutine[Any, Any, T]) -> T:
    """Run it in the loop called *loop*, at whose end no task is left."""
    return ended(LOOPS[loop](), asyncio.wait_for(main, 20))
