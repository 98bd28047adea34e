"""Bodies as texts and back: content codings, charsets, base64.

A text stands for a body only where the same bytes come back from it.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from wsgiproxy.sansio.fields.names import list_members, values
from wsgiproxy.sansio.message import Headers

__all__ = [
    "DECODERS",
    "Decoders",
    "as_bytes",
    "as_text",
    "codings",
    "from_base64",
    "to_base64",
    "undone",
]

#: Content coding -> what undoes it: from a whole body and the most bytes that may become of it, to
#: these bytes; None if it is not a whole one, or if there are more. It may raise what it likes.
Decoders: TypeAlias = Mapping[str, Callable[[bytes, int], "bytes | None"]]

# Bytes of a decoded body; a bomb of 16 MiB would become 16 GiB.
_LARGEST = 64 * 1024 * 1024
_BLANKS = re.compile(r"\s+")
_TEXT = re.compile(
    r"\s*(?:text/|(?:application|image|model|message|font)/"
    r"(?:[^;]*\+)?(?:json|xml|yaml|javascript|ecmascript|graphql|x-javascript|x-www-form-urlencoded"
    r"|x-ndjson|ndjson|http|toml|sql)\s*(?:;|$))",
    re.IGNORECASE,
)
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
# Codecs of Python that are charsets, unlike idna and punycode, which take minutes for long texts.
_KNOWN = re.compile(
    r"utf-?8|utf-?16(?:[lb]e)?|us-?ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-?125\d|cp\d{3,4}"
    r"|koi8-[rut]|shift[_-]?jis|euc-(?:jp|kr)|gb(?:2312|k|18030)|big5(?:-?hkscs)?|mac-?roman",
    re.IGNORECASE,
)
# A text of other controls is none that people read.
_CONTROLS = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")


def _gunzip(data: bytes, limit: int) -> bytes | None:
    """All members of a gzip body (RFC 1952, 2.2)."""
    found = b""
    while data:
        part = zlib.decompressobj(31)
        found += part.decompress(data, limit + 1 - len(found))
        if not part.eof or len(found) > limit:
            return None
        data = part.unused_data
    return found


def _inflate(data: bytes, limit: int) -> bytes | None:
    """A deflate body; some servers leave the wrapper of zlib out (RFC 9110, 8.4.1.2)."""
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        part = zlib.decompressobj(bits)
        try:
            found = part.decompress(data, limit + 1)
        except zlib.error:
            continue
        return found if part.eof and not part.unused_data and len(found) <= limit else None
    return None


#: Those of the standard library.
DECODERS: Decoders = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate}


def codings(headers: Headers) -> list[str]:
    """The content codings of a message in the order in which they were applied.

    >>> codings([("Content-Encoding", "identity, GZip")])
    ['gzip']
    """
    named = list_members(",".join(values(headers, "content-encoding")))
    return [each for each in named if each != "identity"]


def undone(data: bytes, applied: list[str], decoders: Decoders = DECODERS) -> bytes | None:
    """A body without its content codings; None if it is not a whole one, or a coding is unknown.

    >>> undone(b"\\x78\\x9c\\x03\\x00\\x00\\x00\\x00\\x01", ["deflate"]), undone(b"x", ["gzip"])
    (b'', None)
    """
    if not data and applied:
        return None
    found: bytes | None = data
    for coding in reversed(applied):
        decoder = decoders.get(coding)
        if decoder is None or found is None:
            return None
        try:
            found = decoder(found, _LARGEST)
        except Exception:  # each library has errors of its own; none of them is ours
            return None
    return found


def _charset(mime: str) -> str:
    found = _CHARSET.search(mime)
    return found[1] if found and _KNOWN.fullmatch(found[1]) else "utf-8"


def as_text(data: bytes, mime: str) -> str | None:
    """The text of a body, if it is one that gives the same bytes again.

    :param mime: the value of Content-Type; empty if there is none.

    >>> as_text(b"a\\xe9", "text/plain; charset=latin-1"), as_text(b"a\\xe9", "text/plain")
    ('aé', None)
    """
    if mime and not _TEXT.match(mime):
        return None
    try:
        text = data.decode(_charset(mime))
    except (UnicodeError, LookupError):
        return None
    if _CONTROLS.search(text) or as_bytes(text, mime) != data:
        return None
    return text


def as_bytes(text: str, mime: str) -> bytes:
    """The bytes of a text, in the charset of its type.

    >>> as_bytes("é", "text/plain; charset=ISO-8859-1"), as_bytes("é", "text/plain")
    (b'\\xe9', b'\\xc3\\xa9')
    """
    if not text:
        return b""  # or there would be a byte order mark
    for charset in (_charset(mime), "utf-8"):
        try:
            # Some programs keep bytes that are no text in this way (PEP 383).
            return text.encode(charset, "surrogateescape")
        except (UnicodeError, LookupError):
            continue
    return text.encode("utf-8", "replace")


def to_base64(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """Bytes of base64, also of its alphabet for URLs, with or without padding; None if it is none.

    >>> from_base64("YQ=="), from_base64("Y Q"), from_base64("?")
    (b'a', b'a', None)
    """
    bare = _BLANKS.sub("", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        return None
