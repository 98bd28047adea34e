"""Exchanges of an HTTP archive, as browsers and other proxies write them.

What is missing gets its usual meaning; what would be sent wrongly is refused with its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.fields.names import value_of, without
from wsgiproxy.sansio.grammar import NO_BODY, is_field_value, is_token
from wsgiproxy.sansio.har.bodies import content_of, form_of, request_text
from wsgiproxy.sansio.har.coding import DECODERS, Decoders, from_base64
from wsgiproxy.sansio.har.entry import Answer, Body, Entry, Message, Timings
from wsgiproxy.sansio.har.moment import as_seconds
from wsgiproxy.sansio.har.values import Members, wrong
from wsgiproxy.sansio.message import Headers

__all__ = ["entries_of"]

_SCHEMES = ("http", "https", "ws", "wss")


def entries_of(text: str | bytes, *, decoders: Decoders = DECODERS) -> list[Entry]:
    """The exchanges of an archive in their order; those of other schemes than HTTP's are left out.

    :param text: JSON; as bytes in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
    :param decoders: what tells a body that is still coded from one that a program has decoded and
        whose Content-Encoding it has left.
    :raises ConfigurationError: it is no archive; with the place of the first fault.

    >>> entries_of('{"log": {"entries": []}}')
    []
    >>> entries_of('{"log": {"entries": [{"request": 5}]}}')
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: log.entries[0].request is 5; expected an object
    """
    log = Members(_parsed(text), "the file").get("log")
    if log is None:
        raise ConfigurationError("the file has no member log; expected an HTTP archive (HAR 1.2)")
    found = []
    for number, each in enumerate(Members(log, "log").items("entries")):
        entry = _entry(Members(each, f"log.entries[{number}]"), decoders)
        if entry is not None:
            found.append(entry)
    return found


def _parsed(text: str | bytes) -> object:
    try:
        return json.loads(text.removeprefix("\ufeff") if isinstance(text, str) else text)
    except RecursionError as error:
        raise ConfigurationError("the file is nested too deeply for an HTTP archive") from error
    except ValueError as error:
        reason = str(error)[:200]
        raise ConfigurationError(f"the file is no JSON: {reason}") from error


def _entry(entry: Members, decoders: Decoders) -> Entry | None:
    request = entry.member("request")
    url = _url(request)
    if url is None:
        return None
    method = request.text("method")
    if not is_token(method):
        wrong(request.place("method"), method, "a method, such as GET")
    headers = _headers(request)
    response = entry.member("response")
    answer = _answer(response, method, decoders)
    error = ""
    if answer is None:
        told = response.get("_error") or response.get("statusText") or "there was no answer"
        error = str(told)[:1000]
    return Entry(
        as_seconds(entry.get("startedDateTime")),
        method,
        url,
        _version(request),
        headers,
        _body(request, headers),
        answer,
        error,
        Timings(*map(entry.member("timings").number, Timings._fields)),
        entry.text("serverIPAddress").strip("[]"),
        str(entry.get("connection") or ""),
        tuple(_messages(entry)),
        entry.text("comment"),
    )


def _url(request: Members) -> str | None:
    """The URL; None for one of another scheme, such as the data of a page."""
    url = request.text("url")
    try:
        parts = urlsplit(url)
        is_absolute = bool(parts.scheme and (parts.hostname or parts.scheme not in _SCHEMES))
    except ValueError:
        is_absolute = False
    if not is_absolute:
        wrong(request.place("url"), url, "an absolute URL")
    return url if parts.scheme in _SCHEMES else None


def _version(message: Members) -> str:
    version = message.get("httpVersion")
    return version if isinstance(version, str) else ""


def _headers(message: Members) -> Headers:
    """Field lines; the pseudo fields of HTTP/2 and 3 say nothing that is not in the URL."""
    found: Headers = []
    for number, each in enumerate(message.items("headers")):
        field = Members(each, f"{message.where}.headers[{number}]")
        name = field.text("name").strip()
        if name.startswith(":"):
            continue
        if not is_token(name):
            wrong(field.place("name"), name, "the name of a field")
        # Chromium and Safari join the lines of fields that are there several times.
        for line in field.text("value").replace("\r", "\n").split("\n"):
            found.append((name, _value(line.strip(" \t"), field)))
    return found


def _value(value: str, field: Members) -> str:
    """A value as latin-1 text; a program may have decoded it as UTF-8."""
    if any(each > "\xff" for each in value):
        value = value.encode("utf-8", "surrogateescape").decode("latin-1")
    if not is_field_value(value):
        wrong(field.place("value"), value, "a value without control characters")
    return value


def _body(request: Members, headers: Headers) -> Body:
    """The body of a request. Without ``postData`` there is none, unless its size says another."""
    size = request.size("bodySize")
    if request.get("postData") is None:
        # A browser that could not keep an upload says its size alone.
        return Body(None, size=size) if size else Body()
    posted = request.member("postData")
    mime = value_of(headers, "content-type") or posted.text("mimeType")
    data = request_text(posted, mime)
    if data is None:
        data = form_of(posted, mime)
    is_cut = posted.get("_isCut") is True
    if data is None or is_cut:
        return Body(data, is_cut=is_cut, size=size)
    return Body(data)


def _status(response: Members) -> int:
    """The status; 0 if there was no answer."""
    status = response.get("status")
    if status in (None, "", -1):
        return 0
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status[:4])
    is_status = isinstance(status, (int, float)) and not isinstance(status, bool)
    if not is_status or not (status == 0 or 100 <= status <= 999) or status != int(status):
        wrong(response.place("status"), response.get("status"), "a status from 100 to 999, or 0")
    return int(status)


def _answer(response: Members, method: str, decoders: Decoders) -> Answer | None:
    status = _status(response)
    if status == 0:
        return None
    headers = _headers(response)
    reason = response.text("statusText")
    if any(each > "\xff" for each in reason):
        reason = reason.encode("utf-8", "surrogateescape").decode("latin-1")
    if not is_field_value(reason):
        wrong(response.place("statusText"), reason, "a reason phrase")
    body, is_decoded = content_of(response, headers, decoders)
    if body.data is None and not body.size and (method == "HEAD" or status in NO_BODY):
        body = Body()
    if is_decoded:
        headers = without(headers, ["Content-Encoding"])
    return Answer(status, reason, _version(response), headers, body)


def _messages(entry: Members) -> Iterable[Message]:
    """Messages of a WebSocket. Others than texts and bytes are left out: Chromium lists errors."""
    items: Any = entry.get("_webSocketMessages")
    for each in items if isinstance(items, list) else ():
        message = Members(each, entry.place("_webSocketMessages[]"))
        direction, opcode = message.get("type"), message.get("opcode")
        data = message.get("data")
        is_known = direction in ("send", "receive") and opcode in (1, 2)
        if not is_known or not isinstance(data, str):
            continue
        found = data.encode("utf-8", "replace") if opcode == 1 else from_base64(data)
        if found is not None:
            yield Message(message.number("time") or 0.0, direction, opcode, found)
