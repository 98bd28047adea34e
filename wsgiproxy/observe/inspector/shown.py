"""Exchanges as a page shows them: plain values for JSON, and nothing secret among them.

Bodies stay out, but for their sizes; see :mod:`wsgiproxy.observe.inspector.bodies`.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.bodies import Body
from wsgiproxy.observe.inspector.decoded import SHOWN, decoded
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Kept
from wsgiproxy.observe.inspector.message import Message
from wsgiproxy.observe.inspector.timing import bars
from wsgiproxy.sansio.differences import Change, compare, compare_answers, joined
from wsgiproxy.sansio.events import events
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.message import Headers, Request, ResponseHead
from wsgiproxy.sansio.secrets import MASK, Secrets

__all__ = ["detail", "masked_headers", "masked_target", "sent_headers", "summary"]

# Bytes of a message or an event, those of a message in hex, and how many events: a page is no file.
_SHORT = 4096
_HEX = 1024
_EVENTS = 1000
_USERINFO = re.compile(r"(?<=//)[^/?#\s@]*@")
_STREAM = "text/event-stream"


def summary(exchange: Exchange, secrets: Secrets) -> dict[str, Any]:
    """One line of the list."""
    answer, ended = exchange.answer, exchange.ended
    answer_headers: Headers = [] if answer is None else answer.headers
    media_type = value_of(answer_headers, "Content-Type").partition(";")[0].strip().lower()
    kind = "events" if media_type == _STREAM else "http"
    attempts = [attempt for attempt in list(exchange.attempts) if not attempt.is_own]
    errors = list(exchange.errors)
    return {
        "number": exchange.number,
        "began": exchange.began,
        "method": exchange.request.method,
        "target": masked_target(exchange.request.target, secrets),
        "host": value_of(exchange.request.headers, "Host"),
        "scheme": exchange.scheme,
        "client": exchange.client,
        "status": None if answer is None else answer.status,
        "reason": "" if answer is None else answer.reason,
        "kind": "websocket" if exchange.is_websocket else kind,
        "type": media_type,
        "upstream": attempts[-1].upstream if attempts else "",
        "attempts": len(attempts),
        "seconds": ended,
        "request_size": exchange.body.size if exchange.body else 0,
        "response_size": exchange.answer_body.size if exchange.answer_body else 0,
        "error": _masked_text(errors[-1], secrets) if errors else "",
        "replay_of": exchange.replay_of,
        "source": exchange.source,
        "messages": exchange.passed_messages,
    }


def detail(exchange: Exchange, secrets: Secrets) -> dict[str, Any]:
    """All of an exchange but its bodies."""
    request = exchange.request
    messages = list(exchange.messages)
    return {
        **summary(exchange, secrets),
        "request": {
            "method": request.method,
            "target": masked_target(request.target, secrets),
            "version": request.version,
            "headers": _fields(request.headers, secrets),
            "body": _body("request", exchange.body, request.headers),
        },
        "response": _answer(exchange.answer, "response", exchange.answer_body, secrets),
        "attempts": [
            _attempt(index, attempt, secrets) for index, attempt in enumerate(exchange.attempts)
        ],
        "differences": _differences(exchange, secrets),
        "timing": [{"name": bar.name, "from": bar.begin, "to": bar.end} for bar in bars(exchange)],
        "messages": [_message(message) for message in messages],
        "messages_dropped": exchange.passed_messages - len(messages),
        "events": _events(exchange),
        "errors": [_masked_text(error, secrets) for error in list(exchange.errors)],
    }


def masked_target(target: str, secrets: Secrets) -> str:
    """A request-target, or a URL, without a password and without secret parameters."""
    return secrets.target(target)


def _masked_text(text: str, secrets: Secrets) -> str:
    """A sentence; the addresses in it are masked."""
    return secrets.text(text)


def masked_headers(headers: Headers, secrets: Secrets) -> Headers:
    """Field lines, masked, and without the passwords of addresses."""
    return [
        (name, _USERINFO.sub(f"{MASK}@", secrets.value(name, value))) for name, value in headers
    ]


def _fields(headers: Headers, secrets: Secrets) -> list[dict[str, object]]:
    return [
        {"name": name, "value": masked, "masked": masked != value}
        for (name, value), (_, masked) in zip(
            headers, masked_headers(headers, secrets), strict=True
        )
    ]


def _body(name: str, kept: Kept | None, headers: Headers) -> dict[str, object] | None:
    return None if kept is None else Body(name, kept, headers).shown()


def _answer(
    head: ResponseHead | None, name: str, body: Kept | None, secrets: Secrets
) -> dict[str, object] | None:
    if head is None:
        return None
    return {
        "status": head.status,
        "reason": head.reason,
        "headers": _fields(head.headers, secrets),
        "body": _body(name, body, head.headers),
    }


def sent_headers(request: Request) -> Headers:
    """The field lines of a request as they went out, its framing and its upgrade among them."""
    headers = list(request.headers)
    if request.upgrade:
        headers += [("Connection", "Upgrade"), ("Upgrade", request.upgrade)]
    if request.chunked:
        headers.append(("Transfer-Encoding", "chunked"))
    elif request.content_length is not None:
        headers.append(("Content-Length", str(request.content_length)))
    return headers


def _attempt(index: int, attempt: Attempt, secrets: Secrets) -> dict[str, object]:
    request, name = attempt.request, f"attempt-{index}"
    headers = sent_headers(request)
    return {
        "upstream": attempt.upstream,
        "own": attempt.is_own,
        "reused": attempt.is_reused,
        "began": attempt.began,
        "connected": attempt.connected,
        "sent": attempt.sent,
        "answered": attempt.answered,
        "ended": attempt.ended,
        "error": _masked_text(attempt.error, secrets),
        "request": {
            "method": request.method,
            "target": masked_target(request.target, secrets),
            "headers": _fields(headers, secrets),
            "body": _body(f"{name}-request", attempt.body, request.headers),
        },
        "response": _answer(attempt.answer, f"{name}-response", attempt.answer_body, secrets),
    }


def _differences(exchange: Exchange, secrets: Secrets) -> dict[str, list[dict[str, object]]]:
    attempts = [attempt for attempt in list(exchange.attempts) if not attempt.is_own]
    request: list[dict[str, object]] = []
    response: list[dict[str, object]] = []
    if attempts:
        client, upstream = exchange.request.headers, sent_headers(attempts[-1].request)
        request = _masked(compare(client, upstream), client, upstream, secrets)
        if attempts[-1].answer is not None and exchange.answer is not None:
            client, upstream = exchange.answer.headers, attempts[-1].answer.headers
            response = _masked(compare_answers(client, upstream), client, upstream, secrets)
    return {"request": request, "response": response}


def _masked(
    changes: list[Change], client: Headers, upstream: Headers, secrets: Secrets
) -> list[dict[str, object]]:
    """Changes for the page. Each line is masked by itself: cookies, joined, would look like one."""
    sides = [joined(masked_headers(side, secrets)) for side in (client, upstream)]
    return [
        {
            "name": change.name,
            "state": change.state,
            "client": sides[0].get(change.name.lower()),
            "upstream": sides[1].get(change.name.lower()),
            "why": change.why,
        }
        for change in changes
    ]


def _message(message: Message) -> dict[str, object]:
    data = message.data[: _HEX if message.kind == "binary" else _SHORT]
    text = None if message.kind == "binary" else data.decode("utf-8", "replace")
    return {
        "seconds": message.seconds,
        "from": "client" if message.is_from_client else "upstream",
        "kind": message.kind,
        "size": message.size,
        "text": text,
        "hex": data.hex(" ") if text is None else None,
        "cut": len(data) < message.size,
    }


def _events(exchange: Exchange) -> list[dict[str, object]]:
    head, kept = exchange.answer, exchange.answer_body
    if head is None or kept is None:
        return []
    body = Body("", kept, head.headers)
    if body.media_type != _STREAM:
        return []
    data = kept.read(SHOWN)
    plain = decoded(data, body.coding).data
    return [
        {
            # The offsets of a coded stream are not those of what has passed.
            "seconds": kept.arrived(event.end) if plain == data else None,
            "event": event.event,
            "id": event.id[:_SHORT],
            "data": event.data[:_SHORT],
            "cut": len(event.data) > _SHORT,
        }
        for event in islice(events(plain), _EVENTS)
    ]
