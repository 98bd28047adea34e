"""Exchanges as an HTTP archive (HAR 1.2), whose text gives the same bytes again.

It writes nothing that the specification forbids; what it has no member for begins with ``_``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote

from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.har.coding import DECODERS, Decoders, as_text, codings, to_base64, undone
from wsgiproxy.sansio.har.cookies import cookies_of_answer, cookies_of_request
from wsgiproxy.sansio.har.entry import Answer, Body, Entry, Message, Timings
from wsgiproxy.sansio.har.moment import as_moment
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import SHOWN, Secrets

__all__ = ["har", "har_entry", "har_text"]

# All that may stand in a path, a query or a fragment, an escape's sign included (RFC 3986, 3.3).
_IN_URL = "%/:@!$&'()*+,;=?#~"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# What Chromium writes where there is no type.
_NO_TYPE = "x-unknown"


def har(
    entries: Iterable[Entry],
    *,
    version: str,
    mask: Secrets = SHOWN,
    decoders: Decoders = DECODERS,
) -> dict[str, Any]:
    """An archive as an object for JSON.

    :param version: of this package.
    :param mask: what is written in place of values of fields, and of URLs.
    :param decoders: what undoes content codings; a body whose coding is not among them is
        written as it is coded.

    >>> made = har([Entry(0.0, "GET", "http://a.example/?b=c", "HTTP/1.1", [])], version="1.0")
    >>> made["log"]["entries"][0]["request"]["queryString"]
    [{'name': 'b', 'value': 'c'}]
    """
    found = [har_entry(entry, mask=mask, decoders=decoders) for entry in entries]
    return {"log": {**_head(version), "entries": found}}


def har_text(
    entries: Iterable[Entry],
    *,
    version: str,
    mask: Secrets = SHOWN,
    decoders: Decoders = DECODERS,
) -> Iterator[str]:
    """The text of an archive, piece by piece, so that one entry alone is held in memory.

    The parameters are those of :func:`har`.

    >>> json.loads("".join(har_text([], version="1.0")))["log"]["entries"]
    []
    """
    head = json.dumps(_head(version), indent=1)[:-2]
    yield f'{{"log": {head},\n "entries": ['
    comma = "\n"
    for entry in entries:
        made = har_entry(entry, mask=mask, decoders=decoders)
        yield comma + json.dumps(made, indent=1, ensure_ascii=True)
        comma = ",\n"
    yield "\n]}}\n"


def _head(version: str) -> dict[str, Any]:
    creator = {"name": "wsgiproxy", "version": version}
    return {"version": "1.2", "creator": creator, "pages": []}


def har_entry(
    entry: Entry, *, mask: Secrets = SHOWN, decoders: Decoders = DECODERS
) -> dict[str, Any]:
    """One exchange as a member of ``log.entries``; the parameters are those of :func:`har`."""
    timings = _timings(entry.timings)
    made: dict[str, Any] = {
        "startedDateTime": as_moment(entry.started),
        # A handshake of TLS is a part of connecting.
        "time": sum(each for name, each in timings.items() if each > 0 and name != "ssl"),
        "request": _request(entry, mask),
        "response": _response(entry, mask, decoders),
        "cache": {},
        "timings": timings,
    }
    if _is_address(entry.server):
        made["serverIPAddress"] = entry.server
    if entry.connection:
        made["connection"] = entry.connection
    if entry.messages:
        made["_resourceType"] = "websocket"
        made["_webSocketMessages"] = [_message(each) for each in entry.messages]
    if entry.comment:
        made["comment"] = entry.comment
    return made


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text)) and "%" not in text
    except ValueError:
        return False


def _timings(timings: Timings) -> dict[str, float]:
    """The first four may be -1; the others have to be there, and cannot be unknown."""
    may_lack = ("blocked", "dns", "connect", "ssl")
    return {
        name: (-1 if name in may_lack else 0) if value is None else value
        for name, value in timings._asdict().items()
    }


def _message(message: Message) -> dict[str, Any]:
    """As Chromium writes it; bytes are in base64."""
    text = to_base64(message.data)
    if message.opcode == 1:
        text = message.data.decode("utf-8", "replace")
    return {
        "type": message.direction,
        "time": message.at,
        "opcode": message.opcode,
        "data": text,
    }


def _fields(headers: Headers, mask: Secrets) -> Headers:
    return [(name, mask.value(name, value)) for name, value in headers]


def _pairs(headers: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _legal(url: str) -> str:
    """A URL with what must not be in one percent-encoded, such as the brackets of a query."""
    start = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", url)
    at = start.end() if start else 0
    rest = quote(_LONE_PERCENT.sub("%25", url[at:]), safe=_IN_URL)
    text, mark, fragment = rest.partition("#")
    return url[:at] + text + mark + fragment.replace("#", "%23")


def _request(entry: Entry, mask: Secrets) -> dict[str, Any]:
    headers, url = _fields(entry.headers, mask), mask.target(entry.url)
    query = url.partition("#")[0].partition("?")[2]
    made: dict[str, Any] = {
        "method": entry.method,
        "url": _legal(url),
        "httpVersion": entry.http_version,
        "cookies": cookies_of_request(headers),
        "headers": _pairs(headers),
        "queryString": _pairs(parse_qsl(query, keep_blank_values=True)),
        **_sizes(entry.body),
    }
    if entry.body != Body():
        made["postData"] = _post_data(entry.body, value_of(headers, "content-type"))
    return made


def _sizes(body: Body) -> dict[str, int]:
    """What a head takes on the wire is not known: the way it was written is not kept."""
    size = body.whole_size
    return {"headersSize": -1, "bodySize": -1 if size is None else size}


def _post_data(body: Body, mime: str) -> dict[str, Any]:
    made: dict[str, Any] = {"mimeType": mime}
    if body.data is not None:
        text = None if body.is_cut else as_text(body.data, mime)
        if text is None:
            # HAR 1.2 has no member for it here, as it has for a content.
            made |= {"text": to_base64(body.data), "_encoding": "base64"}
        else:
            made["text"] = text
    if body.is_cut:
        made |= {"_isCut": True, "comment": _cut(body)}
    return made


def _cut(body: Body) -> str:
    whole = "more" if body.size is None else f"{body.size} bytes"
    return f"the first {len(body.data or b'')} of {whole}"


def _response(entry: Entry, mask: Secrets, decoders: Decoders) -> dict[str, Any]:
    answer = entry.answer
    if answer is None:  # as Chromium writes a failure
        made = _response_of(Answer(0, "", "", []), mask, decoders)
        return {**made, "bodySize": -1, "_error": entry.error}
    return _response_of(answer, mask, decoders)


def _response_of(answer: Answer, mask: Secrets, decoders: Decoders) -> dict[str, Any]:
    headers = _fields(answer.headers, mask)
    return {
        "status": answer.status,
        "statusText": answer.reason,
        "httpVersion": answer.http_version,
        "cookies": cookies_of_answer(headers),
        "headers": _pairs(headers),
        "content": _content(answer, decoders),
        "redirectURL": mask.target(value_of(headers, "location")),
        **_sizes(answer.body),
    }


def _content(answer: Answer, decoders: Decoders) -> dict[str, Any]:
    body, mime = answer.body, value_of(answer.headers, "content-type")
    size = body.whole_size
    made: dict[str, Any] = {
        "size": -1 if size is None else size,
        "mimeType": mime or _NO_TYPE,
    }
    if body.data is None:
        return made
    if body.is_cut:
        # A text that ends within a character is none, nor can a part of a coding be undone.
        return {**made, **_in_base64(body.data), "_isCut": True, "comment": _cut(body)}
    applied = codings(answer.headers)
    if applied:
        return {**made, **_coded(body.data, applied, mime, decoders)}
    return {**made, **_plain(body.data, mime)}


def _plain(data: bytes, mime: str) -> dict[str, Any]:
    text = as_text(data, mime)
    return _in_base64(data) if text is None else {"text": text}


def _in_base64(data: bytes) -> dict[str, Any]:
    return {"text": to_base64(data), "encoding": "base64"}


def _coded(data: bytes, applied: list[str], mime: str, decoders: Decoders) -> dict[str, Any]:
    """A coded body: decoded for readers, and as it was for those that send it again."""
    decoded = undone(data, applied, decoders)
    if decoded is None:
        comment = f"text is the body as it was sent, coded by {', '.join(applied)}"
        return {**_in_base64(data), "_isCoded": True, "comment": comment} if data else {"text": ""}
    return {
        "size": len(decoded),
        "compression": len(decoded) - len(data),
        **_plain(decoded, mime),
        # Another program that compresses it may come to other bytes. The digest says whether the
        # text has been changed since.
        "_coded": {"data": to_base64(data), "sha256": hashlib.sha256(decoded).hexdigest()},
    }
