"""What a page shows of a body: JSON, the fields of a form, text, an image, or bytes in hex.

What it is says the body, more than its Content-Type: nothing here is ever run, but an image that
is none, or text that is none, helps no reader to find a fault.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote_plus

from wsgiproxy.observe.inspector.decoded import decoded
from wsgiproxy.observe.inspector.pretty import pretty_json
from wsgiproxy.sansio.multipart import boundary_of, parts
from wsgiproxy.sansio.secrets import MASK, Secrets

__all__ = ["Preview", "image_type", "is_form", "masked_body", "preview", "text_of"]

# Bytes of a body that is no text: as many as a person looks through.
_HEX = 4096
# Of 100 characters, so many may be garbage in what is still called text, such as one in Latin-1.
_GARBAGE = 30
_SAMPLE = 65536
_FIELDS = 1000
# Bytes of one field of a form in parts.
_VALUE = 16384
# Others than these are slow, or make no text of bytes.
_CHARSETS = re.compile(
    r"(?:utf-?16|iso-?8859-|latin|windows-125|cp125|shift_?jis|euc-|gb|big5|koi8-)[a-z0-9-]*"
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"


class Preview(NamedTuple):
    """A body as a page shows it.

    :param kind: ``empty``, ``json``, ``form``, ``text``, ``image`` or ``hex``.
    :param text: of JSON, text and hex.
    :param fields: of a form; the values of secret ones are masked.
    :param is_cut: there is more of the body.
    :param note: what else is to be known of it.
    """

    kind: str
    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    is_cut: bool = False
    note: str = ""


def image_type(data: bytes) -> str:
    """The media type of a raster image, by its first bytes; empty for all else, SVG among it.

    >>> image_type(b"GIF89a..."), image_type(b"<svg")
    ('image/gif', '')
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/avif" if data[4:12] in (b"ftypavif", b"ftypavis") else ""


def text_of(data: bytes, content_type: str = "", *, is_cut: bool = False) -> str | None:
    """The text of a body; None if it is none.

    :param content_type: may name a charset; without one it is UTF-8.
    :param is_cut: a character may be cut at its end.

    >>> text_of("é".encode()), text_of("é".encode("latin-1"), "text/x; charset=latin-1")
    ('é', 'é')
    >>> text_of(bytes(9))
    """
    charset = _CHARSET.search(content_type)
    if charset and _CHARSETS.fullmatch(charset[1].lower()):
        try:
            return data.decode(charset[1])
        except (LookupError, UnicodeError):
            pass  # it says what is not so
    text = data.decode("utf-8-sig", "replace")
    if is_cut:
        text = text.rstrip("\ufffd")
    sample = text[:_SAMPLE]
    bad = sum(each == "\ufffd" or (each < " " and each not in "\t\n\r\f\x1b") for each in sample)
    return text if "\0" not in sample and bad * 100 <= len(sample) * _GARBAGE else None


def masked_body(data: bytes, content_type: str, secrets: Secrets) -> bytes:
    """A body without its coding, the secret fields masked if it is a form; others stay."""
    boundary = boundary_of(content_type)
    if boundary:
        return _masked_parts(data, boundary, secrets)
    if not is_form(content_type):
        return data
    return secrets.query(data.decode("latin-1")).encode("latin-1")


def _masked_parts(data: bytes, boundary: bytes, secrets: Secrets) -> bytes:
    kept, last = [], 0
    for part in parts(data, boundary):
        if part.file is None and secrets.is_secret_parameter(part.name):
            kept += [data[last : part.start], MASK.encode("ascii")]
            last = part.end
    return b"".join([*kept, data[last:]])


def is_form(content_type: str) -> bool:
    """Whether a body is a form, of either media type."""
    plain = content_type.partition(";")[0].strip().lower() == _FORM
    return plain or bool(boundary_of(content_type))


def preview(
    data: bytes, content_type: str, coding: str, secrets: Secrets, *, is_cut: bool = False
) -> Preview:
    """A body as a page shows it.

    :param data: its first bytes as they passed.
    :param content_type: the value of Content-Type.
    :param coding: the value of Content-Encoding.
    :param secrets: the fields of forms that are masked.
    :param is_cut: there was more of it.

    >>> preview(b"user=a&password=b", "application/x-www-form-urlencoded", "", Secrets()).fields
    (('user', 'a'), ('password', '***'))
    """
    if not data:
        return Preview("empty", is_cut=is_cut, note="Nothing of it is kept." if is_cut else "")
    plain = decoded(data, coding, is_cut=is_cut)
    shown = _shown(masked_body(plain.data, content_type, secrets), content_type, plain.is_cut)
    return shown._replace(note=" ".join(filter(None, (plain.note, shown.note))))


def _shown(data: bytes, content_type: str, is_cut: bool) -> Preview:
    kind = image_type(data)
    if kind:
        return Preview("image", is_cut=is_cut, note=f"{kind}.")
    text = text_of(data, content_type, is_cut=is_cut)
    boundary = boundary_of(content_type)
    if boundary and (fields := _part_fields(data, boundary)):
        return Preview("form", text or "", fields, is_cut or len(fields) == _FIELDS)
    if text is None:
        return Preview("hex", _hex(data[:_HEX]), (), is_cut or len(data) > _HEX)
    if is_form(content_type) and not boundary:
        return _form(text, is_cut)
    pretty = None if is_cut or not _may_be_json(text, content_type) else pretty_json(text)
    if pretty is not None:
        return Preview("json", pretty)
    note = "This is not JSON, though it says so." if _says_json(content_type) else ""
    return Preview("text", text, (), is_cut, "" if is_cut else note)


def _form(text: str, is_cut: bool) -> Preview:
    parts = [each.partition("=") for each in text.split("&") if each]
    fields = [
        (unquote_plus(name), value if value == MASK else unquote_plus(value))
        for name, _, value in parts[:_FIELDS]
    ]
    return Preview("form", text, tuple(fields), is_cut or len(parts) > _FIELDS)


def _part_fields(data: bytes, boundary: bytes) -> tuple[tuple[str, str], ...]:
    """The fields of a form in parts; of a file, its name and its size."""
    fields = []
    for part in islice(parts(data, boundary), _FIELDS):
        content, size = data[part.start : part.end], part.end - part.start
        text = text_of(content[:_VALUE], is_cut=size > _VALUE) if part.file is None else None
        told = f"{size} bytes" if part.file is None else f"{part.file} ({size} bytes)"
        fields.append((part.name, told if text is None else text))
    return tuple(fields)


def _says_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower().endswith(("/json", "+json"))


def _may_be_json(text: str, content_type: str) -> bool:
    plain = content_type.partition(";")[0].strip().lower() in ("", "text/plain")
    return _says_json(content_type) or (plain and text.lstrip()[:1] in ("{", "["))


def _hex(data: bytes) -> str:
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {seen}")
    return "\n".join(lines)
