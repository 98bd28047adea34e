"""Data frames of a client, which are masked (RFC 6455, 5.2 and 5.3).

Each message of a client costs one; the library takes a general way to it that is twice as long.
"""

from __future__ import annotations

import os
import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform, and no C compiler
    from websockets.utils import apply_mask

__all__ = ["data_frame"]

# The frame is the last of its message; the payload is masked.
_TEXT, _BINARY = 0x81, 0x82
_MASKED = 0x80
_SHORT, _MEDIUM, _LONG = 125, 126, 127
_medium, _long = struct.Struct("!BBH").pack, struct.Struct("!BBQ").pack


def data_frame(message: str | bytes) -> bytes:
    """A whole message in one frame, without an extension.

    :param message: text, or bytes for a binary message.
    """
    if isinstance(message, str):
        kind, data = _TEXT, message.encode()
    else:
        kind, data = _BINARY, message
    length = len(data)
    if length <= _SHORT:
        head = bytes((kind, _MASKED | length))
    elif length < 1 << 16:
        head = _medium(kind, _MASKED | _MEDIUM, length)
    else:
        head = _long(kind, _MASKED | _LONG, length)
    # The client chooses the message, and must not be able to predict the mask.
    mask = os.urandom(4)
    return b"".join((head, mask, apply_mask(data, mask)))
