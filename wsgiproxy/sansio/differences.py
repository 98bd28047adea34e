"""The changes of a proxy to a request and to its response: the fields of both sides, explained.

The explanations follow the rules of the proxy, and not its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wsgiproxy.sansio.fields.connection import (
    connection_options,
    end_to_end,
    for_client,
    is_hop_or_ours,
)
from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.fields.namespace import is_command
from wsgiproxy.sansio.message import Headers

__all__ = ["STATES", "Change", "compare", "compare_answers", "joined"]

#: In the order of a page.
STATES = ("changed", "removed", "added", "same")


class Change(NamedTuple):
    """One field on both sides; None where it was not.

    :param name: as it is spelled at the client's side, if it is there.
    :param state: one of :data:`STATES`.
    :param client: at the client's side.
    :param upstream: at the upstream's side.
    :param why: a sentence, empty if there is nothing to explain.
    """

    name: str
    state: str
    client: str | None
    upstream: str | None
    why: str


_ADDED = {
    "x-forwarded-host": "The host that you asked for.",
    "x-forwarded-proto": "The scheme that you asked with.",
    "x-forwarded-port": "The port that you asked at.",
    "x-forwarded-for": "Your address, as the proxy’s own socket knows it.",
    "x-forwarded-prefix": "The path below which the backend is mounted.",
    "x-forwarded-server": "The host again, by the name that WSGIProxy 0.2 gave it.",
    "x-forwarded-scheme": "The scheme again, by the name that WSGIProxy 0.2 gave it.",
    "x-forwarded-script-name": "The path again, by the name that WSGIProxy 0.2 gave it.",
    "via": "Every proxy signs here, and so notices when it meets itself.",
    "wsgiproxy": "The envelope: all that the proxy says of your request, in one signed piece.",
    "signature": "Proves that the envelope comes from the holder of the key (RFC 9421).",
    "signature-input": "What is signed, when, and with which key.",
    "x-request-id": "A number by which logs know your request again.",
    "transfer-encoding": "The length of the body is not known before its end.",
    "content-length": "The length of the body is known now.",
}
_CHANGED = {
    "host": "The backend’s own address. With --preserve-host it would see yours.",
    "via": "Every proxy signs here, after those before it.",
    "x-request-id": "Replaced by a number that only the proxy can give.",
    "content-length": "The body was changed on its way.",
}
_REMOVED = {
    "expect": "The server in front of the proxy answers it itself.",
    "proxy": "A CGI program would take it for its outgoing proxy (CVE-2016-5385).",
    "content-length": "The length of the body is not known before its end.",
}
_FORGED = "The client may not say this. The proxy knows better."
_NAMED = "Named in Connection, so it was meant for the first hop alone."
_ONE_HOP = "Speaks about one connection, not about the request."

_ANSWER_ADDED = {
    "via": "Every proxy signs here.",
    "server-timing": "How long the proxy and the upstream took.",
    "set-cookie": "A cookie of the proxy, such as the one that keeps a client at its upstream.",
    "x-request-id": "A number by which logs know your request again.",
    "content-encoding": "The body was compressed on its way.",
    "content-length": "The length of the body is known now.",
    "date": "The upstream gave none.",
}
_ADDRESS = "The upstream’s own address, turned into the one that the client knows."
_ANSWER_CHANGED = {
    "location": _ADDRESS,
    "content-location": _ADDRESS,
    "refresh": _ADDRESS,
    "link": _ADDRESS,
    "destination": _ADDRESS,
    "set-cookie": "Its path and its domain are those that the client knows.",
    "www-authenticate": "The addresses in it are those that the client knows.",
    "via": "Every proxy signs here, after those before it.",
    "vary": "The response depends on more than the upstream knows.",
    "etag": "The body was changed on its way.",
    "content-length": "The body was changed on its way.",
    "content-encoding": "The body was changed on its way.",
}
_ANSWER_REMOVED = {
    "alt-svc": "The upstream’s other addresses are not those that the client knows.",
    "status": "Gateways to CGI would take it for the status.",
    "content-length": "The body was changed on its way, or its length is told otherwise.",
    "content-encoding": "The body was changed on its way.",
    "etag": "The body was changed on its way.",
}
_ANSWER_ONE_HOP = "Speaks about one connection, not about the response."
_COMMAND = "Commands the server in front, and is not for clients."


def _why_request(name: str, state: str, named: frozenset[str]) -> str:
    key, normalized = name.lower(), normalized_name(name)
    if state == "added":
        return _ADDED.get(key, "")
    if state == "changed":
        return _FORGED if is_hop_or_ours(name) else _CHANGED.get(key, "")
    if normalized in named:
        return _NAMED
    if key in _REMOVED:
        return _REMOVED[key]
    if not end_to_end([(name, "")]):
        return _ONE_HOP
    return _FORGED if is_hop_or_ours(name) else ""


def _why_answer(name: str, state: str, named: frozenset[str]) -> str:
    key, normalized = name.lower(), normalized_name(name)
    if state != "removed":
        return (_ANSWER_ADDED if state == "added" else _ANSWER_CHANGED).get(key, "")
    if normalized in named:
        return _NAMED
    if key in _ANSWER_REMOVED:
        return _ANSWER_REMOVED[key]
    if is_command(normalized):
        return _COMMAND
    return "" if for_client([(name, "")]) else _ANSWER_ONE_HOP


def compare(client: Headers, upstream: Headers) -> list[Change]:
    """All fields of both sides of a request, by state and then by name.

    :param client: the field lines that came from the client.
    :param upstream: those that went to the upstream.

    >>> compare([("A", "1"), ("Keep-Alive", "5")], [("A", "1")])[0].state
    'removed'
    """
    sent, got = _by_name(client), _by_name(upstream)
    return _changes(sent, got, sent, got, _why_request, connection_options(client))


def compare_answers(client: Headers, upstream: Headers) -> list[Change]:
    """The same of a response, which goes the other way.

    :param client: the field lines that went to the client.
    :param upstream: those that came from the upstream.

    >>> compare_answers([("Location", "/a")], [("Location", "http://upstream/a")])[0].why
    'The upstream’s own address, turned into the one that the client knows.'
    """
    sent, got = _by_name(upstream), _by_name(client)
    return _changes(sent, got, got, sent, _why_answer, connection_options(upstream))


_Joined = dict[str, tuple[str, str]]


def _changes(
    sent: _Joined,
    got: _Joined,
    client: _Joined,
    upstream: _Joined,
    why: Callable[[str, str, frozenset[str]], str],
    named: frozenset[str],
) -> list[Change]:
    changes = []
    for key, (name, _) in (upstream | client).items():
        state = _state(sent.get(key), got.get(key))
        values = [side[key][1] if key in side else None for side in (client, upstream)]
        reason = "" if state == "same" else why(name, state, named)
        changes.append(Change(name, state, values[0], values[1], reason))
    return sorted(changes, key=lambda change: (STATES.index(change.state), change.name.lower()))


def _state(sent: tuple[str, str] | None, got: tuple[str, str] | None) -> str:
    if got is None:
        return "removed"
    if sent is None:
        return "added"
    return "same" if sent[1] == got[1] else "changed"


def _by_name(headers: Headers) -> _Joined:
    joined: _Joined = {}
    for name, value in headers:
        before = joined.get(name.lower())
        joined[name.lower()] = (name, f"{before[1]}, {value}" if before else value)
    return joined


def joined(headers: Headers) -> dict[str, str]:
    """The values of fields by name in lower case; several of one name become one (RFC 9110, 5.3).

    >>> joined([("A", "1"), ("a", "2")])
    {'a': '1, 2'}
    """
    return {key: value for key, (_, value) in _by_name(headers).items()}
