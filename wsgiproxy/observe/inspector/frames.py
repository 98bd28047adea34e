"""The messages of a WebSocket, read from a copy of the bytes that pass a tunnel.

The library ``websockets`` reads the frames, where it is installed; else blocks of bytes are shown.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.websocket import PROTOCOL

if TYPE_CHECKING:
    from wsgiproxy.observe.inspector.exchange import Exchange
    from wsgiproxy.sansio.message import Headers

__all__ = ["Frames"]

# Bytes of one message that are put together to be shown, and that are read at all.
_LARGEST, _LARGEST_READ = 1 << 20, 4 << 20


class Frames:
    """What tells an exchange of the messages of a tunnel, both ways.

    :param exchange: what is told.
    :param protocol: the protocol that the request has gone over to, in lower case.
    :param headers: those of the answer 101, which name the extensions.
    """

    def __init__(self, exchange: Exchange, protocol: str, headers: Headers) -> None:
        self._exchange = exchange
        self._ways: dict[bool, Any] = {}
        if protocol == PROTOCOL and find_spec("websockets") is not None:
            extensions = ", ".join(values(headers, "sec-websocket-extensions"))
            self._ways = {each: _way(each, extensions) for each in (True, False)}
        self._fragments: dict[bool, tuple[str, bytearray, int]] = {}

    def from_client(self, block: bytes) -> None:
        """Bytes of the client pass."""
        self._pass(block, is_from_client=True)

    def from_upstream(self, block: bytes) -> None:
        """Bytes of the upstream pass."""
        self._pass(block, is_from_client=False)

    @harmless
    def _pass(self, block: bytes, *, is_from_client: bool) -> None:
        if self._exchange.is_forgotten:  # what is not shown is not read
            self._ways.clear()
            self._fragments.clear()
        way = self._ways.get(is_from_client)
        if way is None:
            self._exchange.message("binary", block, is_from_client=is_from_client)
            return
        way.receive_data(block)
        for frame in way.events_received():
            self._add(frame, is_from_client=is_from_client)
        way.data_to_send()  # what it would answer to pings
        if way.parser_exc is not None:  # not what it looked like
            self._ways[is_from_client] = None
            self._fragments.pop(is_from_client, None)
        held = sum(len(each.reader.buffer) for each in self._ways.values() if each is not None)
        held += sum(len(data) for _, data, _ in self._fragments.values())
        if held or self._exchange.held:
            self._exchange.hold(held)

    def _add(self, frame: Any, *, is_from_client: bool) -> None:
        kind = frame.opcode.name.lower()
        if kind not in ("text", "binary", "cont"):
            data, size = frame.data, len(frame.data)
        else:
            before = self._fragments.pop(is_from_client, None)
            kind, data, size = before or (kind, bytearray(), 0)
            data += frame.data[: _LARGEST - len(data)]
            size += len(frame.data)
            if not frame.fin:
                self._fragments[is_from_client] = kind, data, size
                return
        self._exchange.message(kind, bytes(data), is_from_client=is_from_client, size=size)


def _way(is_from_client: bool, extensions: str) -> Any:
    """What reads the frames of one side, as the other side would."""
    from websockets.exceptions import InvalidHandshake
    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.headers import parse_extension
    from websockets.protocol import OPEN, Protocol, Side

    side = Side.SERVER if is_from_client else Side.CLIENT
    protocol = Protocol(side, state=OPEN, max_size=_LARGEST_READ)
    sender = "client" if is_from_client else "server"
    try:
        found = parse_extension(extensions) if extensions else []
        for name, pairs in found:
            if name == "permessage-deflate":
                options = dict(pairs)
                bits = int(options.get(f"{sender}_max_window_bits") or 15)
                forgets = f"{sender}_no_context_takeover" in options
                # The last two are of a side that would write.
                protocol.extensions.append(PerMessageDeflate(forgets, True, bits, 15))
    except (InvalidHandshake, ValueError, AssertionError):  # frames that it cannot read
        return None
    return protocol
