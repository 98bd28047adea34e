"""The bodies of messages in an HTTP archive as bytes, from all the ways to write them."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote_plus

from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.har.coding import Decoders, as_bytes, codings, from_base64, undone
from wsgiproxy.sansio.har.entry import Body
from wsgiproxy.sansio.har.values import Members, wrong
from wsgiproxy.sansio.message import Headers

__all__ = ["content_of", "form_of", "request_text"]

_ENCODED = re.compile(r"(?:[A-Za-z0-9*._~+-]|%[0-9A-Fa-f]{2})*")


def _text(member: Members, mime: str, encoding: str) -> bytes | None:
    """The member ``text`` as bytes; None if it is not there."""
    if member.get("text") is None:
        return None
    text = member.text("text")
    if encoding.lower() != "base64":
        return as_bytes(text, mime)
    data = from_base64(text)
    if data is None:
        wrong(member.place("text"), text, "base64, as its encoding says")
    return data


def request_text(posted: Members, mime: str) -> bytes | None:
    """The body of a request from the text of ``postData``; None if there is none.

    :param mime: the value of Content-Type.
    :raises ConfigurationError: a text that is no base64, where it has to be.
    """
    encoding = posted.get("_encoding") or posted.get("encoding") or ""
    return _text(posted, mime, str(encoding))


def form_of(posted: Members, mime: str) -> bytes | None:
    """The body of a form from its fields; None if they are not all that was sent.

    The boundary of a multipart form, and what its files held, are not among them.
    """
    params = posted.items("params")
    if not params or mime.lower().startswith("multipart/"):
        return None
    pairs = []
    for number, each in enumerate(params):
        field = Members(each, f"{posted.where}.params[{number}]")
        pairs.append(f"{_encoded(field.text('name'))}={_encoded(field.text('value'))}")
    return "&".join(pairs).encode("ascii")


def _encoded(text: str) -> str:
    """Percent-encoded; Chromium leaves it as it was sent, Firefox and Charles decode it."""
    return text if _ENCODED.fullmatch(text) else quote_plus(text, errors="surrogateescape")


def content_of(response: Members, headers: Headers, decoders: Decoders) -> tuple[Body, bool]:
    """The body of a response as it was sent, and whether a program has undone its codings.

    :raises ConfigurationError: a text that is no base64, where it has to be.
    """
    content = response.member("content")
    mime = value_of(headers, "content-type") or content.text("mimeType")
    data = _text(content, mime, content.text("encoding"))
    if data is None:
        return _unkept(response, content), False
    size = response.size("bodySize")
    if content.get("_isCut") is True:
        return Body(data, is_cut=True, size=size), False
    if not data and content.size("size"):
        return _unkept(response, content), False  # Chromium, of what it could not show
    coded = _as_sent(content, data)
    if coded is not None:
        return Body(coded), False
    applied = codings(headers)
    if not applied or not data or content.get("_isCoded") is True:
        return Body(data), False
    # A body that cannot be decoded is one that has been.
    return Body(data), undone(data, applied, decoders) is None


def _as_sent(content: Members, decoded: bytes) -> bytes | None:
    """The coded bytes that are kept beside a text; None if they are not, or it was changed."""
    kept = content.get("_coded")
    if not isinstance(kept, dict) or not isinstance(kept.get("data"), str):
        return None
    if kept.get("sha256") != hashlib.sha256(decoded).hexdigest():
        return None
    return from_base64(kept["data"])


def _unkept(response: Members, content: Members) -> Body:
    """The body where there is no text: there was none, or it has not been kept."""
    sent, size = response.size("bodySize"), content.size("size")
    if size == 0 or (size is None and sent == 0):
        return Body()
    # HTTP/2 has 0 for what was sent, at Chromium.
    return Body(None, size=sent or size)
