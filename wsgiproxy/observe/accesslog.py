"""One record per exchange on the logger ``wsgiproxy.access``, credentials masked.

A program that writes many of them takes the exchanges themselves (:func:`send_to`), and figures are
made of the same records (:func:`count_with`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from secrets import token_hex
from time import monotonic, time
from typing import Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import quote

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.fields.request_id import identified
from wsgiproxy.sansio.message import Inbound, Origin
from wsgiproxy.sansio.policy.forward import ORIGIN
from wsgiproxy.sansio.secrets import masked

__all__ = [
    "INSPECTED",
    "ROUTE",
    "Asked",
    "Ended",
    "Meter",
    "Record",
    "asked_in_environ",
    "asked_in_scope",
    "count_with",
    "plain",
    "send_to",
    "shown_path",
]

_log = logging.getLogger("wsgiproxy.access")

#: Of an environ or a scope: the place of a router that has got the request, as it is configured.
ROUTE = "wsgiproxy.route"

#: Of an environ or a scope: what is told of its exchange (see ``observe.inspector``).
INSPECTED = "wsgiproxy.inspected"

# Characters of a path that need no encoding (RFC 3986, 3.3).
_PATH = "/:@!$&'()*+,;=-._~"
# Characters of a path that are written; some servers take targets of 256 KiB.
_LONG = 2000


def plain(text: object) -> str:
    """A text without control characters, which a log and its terminal would obey."""
    return repr(str(text))[1:-1]


class Asked(NamedTuple):
    """What a client has asked for.

    :param client: its address; empty where the server does not know it.
    :param method: the method.
    :param path: the path as the client has sent it, encoded anew where the server does not say.
    :param query: the query, without its question mark.
    """

    client: str
    method: str
    path: str
    query: str


def asked_in_environ(environ: Mapping[str, Any]) -> Asked:
    """What a WSGI environ says."""
    get = environ.get
    raw = get("REQUEST_URI") or get("RAW_URI") or ""
    if raw[:1] == "/":
        path = str(raw.partition("?")[0])
    else:
        path = f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}"
        path = quote(path, safe=_PATH, encoding="latin-1", errors="replace")
    # At a browser proxy, the target begins with the origin.
    path = get(ORIGIN, "") + path
    return Asked(
        get("REMOTE_ADDR", ""), get("REQUEST_METHOD", ""), path, str(get("QUERY_STRING", ""))
    )


def asked_in_scope(scope: Mapping[str, Any]) -> Asked:
    """What the scope of an ASGI request says.

    >>> asked_in_scope({"method": "GET", "path": "/a b", "query_string": b"c=d"})
    Asked(client='', method='GET', path='/a%20b', query='c=d')
    """
    client = scope.get("client")
    raw = scope.get("raw_path")
    path = (
        raw.decode("latin-1") if raw else quote(scope.get("path", ""), safe=_PATH, errors="replace")
    )
    if ORIGIN in scope:  # at a proxy to any destination
        path = scope[ORIGIN] + path
    query = (scope.get("query_string") or b"").decode("latin-1")
    # A handshake for WebSocket has no member for it.
    return Asked(str(client[0]) if client else "", scope.get("method", "GET"), path, query)


#: What a client has asked for, of which upstream, and the first error (name, side and reason);
#: whether the connection had served before, when it ended by :func:`time.time`, and the seconds;
#: the status, the bytes of the body from the upstream and for the client; and the id, if any.
Ended: TypeAlias = tuple[
    Asked, "Origin | None", "tuple[str, str, str] | None", bool, float, float, int, int, int, str
]
_sink: Callable[[Ended], object] | None = None


def send_to(sink: Callable[[Ended], object] | None) -> None:
    """Have *sink* called at the end of each exchange, in place of the logger.

    :param sink: None for the logger again.
    """
    global _sink
    _sink = sink


class Meter(Protocol):
    """What makes figures of records; its methods are called in the thread of the exchange."""

    def begin(self) -> None:
        """An exchange begins; it ends by one of the other methods."""

    def end(
        self, record: Record, request: Mapping[str, Any], status: int, seconds: float, sent: int
    ) -> None:
        """An exchange has ended; *request* is its environ or its scope."""

    def discard(self) -> None:
        """An exchange is not to be counted."""


_meter: Meter | None = None


def count_with(meter: Meter | None) -> None:
    """Have *meter* told of each exchange that begins from now on; None for no meter."""
    global _meter
    _meter = meter


def shown_path(path: str, query: str) -> str:
    """A path and its query, not too long, without credentials."""
    query = query[:_LONG]
    return path[:_LONG] + ("?" + masked(query) if query else "")


class Record:
    """The record of one exchange; written once, at its end.

    :param request: what came from the server.
    :param start: when it began, by :func:`time.monotonic`; None for now.
    :param asked: reads from *request* what the client has asked for, when it is written.
    :ivar origin: the upstream.
    :ivar has_own_upstream: whether that is one of the configuration.
    :ivar request_id: the id of the request; empty for none.
    """

    __slots__ = (
        "_asked",
        "_error",
        "_meter",
        "_request",
        "_start",
        "has_own_upstream",
        "origin",
        "request_id",
        "reused",
    )

    def __init__(
        self,
        request: Mapping[str, Any],
        start: float | None = None,
        asked: Callable[[Mapping[str, Any]], Asked] = asked_in_environ,
    ) -> None:
        self._request: Mapping[str, Any] | None = request
        self._asked = asked
        self._start = monotonic() if start is None else start
        self.origin: Origin | None = None
        self.has_own_upstream = False
        self.reused = False
        self.request_id = ""
        self._error: tuple[str, str, str] | None = None
        self._meter = meter = _meter
        if meter is not None:
            meter.begin()

    def identify(self, inbound: Inbound, trusts: Callable[[str], bool]) -> Inbound:
        """The request with its id in X-Request-Id: that of a trusted proxy, else a new one.

        :param trusts: whether the id of a peer is kept.
        """
        inbound, self.request_id = identified(inbound, trusts(inbound.peer), token_hex(16))
        return inbound

    @property
    def logged(self) -> dict[str, str]:
        """What a line of another logger says of it, as ``extra``."""
        return {"request_id": self.request_id}

    def fail(self, error: ProxyError) -> None:
        """Note the first error, as text: its traceback would keep this record in memory."""
        if self._request is not None and INSPECTED in self._request:
            self._request[INSPECTED].fail(error)
        if self._error is None:
            self._error = (type(error).__name__, error.side, str(error)[:_LONG])

    def discard(self) -> None:
        """Write nothing: the exchange is one of our own, or has a record of its own."""
        if self._request is not None and self._meter is not None:
            self._meter.discard()
        self._request = None

    def failure(self, error: ProxyError) -> tuple[str, str]:
        """The two parts of a line: client, target, upstream and status; and the reason."""
        fields = self._fields(self._request or {})
        client, method, path = (plain(fields[name]) for name in ("client", "method", "path"))
        upstream = plain(fields["upstream"] or "-")
        upstream += f" [{self.request_id}]" if self.request_id else ""
        what = f"{client} {method} '{path}' -> {upstream}: {error.status} {type(error).__name__}: "
        return what, plain(error)[:_LONG]

    def _fields(self, request: Mapping[str, Any]) -> dict[str, object]:
        client, method, path, query = self._asked(request)
        return {
            "client": client,
            "method": method,
            "path": shown_path(path, query),
            "upstream": self.origin and (self.origin.unix or self.origin.authority),
        }

    def end(self, status: int, received: int = 0, *, sent: int | None = None) -> None:
        """Write the record; a second call does nothing.

        :param status: the status for the client; the field ``error`` says whether the response
            was cut.
        :param received: bytes of the body that the upstream sent.
        :param sent: bytes of the body for the client, if they are not the upstream's.
        """
        request, self._request = self._request, None
        if request is None:
            return
        seconds, sent = monotonic() - self._start, received if sent is None else sent
        if self._meter is not None:
            self._meter.end(self, request, status, seconds, sent)
        if _sink is not None:
            how = (self._error, self.reused, time(), seconds, status, received, sent)
            _sink((self._asked(request), self.origin, *how, self.request_id))
        elif _log.isEnabledFor(logging.INFO):
            self._log(request, status, received, sent, seconds)

    def _log(
        self, request: Mapping[str, Any], status: int, received: int, sent: int, seconds: float
    ) -> None:
        error, side, reason = self._error or (None, None, None)
        fields = {
            **self._fields(request),
            "status": status,
            "received": received,
            "sent": sent,
            "seconds": round(seconds, 6),
            "reused": self.reused,
            "error": error,
            "side": side,
            "reason": reason,
        }
        if self.request_id:
            fields["request_id"] = self.request_id
        _log.info(
            "%(client)s %(method)s %(path)r %(status)s %(sent)s bytes %(seconds).3f s"
            " -> %(upstream)s"
            + (" [%(request_id)s]" if self.request_id else "")
            + (" %(error)s: %(reason)s" if error else ""),
            {
                **fields,
                "client": plain(fields["client"]),
                "method": plain(fields["method"]),
                "upstream": plain(fields["upstream"] or "-"),
                "reason": plain(reason),
            },
            extra={"exchange": fields},
        )
