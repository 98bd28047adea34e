"""What a hook sees: the request and the response, to be read and changed."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from wsgiproxy.hooks.body import Body, Changes, Content, content_from
from wsgiproxy.hooks.fields import Fields, Headers
from wsgiproxy.sansio.grammar import is_field_value, is_token
from wsgiproxy.sansio.hooks import Message, Read
from wsgiproxy.sansio.message import Headers as Lines
from wsgiproxy.sansio.message import Inbound, ResponseHead
from wsgiproxy.sansio.target import PRINTABLE, is_ambiguous
from wsgiproxy.sansio.websocket import SWITCHING

__all__ = ["Body", "Changes", "Headers", "Request", "Response"]

# Characters of a path that need no encoding (RFC 3986, 3.3).
_PATH = "/:@!$&'()*+,;=-._~"
# Methods that are not for proxies, as for clients.
_NEVER = frozenset(["CONNECT", "TRACE"])
_TEXT = ("Content-Type", "text/plain; charset=utf-8")
# Bytes of a body that read() takes by default.
_LIMIT = 1024 * 1024


class _Message(Fields, Message):
    """What requests and responses have in common."""

    __slots__ = ("holder", "reply", "seen_body")

    def __init__(self, lines: Lines, reply: Any = None) -> None:
        Fields.__init__(self, lines)
        #: What the edge reads the body from that was received.
        self.reply = reply
        #: The body as hooks see it; None until one asks for it.
        self.seen_body: Body | None = None
        #: The hook that has handed it over last.
        self.holder = ""

    def claim(self, hook: str) -> None:
        """Note whose fault it is if the body that is set now fails."""
        self.holder = hook
        if self.seen_body is not None:
            self.seen_body.claim(hook)

    @property
    def body(self) -> Body:
        """The body, to be mapped; or assign bytes, text or an iterable of bytes."""
        if self.seen_body is None:
            self.seen_body = Body(source=self.reply)
            self.seen_body.holder = self.holder
        return self.seen_body

    @body.setter
    def body(self, content: Content) -> None:
        body, replaced = Body(content=content_from(content)), self.seen_body
        if replaced is not None and replaced.can_close:
            body.replaced = replaced
        self.seen_body = body

    @property
    def source(self) -> Any:
        """What the edge reads the body from; None for a body that was set."""
        return self.reply if self.seen_body is None else self.seen_body.source

    def read(self, limit: int = _LIMIT) -> Read:
        """To be yielded: the whole body, which stays there.

        :param limit: bytes; a larger body is an error (413 for a request, 502 for a response), and
            the message can no longer be sent.
        :raises ValueError: it is no number of bytes.
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ValueError(f"read(limit={limit!r}): expected a number of bytes")
        return Read(self, limit)


class Request(_Message):
    """A request: the one that is served, cleaned, or one of a hook's own.

    :param method: a token.
    :param url: ``http://host[:port]/path?query`` or https; for a request of a hook's own.
    :param headers: fields.
    :param body: bytes, text or an iterable of bytes.
    :ivar state: what hooks tell each other; a fresh dict for each request.
    :ivar upstream: the address of the upstream to send it to, as it stands in a list ``href``;
        empty to have one chosen.

    >>> request = Request("POST", "http://auth.internal/check", {"Accept": "*/*"}, b"{}")
    >>> request.headers["accept"], request.path
    ('*/*', '/check')
    """

    __slots__ = (
        *("_environ", "_inbound", "_scope"),
        *("method", "moved", "query", "raw_path", "state", "upstream", "url"),
    )

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Lines | None = None,
        body: Content = b"",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url={url!r}: expected one of http or https, with a host")
        if not is_token(method):
            raise ValueError(f"method={method!r}: expected a token")
        super().__init__([])
        self.body = body
        self.headers = headers or {}
        self.method, self.url = method, url
        self.raw_path, self.query = parts.path or "/", parts.query
        self.state: dict[str, Any] = {}
        self.upstream = ""
        #: The beginning of the path that a hook has replaced, and what stands there now.
        self.moved: tuple[str, str] | None = None
        self._inbound: Inbound | None = None
        self._environ: Mapping[str, Any] | None = None
        self._scope: Mapping[str, Any] | None = None

    @classmethod
    def served(
        cls,
        inbound: Inbound,
        lines: Lines,
        environ: Mapping[str, Any] | None = None,
        scope: Mapping[str, Any] | None = None,
    ) -> Request:
        """The request that is served.

        :param lines: the fields of *inbound*, cleaned.
        """
        self = cls.__new__(cls)
        _Message.__init__(self, lines)
        self.url = self.upstream = ""
        self.method, self.raw_path, self.query = inbound.method, inbound.path, inbound.query[1:]
        self.state, self.moved = {}, None
        self._inbound, self._environ, self._scope = inbound, environ, scope
        return self

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Whether it is the one that is served, or one of a hook's own."""
        return "own" if self._inbound is None else "request"

    @property
    def inbound(self) -> Inbound | None:
        """What the client has sent; None for a request of a hook's own."""
        found = self._inbound
        # The list of its fields is a copy: trust is decided by what the client has sent.
        return None if found is None else found._replace(headers=list(found.headers))

    @property
    def environ(self) -> Mapping[str, Any] | None:
        """The WSGI environ, to be read; None under ASGI."""
        return None if self._environ is None else MappingProxyType(self._environ)

    @property
    def scope(self) -> Mapping[str, Any] | None:
        """The ASGI scope, to be read; None under WSGI."""
        return None if self._scope is None else MappingProxyType(self._scope)

    @property
    def has_own_target(self) -> bool:
        """Whether method, path and query are those that the client has sent."""
        inbound = self._inbound
        return (
            inbound is not None
            and self.method is inbound.method
            and self.raw_path is inbound.path
            and self.query == inbound.query[1:]
        )

    @property
    def path(self) -> str:
        """The path below the mount, decoded; a path that is assigned is encoded."""
        return unquote(self.raw_path, errors="surrogateescape")

    @path.setter
    def path(self, path: str) -> None:
        self.raw_path = quote(path, safe=_PATH, errors="surrogateescape")

    @property
    def is_ambiguous(self) -> bool:
        """Whether backends may take the path for another one than :attr:`path`.

        For hooks that decide by the path: it has dot segments, ``//``, ``;``, a backslash, or an
        encoded slash, dot, percent sign, letter or digit.
        """
        return is_ambiguous(self.raw_path)

    def what_is_wrong(self) -> str:
        """What hooks have set and cannot be sent; empty if all is well."""
        if self.has_own_target:
            return self.wrong_field()
        method, path, query = self.method, self.raw_path, self.query
        if not isinstance(method, str) or not is_token(method) or method in _NEVER:
            return f"request.method={method!r}: expected a token, but not CONNECT or TRACE"
        if not isinstance(path, str) or not self._is_path(path):
            return f"request.raw_path={path!r}: expected an encoded path"
        if not isinstance(query, str) or "#" in query or not PRINTABLE.fullmatch(query):
            return f"request.query={query!r}: expected an encoded query"
        return self.wrong_field()

    def _is_path(self, path: str) -> bool:
        if self._inbound is None:
            starts = path[:1] == "/"
        else:
            starts = path[:1] in ("", "/") or path == self._inbound.path
        if not starts:
            return False
        return bool(PRINTABLE.fullmatch(path)) and "#" not in path and "?" not in path

    @property
    def mark(self) -> str:
        """The question mark before the query; a mark alone is kept, as the client sent it."""
        bare = self._inbound is not None and self._inbound.query == "?"
        return "?" if self.query or bare else ""


