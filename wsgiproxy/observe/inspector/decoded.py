"""Bodies without their content codings, as far as a page shows them: a bomb does not grow."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

__all__ = ["SHOWN", "Decoded", "decoded"]

#: Bytes of a body that are shown.
SHOWN = 1 << 20
# Codings of one body; a server names one, seldom two.
_CODINGS = 4
# Members of one gzip body; each costs a copy of those behind it.
_MEMBERS = 500
# Bytes of the window of zstd that are held in memory for it.
_WINDOW = 8 << 20


class Decoded(NamedTuple):
    """A body without its codings.

    :param data: the first bytes, at most :data:`SHOWN`.
    :param is_cut: there is more of it, or may be.
    :param note: a sentence if it could not be decoded; then *data* is as it came.
    """

    data: bytes
    is_cut: bool = False
    note: str = ""


def _gzip(data: bytes) -> bytes:
    parts, room = [], SHOWN + 1
    for _ in range(_MEMBERS):
        coder = zlib.decompressobj(31)
        parts.append(coder.decompress(data, room))
        room -= len(parts[-1])
        data = coder.unused_data  # the next member (RFC 1952, 2.2)
        if room <= 0 or not data.startswith(b"\x1f\x8b"):
            break
    return b"".join(parts)


def _deflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, SHOWN + 1)
    except zlib.error:  # without the head of zlib, as some servers send it (RFC 9110, 8.4.1.2)
        return zlib.decompressobj(-15).decompress(data, SHOWN + 1)


def _brotli(data: bytes) -> bytes:
    # A version before 1.2 has no such limit, and raises TypeError.
    coder = import_module("brotli").Decompressor()
    return bytes(coder.process(data, output_buffer_limit=SHOWN + 1))[: SHOWN + 1]


def _zstd(data: bytes) -> bytes:
    coder = import_module("zstandard").ZstdDecompressor(max_window_size=_WINDOW)
    return bytes(coder.stream_reader(io.BytesIO(data), read_across_frames=True).read(SHOWN + 1))


_CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def decoded(data: bytes, coding: str, *, is_cut: bool = False) -> Decoded:
    """A body without its codings.

    :param data: as it came.
    :param coding: the value of Content-Encoding.
    :param is_cut: there was more of it.

    >>> decoded(zlib.compress(b"abc"), "deflate").data
    b'abc'
    >>> decoded(b"abc", "rot13").note
    "The coding 'rot13' is not known here; these are the coded bytes."
    """
    names = [each.strip().lower() for each in coding.split(",")]
    names = [each for each in names if each and each != "identity"]
    if not names:
        return Decoded(data[:SHOWN], is_cut or len(data) > SHOWN)
    is_cut = is_cut or len(data) > SHOWN
    plain = data = data[:SHOWN]
    if len(names) > _CODINGS:
        return Decoded(data, True, "There are too many codings; these are coded bytes.")
    for name in reversed(names):
        coder = _CODERS.get(name)
        try:
            if coder is None:
                raise ImportError(name)
            plain = coder(plain)
        except (ImportError, TypeError):
            note = f"The coding {name!r} is not known here; these are the coded bytes."
            return Decoded(data, is_cut, note)
        except Exception:  # each library has its own errors
            note = f"The body is not {name!r}, as it should be; these are its bytes."
            return Decoded(data, is_cut, note)
    return Decoded(plain[:SHOWN], is_cut or len(plain) > SHOWN)
