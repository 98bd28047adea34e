"""Exchanges that are kept as entries of an HTTP archive, and entries of one as exchanges."""

from __future__ import annotations

from http.client import responses
from urllib.parse import urlsplit

from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.kept import Kept
from wsgiproxy.observe.inspector.preview import masked_body
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.har.entry import Answer, Body, Entry, Message, Timings
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import Secrets

__all__ = ["add_entry", "entry_of"]

_SECRETS = Secrets()
# Seconds of a step; a year.
_LONGEST = 366 * 86400.0
_OPCODES = {"text": 1, "binary": 2}
_KINDS = {number: kind for kind, number in _OPCODES.items()}


def entry_of(exchange: Exchange, secrets: Secrets = _SECRETS) -> Entry:
    """The client's side of an exchange, with the times of the upstream's.

    :param secrets: what is masked in forms and in errors; fields and the address are masked when
        the entry is written.
    """
    request = exchange.request
    host = value_of(request.headers, "host") or "unknown"
    target = request.target
    url = target if target[:1] != "/" else f"{exchange.scheme}://{host}{target}"
    answer = None
    if exchange.answer is not None and exchange.answer.status:
        status, reason, headers = exchange.answer
        reason = reason or responses.get(status, "")
        body = _body(exchange.answer_body, headers, secrets)
        answer = Answer(status, reason, "HTTP/1.1", headers, body)
    return Entry(
        exchange.began,
        request.method,
        url,
        request.version,
        request.headers,
        _body(exchange.body, request.headers, secrets),
        answer,
        secrets.text("; ".join(exchange.errors)),
        _timings(exchange),
        messages=tuple(_messages(exchange)),
        comment=secrets.text(_comment(exchange)),
    )


def _body(body: Kept | None, headers: Headers, secrets: Secrets) -> Body:
    if body is None:
        return Body()
    data = body.read()
    if not value_of(headers, "content-encoding"):
        data = masked_body(data, value_of(headers, "content-type"), secrets)
    return Body(data, body.is_cut or not body.is_whole, body.size)


def _messages(exchange: Exchange) -> list[Message]:
    return [
        Message(
            exchange.began + each.seconds,
            "send" if each.is_from_client else "receive",
            _OPCODES[each.kind],
            each.data,
        )
        for each in list(exchange.messages)
        if each.kind in _OPCODES
    ]


def _comment(exchange: Exchange) -> str:
    found = [f"upstream {each.upstream}" for each in exchange.attempts if not each.is_own]
    if exchange.replay_of:
        found.append(f"sent again, of {exchange.replay_of}")
    if exchange.answer is not None and exchange.errors:
        found += exchange.errors
    return "; ".join(found)


def _timings(exchange: Exchange) -> Timings:
    """The steps of the last attempt, and before it the time in the proxy, in milliseconds."""
    own = [each for each in exchange.attempts if not each.is_own]
    answered, ended = exchange.answered, exchange.ended
    if not own:
        return Timings(
            send=0.0, wait=_milliseconds(0.0, answered), receive=_milliseconds(answered, ended)
        )
    last: Attempt = own[-1]
    ready = last.connected if last.connected is not None else last.began
    sent = max(ready, last.sent or 0.0)
    return Timings(
        blocked=_milliseconds(0.0, last.began),
        connect=_milliseconds(last.began, last.connected),
        send=_milliseconds(ready, sent),
        wait=_milliseconds(sent, last.answered),
        receive=_milliseconds(last.answered, ended),
    )


def _milliseconds(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, (end - begin) * 1000)


def add_entry(ring: Ring, entry: Entry, source: str) -> Exchange:
    """Keep an exchange of an archive among the others.

    :param source: the name of the file.
    """
    _, authority, path, query, _ = urlsplit(entry.url)
    target = (path or "/") + (f"?{query}" if query else "")
    headers = list(entry.headers)
    if not value_of(headers, "host"):
        headers.insert(0, ("Host", authority.rpartition("@")[2]))
    scheme = entry.url.partition(":")[0].replace("ws", "http", 1).lower()
    exchange = ring.new(KNOWN, (entry.method, target, entry.http_version, headers, ""), scheme)
    exchange.source, exchange.began = source, entry.started
    exchange.body = _kept(exchange, entry.body)
    if entry.answer is not None:
        answer = entry.answer
        exchange.begin_answer(f"{answer.status:03} {answer.reason}", answer.headers)
        exchange.answer_body = _kept(exchange, answer.body)
    if entry.error:
        exchange.errors = (entry.error,)
    for message in entry.messages:
        exchange.message(
            _KINDS.get(message.opcode, "binary"),
            message.data,
            is_from_client=message.direction == "send",
            seconds=message.at - entry.started,
        )
    _set_times(exchange, entry.timings)
    ring.add(exchange)
    return exchange


def _kept(exchange: Exchange, body: Body) -> Kept | None:
    if not body.data:
        return None
    kept = exchange.new_body()
    kept.add(body.data)
    kept.end(is_whole=not body.is_cut)
    if body.is_cut and body.size is not None:
        kept.size = max(kept.size, body.size)
    return kept


def _set_times(exchange: Exchange, timings: Timings) -> None:
    before = (timings.blocked, timings.dns, timings.connect, timings.send, timings.wait)
    answered = sum(map(_seconds, before))
    if exchange.answer is not None:
        exchange.answered = answered
    exchange.end()
    exchange.ended = answered + _seconds(timings.receive)


def _seconds(milliseconds: float | None) -> float:
    """A time of a file, which may say any number; an endless sum could not be shown."""
    return min((milliseconds or 0.0) / 1000, _LONGEST)
