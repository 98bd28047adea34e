"""A request to be sent again, as it was or edited: what the page masked means what was there.

It refuses what would not be one well-formed request.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from typing import Any, NamedTuple

from wsgiproxy.observe.inspector.bodies import Body
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.preview import is_form, masked_body
from wsgiproxy.observe.inspector.shown import masked_headers, masked_target
from wsgiproxy.sansio.fields.names import value_of, without
from wsgiproxy.sansio.grammar import is_field_value, is_length, is_token
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.multipart import boundary_of
from wsgiproxy.sansio.secrets import MASK, Secrets

__all__ = ["Replayed", "editable", "edited"]

# Bytes of a body that can be edited as text.
_EDITED = 1 << 20
# The length of the new body is its own.
_FRAMING = ("Content-Length", "Transfer-Encoding")


class Replayed(NamedTuple):
    """A request to be sent again.

    :param method: token.
    :param target: the request-target.
    :param headers: field lines, Host included, without Content-Length and Transfer-Encoding.
    :param body: whole.
    """

    method: str
    target: str
    headers: Headers
    body: bytes


def editable(exchange: Exchange, secrets: Secrets) -> dict[str, Any]:
    """The request of an exchange for a form in which it is edited."""
    request = exchange.request
    text = _text(exchange, secrets)
    return {
        "method": request.method,
        "target": masked_target(request.target, secrets),
        "headers": [list(field) for field in _masked(exchange, secrets)],
        "body": text,
        "body_encoding": "same" if text is None else "text",
    }


def _masked(exchange: Exchange, secrets: Secrets) -> Headers:
    return masked_headers(without(exchange.request.headers, _FRAMING), secrets)


def _text(exchange: Exchange, secrets: Secrets) -> str | None:
    """The body as text that is the same bytes again; None if there is none."""
    kept = exchange.body
    if _is_unread(exchange):
        return None
    if kept is None or not kept.size:
        return ""
    body = Body("request", kept, exchange.request.headers)
    if kept.is_cut or kept.size > _EDITED or body.coding or boundary_of(body.content_type):
        return None
    try:
        text = masked_body(kept.read(), body.content_type, secrets).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text or _is_mixed(text) else text


def _is_mixed(text: str) -> bool:
    """Whether the ends of lines would not be the same again behind a form of a browser."""
    rest = text.replace("\r\n", "")
    return "\r" in rest or ("\n" in rest and "\r\n" in text)


def edited(exchange: Exchange, changes: object, secrets: Secrets) -> Replayed:
    """The request of an exchange with what was edited of it.

    :param changes: as the page sends them: ``method``, ``target``, ``headers``, ``body`` and
        ``body_encoding``; what is not there stays.
    :raises ValueError: it would be no request, or the body was not kept; the text is a sentence.
    """
    if not isinstance(changes, dict):
        raise ValueError("The changes are no JSON object.")
    request = exchange.request
    method, target = changes.get("method", request.method), changes.get("target")
    if not isinstance(method, str) or not is_token(method):
        raise ValueError("The method is no token, such as GET.")
    target = request.target if target is None else _target(target, request.target, secrets)
    headers = without(request.headers, _FRAMING)
    if changes.get("headers") is not None:
        headers = _headers(changes["headers"], headers, secrets)
    return Replayed(method, target, headers, _body(exchange, changes, secrets))


def _target(new: object, old: str, secrets: Secrets) -> str:
    if not isinstance(new, str) or (new != masked_target(old, secrets) and not _is_target(new)):
        raise ValueError("The target has to begin with '/', and must be ASCII without blanks.")
    return old if new == masked_target(old, secrets) else _restored(new, old, secrets, "?")


def _is_target(text: str) -> bool:
    return text.startswith("/") and all("!" <= each <= "~" for each in text)


def _restored(new: str, old: str, secrets: Secrets, mark: str = "") -> str:
    """Parameters of a form, or of a query behind *mark*; the masked ones get their old values."""
    start, old = ("", old) if not mark else ("", old.partition(mark)[2])
    if mark:
        start, found, new = new.partition(mark)
        start += found
    known: defaultdict[str, list[str]] = defaultdict(list)
    for part in old.split("&"):
        name, _, value = part.partition("=")
        known[name].append(value)
    parts = []
    for part in new.split("&"):
        name, sign, value = part.partition("=")
        values = known[name]
        before = values.pop(0) if values else None
        is_masked = value == MASK and before is not None and secrets.is_secret_parameter(name)
        parts.append(f"{name}{sign}{before}" if is_masked else part)
    return start + "&".join(parts)


def _headers(new: object, old: Headers, secrets: Secrets) -> Headers:
    known: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for (name, value), (_, masked) in zip(old, masked_headers(old, secrets), strict=True):
        known[name.lower()].append((masked, value))
    headers = [
        (name, _value(name, value, known[name.lower()])) for name, value in _field_lines(new)
    ]
    for name, value in headers:
        if not is_token(name):
            raise ValueError(f"The name of the field {name[:80]!r} is no token.")
        if not is_field_value(value):
            raise ValueError(f"The value of {name[:80]} has a character that no field may have.")
    return without(headers, _FRAMING)


def _field_lines(new: object) -> Headers:
    """Field lines as JSON has them."""
    lines: Headers = []
    for field in new if isinstance(new, list) else [None]:
        if not isinstance(field, list) or [type(each) for each in field] != [str, str]:
            raise ValueError("The fields have to be a list of lists of a name and a value.")
        lines.append((field[0], field[1]))
    return lines


def _value(name: str, value: str, known: list[tuple[str, str]]) -> str:
    """What a value means: masked, the first one that looked like this and is not taken yet."""
    for index, (masked, old) in enumerate(known):
        if masked == value:
            del known[index]
            return old
    return _cookies(value, known) if name.lower() == "cookie" and MASK in value else value


def _cookies(value: str, known: list[tuple[str, str]]) -> str:
    """Some cookies were edited; those that are still masked get their old values."""
    old = [pair.strip() for _, before in known for pair in before.split(";")]
    values = {pair.partition("=")[0]: pair for pair in old}
    pairs = [pair.strip() for pair in value.split(";")]
    return "; ".join(
        values.get(pair.partition("=")[0], pair) if pair.endswith(f"={MASK}") else pair
        for pair in pairs
    )


def _body(exchange: Exchange, changes: dict[str, Any], secrets: Secrets) -> bytes:
    encoding, body = changes.get("body_encoding", "text"), changes.get("body")
    if encoding == "same" or body is None:
        return _same(exchange)
    if not isinstance(body, str):
        raise ValueError("The body is no text.")
    if encoding == "base64":
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error:
            raise ValueError("The body is not base64.") from None
    if encoding != "text":
        raise ValueError("The encoding of the body is none of text, base64, same.")
    before = _text(exchange, secrets)
    if before and "\r\n" in before and "\r" not in body:  # forms of browsers have \n alone
        body = body.replace("\n", "\r\n")
    if body == before:
        return _same(exchange)
    kept = exchange.body
    if kept is not None and before and is_form(value_of(exchange.request.headers, "Content-Type")):
        body = _restored(body, kept.read().decode("utf-8", "replace"), secrets)
    try:
        return body.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("The body has half a character (a lone surrogate).") from None


def _is_unread(exchange: Exchange) -> bool:
    """Whether the application has not read the body, or not to its end: only that is kept."""
    length = value_of(exchange.request.headers, "Content-Length")
    size = exchange.body.size if exchange.body else 0
    return is_length(length) and int(length) != size and not exchange.source


def _same(exchange: Exchange) -> bytes:
    kept = exchange.body
    if _is_unread(exchange):
        raise ValueError("The application has not read the whole body, and so it was not kept.")
    if kept is None:
        return b""
    data = kept.read()
    if len(data) < kept.size:
        raise ValueError("The body was kept only in part, and so it cannot be sent again.")
    return data
