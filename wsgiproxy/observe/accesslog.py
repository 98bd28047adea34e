"""One record per exchange on the logger ``wsgiproxy.access``, credentials masked."""

from __future__ import annotations

import logging
import re
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.policy.forward import ORIGIN

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Record", "masked"]

_log = logging.getLogger("wsgiproxy.access")

_SECRET = re.compile(
    "token|secret|passw|pwd|key|auth|code|sig|session|ticket|jwt|saml|assertion|otp|cred|sid|nonce",
    re.IGNORECASE,
)
# Characters of a path that need no encoding (RFC 3986, 3.3).
_PATH = "/:@!$&'()*+,;=-._~"
# Characters of a path that are written; some servers take targets of 256 KiB.
_LONG = 2000


def masked(query: str) -> str:
    """A query string without the values of parameters that look like credentials.

    >>> masked("page=2&access_token=abc&%74icket=d")
    'page=2&access_token=***&%74icket=***'
    """
    parts = []
    for part in re.split("([&;])", query):
        name, mark, _ = part.partition("=")
        parts.append(f"{name}=***" if mark and _SECRET.search(unquote(name)) else part)
    return "".join(parts)


def _plain(text: object) -> str:
    """A text without control characters, which a log and its terminal would obey."""
    return repr(str(text))[1:-1]


def _path(environ: WSGIEnvironment) -> str:
    """The path as the client has sent it; encoded anew where the server does not say."""
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if raw[:1] == "/":
        return str(raw.partition("?")[0])
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return quote(path, safe=_PATH, encoding="latin-1", errors="replace")


class Record:
    """The record of one exchange; written once, at its end.

    :param start: when it began, by :func:`time.monotonic`; None for now.
    """

    __slots__ = ("_environ", "_error", "_start", "origin", "reused")

    def __init__(self, environ: WSGIEnvironment, start: float | None = None) -> None:
        self._environ: WSGIEnvironment | None = environ
        self._start = monotonic() if start is None else start
        self.origin: Origin | None = None
        self.reused = False
        self._error: tuple[str, str, str] | None = None

    def fail(self, error: ProxyError) -> None:
        """Note the first error, as text: its traceback would keep this record in memory."""
        if self._error is None:
            self._error = (type(error).__name__, error.side, str(error)[:_LONG])

    def discard(self) -> None:
        """Write nothing: the exchange is one of our own."""
        self._environ = None

    def failure(self, error: ProxyError) -> tuple[str, str]:
        """The two parts of a line: client, target, upstream and status; and the reason."""
        fields = self._fields(self._environ or {})
        client, method, path = (_plain(fields[name]) for name in ("client", "method", "path"))
        upstream = _plain(fields["upstream"] or "-")
        what = f"{client} {method} '{path}' -> {upstream}: {error.status} {type(error).__name__}: "
        return what, _plain(error)[:_LONG]

    def _fields(self, environ: WSGIEnvironment) -> dict[str, object]:
        query = str(environ.get("QUERY_STRING", ""))[:_LONG]
        # At a browser proxy, the target begins with the origin.
        origin = environ.get(ORIGIN, "")
        path = (origin + _path(environ))[:_LONG]
        return {
            "client": environ.get("REMOTE_ADDR", ""),
            "method": environ.get("REQUEST_METHOD", ""),
            "path": path + ("?" + masked(query) if query else ""),
            "upstream": self.origin and (self.origin.unix or self.origin.authority),
        }

    def end(self, status: int, received: int = 0, *, sent: int | None = None) -> None:
        """Write the record; a second call does nothing.

        :param status: the status for the client; the field ``error`` says whether the response
            was cut.
        :param received: bytes of the body that the upstream sent.
        :param sent: bytes of the body for the client, if they are not the upstream's.
        """
        environ, self._environ = self._environ, None
        if environ is None or not _log.isEnabledFor(logging.INFO):
            return
        error, side, reason = self._error or (None, None, None)
        fields = {
            **self._fields(environ),
            "status": status,
            "received": received,
            "sent": received if sent is None else sent,
            "seconds": round(monotonic() - self._start, 6),
            "reused": self.reused,
            "error": error,
            "side": side,
            "reason": reason,
        }
        _log.info(
            "%(client)s %(method)s %(path)r %(status)s %(sent)s bytes %(seconds).3f s"
            " -> %(upstream)s" + (" %(error)s: %(reason)s" if error else ""),
            {
                **fields,
                "client": _plain(fields["client"]),
                "method": _plain(fields["method"]),
                "upstream": _plain(fields["upstream"] or "-"),
                "reason": _plain(reason),
            },
            extra={"exchange": fields},
        )
