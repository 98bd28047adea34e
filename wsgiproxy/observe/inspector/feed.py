"""What both worlds have in common when they tell a ring of exchanges what passes."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses
from typing import Any

from wsgiproxy.observe.accesslog import Asked, asked_in_environ, asked_in_scope
from wsgiproxy.observe.inspector.heads import Packed, RequestHead
from wsgiproxy.sansio.fields.names import spelled
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, ResponseHead
from wsgiproxy.sansio.policy.forward import ORIGIN

__all__ = ["EnvironSource", "ScopeSource", "SentAnswer", "StartedAnswer"]

# PEP 3333: the two fields that have keys of their own; empty means absent.
_OWN_KEYS = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


@remembered
def _field(key: str) -> str:
    """The name of a field for an environ key, however odd it is; empty for other keys."""
    if key.startswith("HTTP_"):
        return spelled(key[5:].replace("_", "-"))
    return _OWN_KEYS.get(key, "")


@remembered
def _text(name: bytes) -> str:
    return spelled(name.decode("latin-1"))


def _head(asked: Asked, version: str, headers: Headers) -> RequestHead:
    target = f"{asked.path}?{asked.query}" if asked.query else asked.path
    return RequestHead(asked.method, target, version, headers)


class EnvironSource:
    """The head of a request under WSGI; see :class:`~.heads.Source`.

    :param environ: of which the texts are kept.

    >>> EnvironSource({"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_HOST": "b"}).request()
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """

    __slots__ = ("_packed", "size")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._packed = Packed([item for item in environ.items() if type(item[1]) is str])
        #: As :attr:`.Source.size`.
        self.size = self._packed.size

    def request(self) -> RequestHead:
        """As :meth:`.Source.request`."""
        texts: dict[str, str] = dict(self._packed.pairs())
        headers = [(name, texts[key]) for key in texts if (name := _field(key))]
        headers = [each for each in headers if each[1] or each[0] not in _OWN_KEYS.values()]
        version = texts.get("SERVER_PROTOCOL", "HTTP/1.1")
        return _head(asked_in_environ(texts), version, headers)

    def client(self) -> str:
        """As :meth:`.Source.client`."""
        return str(dict(self._packed.pairs()).get("REMOTE_ADDR", ""))


# Members of a scope that say what was asked for.
_ASKED = ("method", "raw_path", "path", "query_string", "client", "http_version", ORIGIN)


class ScopeSource:
    """The same of a scope; its names of fields have lost their letter case.

    :param scope: of which what says something of the request is kept.

    >>> ScopeSource({"method": "GET", "path": "/a", "headers": [(b"host", b"b")]}).request()
    RequestHead(method='GET', target='/a', version='HTTP/1.1', headers=[('Host', 'b')])
    """

    __slots__ = ("_asked", "_headers", "size")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._asked = [scope.get(name) for name in _ASKED]
        self._headers = headers = Packed(scope.get("headers"))
        #: As :attr:`.Source.size`.
        self.size = headers.size + 2 * len(self._asked[1] or self._asked[2] or "")

    def request(self) -> RequestHead:
        """As :meth:`.Source.request`."""
        version = f"HTTP/{self._scope.get('http_version', '1.1')}"
        return _head(asked_in_scope(self._scope), version, fields_in(self._headers.pairs()))

    def client(self) -> str:
        """As :meth:`.Source.client`."""
        return asked_in_scope(self._scope).client

    @property
    def _scope(self) -> dict[str, Any]:
        pairs = zip(_ASKED, self._asked, strict=True)
        return {name: value for name, value in pairs if value is not None}


def fields_in(pairs: Any) -> Headers:
    """Field lines of ASGI as text."""
    return [(_text(bytes(name)), bytes(value).decode("latin-1")) for name, value in pairs]


class StartedAnswer:
    """The head of an answer, as it is given to ``start_response``.

    >>> StartedAnswer("404 Not Found", []).answer()
    ResponseHead(status=404, reason='Not Found', headers=[])
    """

    __slots__ = ("_status", "fields")

    def __init__(self, status: str, headers: Any) -> None:
        self._status = status
        self.fields = Packed(headers)

    def answer(self) -> ResponseHead:
        """As :meth:`.AnswerSource.answer`."""
        code, _, reason = str(self._status).partition(" ")
        number = int(code) if len(code) == 3 and code.isdecimal() else 0
        try:
            lines = [(str(name), str(value)) for name, value in self.fields.pairs()]
        except (TypeError, ValueError):  # no pairs, which the server refuses
            lines = []
        return ResponseHead(number, reason, lines)


class SentAnswer:
    """The same of a message of ASGI."""

    __slots__ = ("_status", "fields")

    def __init__(self, status: int, headers: Any = ()) -> None:
        self._status = status
        self.fields = Packed(headers)

    def answer(self) -> ResponseHead:
        """As :meth:`.AnswerSource.answer`."""
        status = int(self._status)
        return ResponseHead(status, responses.get(status, ""), fields_in(self.fields.pairs()))
