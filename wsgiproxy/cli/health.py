"""The path at which a load balancer asks whether this process may get requests (``--health``).

It is answered before the names of hosts are checked, since probes come by address, and before any
route; the upstream is not asked, and no access log is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.cli import options
from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.signals import is_ending
from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.sansio.target import absolute_form
from wsgiproxy.settings import convert
from wsgiproxy.settings.rows import LEEWAY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.asgi.body import Receive, Scope, Send
    from wsgiproxy.cli.servers import ASGIApplication

__all__ = [
    "End",
    "add_end",
    "asgi_with_health",
    "read_end",
    "read_health",
    "with_health",
]

_OK, _UNAVAILABLE, _NOT_ALLOWED = "200 OK", "503 Service Unavailable", "405 Method Not Allowed"
# The others stop by themselves.
_DRAINING = ("uvicorn", "waitress")


class End(NamedTuple):
    """How a server ends, and how a load balancer sees it.

    :param health: the path at which the balancer asks; empty for none.
    :param drain: seconds between SIGTERM and the last connection that is accepted.
    :param grace: seconds that requests in progress have from then on.
    """

    health: str = ""
    drain: float = 0.0
    grace: float = GRACE


def add_end(parser: argparse.ArgumentParser) -> None:
    """Add ``--health``, ``--drain`` and ``--grace``."""
    parser.add_argument(
        "--health",
        metavar="/PATH",
        help="answer here, before all else, whether a load balancer may send requests: 200, and"
        " 503 from the first SIGTERM on",
    )
    parser.add_argument(
        "--drain",
        metavar="SECONDS",
        help="how long connections are still accepted behind SIGTERM, while the balancer sees the"
        " 503 (default: 0)",
    )
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        help=f"how long requests in progress may go on behind that (default: {GRACE:g})",
    )


def read_health(text: str) -> str:
    """The path at which a load balancer asks; empty for none.

    :raises ConfigurationError: it is no plain path.

    >>> read_health("/-/health")
    '/-/health'
    """
    try:
        plain = options.read_prefix(text)
    except ConfigurationError:
        plain = ""
    if plain != text:
        raise ConfigurationError(f"--health {text!r}: expected a path such as /-/health")
    return text


def read_end(arguments: argparse.Namespace, server: str) -> End:
    """What the flags say.

    :raises ConfigurationError: a bad value, or one that has no effect with *server*.
    """
    drain = _seconds("--drain", arguments.drain, 0.0)
    if drain and server not in _DRAINING:
        raise ConfigurationError(f"--drain: expected --server {' or '.join(_DRAINING)}")
    grace = _seconds("--grace", arguments.grace, GRACE)
    return End(read_health(arguments.health or ""), drain, grace)


def _seconds(flag: str, typed: object, default: float) -> float:
    if typed is None:
        return default
    try:
        return convert.leeway(typed)
    except ValueError as error:
        raise ConfigurationError(f"{flag} {typed!r}: expected {LEEWAY}") from error


def _answer(method: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, header and body for a probe."""
    if method not in ("GET", "HEAD"):
        status, text = _NOT_ALLOWED, "GET or HEAD"
    elif is_ending():
        status, text = _UNAVAILABLE, "ending"
    else:
        status, text = _OK, "ok"
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(text))),
        ("Cache-Control", "no-store"),
    ]
    if status == _NOT_ALLOWED:
        headers.append(("Allow", "GET, HEAD"))
    return status, headers, b"" if method == "HEAD" else text.encode("ascii", "replace")


def _path_of(environ: Mapping[str, Any]) -> str:
    """The path as the client has sent it; an escape that stands for a letter is another path."""
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if not raw:
        return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    if raw[0] != "/":
        try:
            absolute = absolute_form(raw)
        except BadRequest:
            return ""  # the application refuses it
        raw = absolute.rest if absolute else ""
    return raw.partition("?")[0]


def with_health(make: Callable[[], WSGIApplication], path: str) -> WSGIApplication:
    """Make an application, before which *path* is answered by the command itself."""
    application = make()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if _path_of(environ) != path:
            return application(environ, start_response)
        status, headers, body = _answer(environ["REQUEST_METHOD"])
        start_response(status, headers)
        return [body]

    return answer


def asgi_with_health(make: Callable[[], ASGIApplication], path: str) -> ASGIApplication:
    """As :func:`with_health`; a WebSocket is refused there."""
    application, raw = make(), path.encode("ascii")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["raw_path"] != raw:
            await application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close"})
            return
        status, headers, body = _answer(scope["method"])
        fields = [(name.lower().encode(), value.encode()) for name, value in headers]
        number = int(status.partition(" ")[0])
        await send({"type": "http.response.start", "status": number, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return answer
