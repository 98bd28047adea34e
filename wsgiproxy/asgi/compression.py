"""The protocol of an upstream's end, with the extensions that both sides agree on (RFC 7692)."""

from __future__ import annotations

from typing import Any

from websockets.client import ClientProtocol
from websockets.datastructures import Headers as LibraryHeaders
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.protocol import OPEN
from websockets.streams import StreamReader
from websockets.uri import WebSocketURI

from wsgiproxy.errors import BadResponse
from wsgiproxy.sansio.message import Headers

__all__ = ["OFFER", "is_between_frames", "protocol_of"]

# The library wants one, and uses it for a handshake of its own, which is not ours.
_NOWHERE = WebSocketURI(False, "", 80, "/", "", None, None)
# As the library's own connections have it: less memory for a few percent of size. Nothing is
# asked of the server's window, since some servers take the offer and do not answer that.
_DEFLATE = ClientPerMessageDeflateFactory(
    client_max_window_bits=12, compress_settings={"memLevel": 5}
)
#: The value of Sec-WebSocket-Extensions for it.
OFFER = "permessage-deflate; client_max_window_bits=12"


def protocol_of(max_message: int, headers: Headers, *, deflate: bool) -> ClientProtocol:
    """The protocol behind a handshake.

    :param max_message: bytes.
    :param headers: those of the answer 101, which may say what frames are like.
    :param deflate: compression was offered.
    :raises BadResponse: it uses extensions that were not offered.
    """
    protocol = ClientProtocol(
        _NOWHERE, state=OPEN, max_size=max_message, extensions=[_DEFLATE] if deflate else None
    )
    try:
        protocol.extensions = protocol.process_extensions(LibraryHeaders(headers))
    except InvalidHandshake as error:
        raise BadResponse(f"Sec-WebSocket-Extensions: {error}") from error
    return protocol


def is_between_frames(protocol: ClientProtocol) -> bool:
    """Whether the next byte is the first one of a frame.

    Before a frame, and nowhere else, the library asks whether the stream has ended.
    """
    waits: Any = protocol.parser
    while getattr(waits, "gi_yieldfrom", None) is not None:
        waits = waits.gi_yieldfrom
    return getattr(waits, "gi_code", None) is StreamReader.at_eof.__code__
