"""Heads of requests and answers as they are kept: facts, of which heads are made when looked at.

Most exchanges are kept and never seen. An edge hands over what it has, as its server or
application has it, and the name of the function that makes a head of that; when the exchange has
ended, the facts become one block of bytes.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from http.client import responses
from operator import itemgetter
from typing import Any, NamedTuple

from wsgiproxy.observe.accesslog import Asked, asked_in_environ, asked_in_scope
from wsgiproxy.sansio.fields.names import spelled
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, ResponseHead
from wsgiproxy.sansio.policy.forward import ORIGIN

__all__ = [
    "ENVIRON",
    "KNOWN",
    "READERS",
    "SCOPE",
    "Asking",
    "RequestHead",
    "answer_head",
    "environ_facts",
    "packed",
    "scope_facts",
    "unpacked",
    "weight",
]

# Bytes of memory for one object without its text, about.
_OBJECT = 75


class RequestHead(NamedTuple):
    """The head of a request at the client's side.

    :param method: token.
    :param target: the request-target.
    :param version: such as ``HTTP/1.1``.
    :param headers: field lines, Host included.
    """

    method: str
    target: str
    version: str
    headers: Headers


class Asking(NamedTuple):
    """Who has asked for what.

    :param head: of the request.
    :param client: the address of the peer; empty where the server does not know it.
    """

    head: RequestHead
    client: str


def of_known(facts: Any) -> Asking:
    """Of a head that is made already, and the address.

    >>> of_known(("GET", "/a", "HTTP/1.1", [("Host", "b")], "192.0.2.1")).client
    '192.0.2.1'
    """
    *head, client = facts
    return Asking(RequestHead(*head), client)


# PEP 3333: the two fields that have keys of their own; empty means absent.
_OWN_KEYS = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


@remembered
def _field(key: str) -> str:
    """The name of a field for an environ key, however odd it is; empty for other keys."""
    if key.startswith("HTTP_"):
        return spelled(key[5:].replace("_", "-"))
    return _OWN_KEYS.get(key, "")


def environ_facts(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The texts of an environ; all else says nothing of the request."""
    return [item for item in environ.items() if type(item[1]) is str]


def of_environ(facts: Any) -> Asking:
    """Of the facts of an environ.

    >>> environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_HOST": "b", "wsgi.version": 1}
    >>> of_environ(environ_facts(environ)).head
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """
    texts: dict[str, str] = dict(facts)
    headers = [(name, texts[key]) for key in texts if (name := _field(key))]
    headers = [each for each in headers if each[1] or each[0] not in _OWN_KEYS.values()]
    version = texts.get("SERVER_PROTOCOL", "HTTP/1.1")
    return _asking(asked_in_environ(texts), version, headers)


# Members of a scope that say what was asked for; the first ones are there with most servers.
_ASKED = ("method", "raw_path", "path", "query_string", "client", "http_version")
_usual = itemgetter(*_ASKED)


def scope_facts(scope: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a scope says of the request."""
    try:
        # The application may change its list in place.
        return _usual(scope), scope["headers"][:], scope.get(ORIGIN)
    except (KeyError, TypeError):
        headers = scope.get("headers")
        # Of an iterator nothing would be left for it.
        headers = [*headers] if isinstance(headers, (list, tuple)) else []
        return tuple(map(scope.get, _ASKED)), headers, scope.get(ORIGIN)


def of_scope(facts: Any) -> Asking:
    """Of the facts of a scope, where names of fields have lost their letter case.

    >>> of_scope(scope_facts({"method": "GET", "path": "/a", "headers": [(b"host", b"b")]})).head
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """
    asked, headers, origin = facts
    pairs = zip((*_ASKED, ORIGIN), (*asked, origin), strict=True)
    scope = {name: value for name, value in pairs if value is not None}
    version = f"HTTP/{scope.get('http_version', '1.1')}"
    return _asking(asked_in_scope(scope), version, fields_in(headers))


#: Which facts they are, and what makes a head of them.
KNOWN, ENVIRON, SCOPE = range(3)
READERS: tuple[Callable[[Any], Asking], ...] = (of_known, of_environ, of_scope)


def _asking(asked: Asked, version: str, headers: Headers) -> Asking:
    target = f"{asked.path}?{asked.query}" if asked.query else asked.path
    return Asking(RequestHead(asked.method, target, version, headers), asked.client)


@remembered
def _text(name: bytes) -> str:
    return spelled(name.decode("latin-1"))


def fields_in(pairs: Any) -> Headers:
    """Field lines of ASGI as text."""
    return [(_text(bytes(name)), bytes(value).decode("latin-1")) for name, value in pairs]


def answer_head(status: Any, headers: Any) -> ResponseHead:
    """The head of an answer, as an application has given it.

    :param status: text of WSGI (``404 Not Found``), or the number of ASGI.
    :param headers: field lines of either.

    >>> answer_head("404 Not Found", [("A", "b")])
    ResponseHead(status=404, reason='Not Found', headers=[('A', 'b')])
    >>> answer_head(404, [(b"a", b"b")])
    ResponseHead(status=404, reason='Not Found', headers=[('A', 'b')])
    """
    if not isinstance(status, str):
        return ResponseHead(int(status), responses.get(status, ""), fields_in(headers or ()))
    code, _, reason = status.partition(" ")
    number = int(code) if len(code) == 3 and code.isdecimal() else 0
    try:
        lines = [(str(name), str(value)) for name, value in headers]
    except (TypeError, ValueError):  # no pairs, which the server refuses
        lines = []
    return ResponseHead(number, reason, lines)


def packed(facts: Any) -> bytes | None:
    """Facts as one block of bytes; None if there are others than plain ones among them.

    A hundred small objects that are kept for each exchange would cost more than all else: the next
    request could not have their memory, which is still in the processor's cache.

    >>> unpacked(packed(("GET", [("A", "b")], 1.5, None))), packed([object()])
    (('GET', [('A', 'b')], 1.5, None), None)
    """
    try:
        # The version before objects were looked up, to write each of them once: that costs more.
        return marshal.dumps(facts, 2)
    except ValueError:
        return None


#: The facts that were packed.
unpacked: Callable[[bytes], Any] = marshal.loads


def weight(facts: Any, depth: int = 8) -> int:
    """Bytes of memory for facts that could not be packed, about.

    :param depth: how far down lists are followed; one may be in itself.

    >>> weight([("A", "b")]), weight(b"x" * 1000), weight(object())
    (302, 1075, 75)
    """
    if isinstance(facts, (str, bytes)):
        return _OBJECT + len(facts)
    if isinstance(facts, (list, tuple)) and depth:
        return _OBJECT + sum(weight(each, depth - 1) for each in facts)
    return _OBJECT