class Response(_Message):
    """A response: that of the upstream, or one of a hook's own.

    :param status: 200 to 599.
    :param headers: fields; the length of the body is computed.
    :param body: bytes, text or an iterable of bytes.

    >>> Response(403, {"Content-Type": "text/plain"}, "no").reason
    'Forbidden'
    """

    __slots__ = ("_status", "head", "is_reset", "reason")

    kind = "response"

    def __init__(
        self,
        status: int = 200,
        headers: Mapping[str, str] | Lines | None = None,
        body: Content = b"",
    ) -> None:
        super().__init__([])
        self.body = body
        self.headers = headers or {}
        if isinstance(body, str) and "Content-Type" not in self.headers:
            self.headers.add(*_TEXT)
        self.status = status
        # Whether the client's connection is reset, where its server lets an edge do that.
        self.is_reset = False
        self.head: ResponseHead | None = None

    @classmethod
    def received(cls, head: ResponseHead, reply: Any, *, is_fit: bool = False) -> Response:
        """A response of the upstream.

        :param reply: gives its body; None if there is none.
        :param is_fit: the head is one that the client may be given.
        """
        self = cls.__new__(cls)
        _Message.__init__(self, head.headers, reply)
        self._status, self.reason, self.is_reset = head.status, head.reason, False
        self.head = head if is_fit else None
        return self

    @property
    def status(self) -> int:
        """The status; assigning it sets the reason phrase, too."""
        return self._status

    @status.setter
    def status(self, status: int) -> None:
        self._status = int(status) if isinstance(status, int) else status
        self.reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""

    @property
    def is_switch(self) -> bool:
        """Whether the upstream goes over to another protocol."""
        source = self.source
        return source is not None and bool(source.head.status == SWITCHING)

    def what_is_wrong(self) -> str:
        """What hooks have set and cannot be sent; empty if all is well."""
        status, head = self._status, self.head
        if head is None or status is not head.status or self.seen_body is not None or status < 200:
            wrong = self._wrong_status()
            if wrong:
                return wrong
        if head is not None and self.reason is head.reason:
            return self.wrong_field()
        if not isinstance(self.reason, str) or not is_field_value(self.reason):
            return f"response.reason={self.reason!r}: expected text of one line, in latin-1"
        return self.wrong_field()

    def _wrong_status(self) -> str:
        status = self._status
        if self.is_switch or status == SWITCHING:
            is_changed = self.seen_body is not None and bool(self.seen_body.changes)
            if not self.is_switch or status != SWITCHING or is_changed:
                return "a response 101 has no body, and no other response has that status"
        elif not isinstance(status, int) or not 200 <= status <= 599:
            return f"response.status={status!r}: expected 200 to 599"
        body = self.seen_body
        if status == 206 and body is not None and body.source is not None and body.is_mapped:
            return "a part of a body (206) that is changed: remove Range from the request"
        return ""
