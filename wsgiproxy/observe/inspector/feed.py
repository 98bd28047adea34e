"""What both worlds have in common when they tell a ring of exchanges what passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgiproxy.observe.accesslog import asked_in_environ, asked_in_scope
from wsgiproxy.observe.inspector.exchange import RequestHead
from wsgiproxy.sansio.fields.names import spelled
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, ResponseHead

__all__ = ["answer_head", "fields_in", "request_in_environ", "request_in_scope"]

# PEP 3333: the two fields that have keys of their own.
_OWN_KEYS = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


@remembered
def _field(key: str) -> str:
    """The name of a field for an environ key, however odd it is; empty for other keys."""
    if key.startswith("HTTP_"):
        return spelled(key[5:].replace("_", "-"))
    return _OWN_KEYS.get(key, "")


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def request_in_environ(environ: Mapping[str, Any]) -> tuple[RequestHead, str]:
    """The head of a request under WSGI, and the client's address.

    >>> request_in_environ({"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_HOST": "b"})[0]
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """
    client, method, path, query = asked_in_environ(environ)
    headers = [(name, str(environ[key])) for key in environ if (name := _field(key))]
    headers = [each for each in headers if each[1] or each[0] not in _OWN_KEYS.values()]
    version = str(environ.get("SERVER_PROTOCOL", "HTTP/1.1"))
    return RequestHead(method, _target(path, query), version, headers), client


@remembered
def _text(name: bytes) -> str:
    return spelled(name.decode("latin-1"))


def request_in_scope(scope: Mapping[str, Any]) -> tuple[RequestHead, str]:
    """The same of a scope; its names of fields have lost their letter case.

    >>> request_in_scope({"method": "GET", "path": "/a", "headers": [(b"host", b"b")]})[0]
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """
    client, method, path, query = asked_in_scope(scope)
    version = f"HTTP/{scope.get('http_version', '1.1')}"
    headers = fields_in(scope.get("headers", ()))
    return RequestHead(method, _target(path, query), version, headers), client


def fields_in(pairs: Any) -> Headers:
    """Field lines of ASGI as text."""
    return [(_text(bytes(name)), bytes(value).decode("latin-1")) for name, value in pairs]


def answer_head(status: str, headers: Any) -> ResponseHead:
    """The head of an answer, as it is given to ``start_response``; whatever is given, it is one.

    >>> answer_head("404 Not Found", [])
    ResponseHead(status=404, reason='Not Found', headers=[])
    """
    code, _, reason = str(status).partition(" ")
    number = int(code) if len(code) == 3 and code.isdecimal() else 0
    # A list, if it is one (PEP 3333); of an iterator there would be nothing left for the server.
    found = headers if isinstance(headers, (list, tuple)) else []
    try:
        lines = [(str(name), str(value)) for name, value in found]
    except (TypeError, ValueError):  # no pairs, which the server refuses
        lines = []
    return ResponseHead(number, reason, lines)
