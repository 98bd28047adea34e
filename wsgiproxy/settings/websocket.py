"""The options of WebSocket, and of other protocols that a request may go over to."""

from __future__ import annotations

from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.settings.convert import boolean, leeway, positive_count, seconds, size, words
from wsgiproxy.settings.rows import BOOLEAN, LEEWAY, SECONDS
from wsgiproxy.settings.setting import Setting

__all__ = ["TUNNEL", "UPGRADE", "WEBSOCKET"]

# HTTP/2 in plain text would carry any number of requests past the rules (CVE-2026-2833).
_OTHER_HTTP = frozenset(["h2c", "h2", "h3"])


def _protocols(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in words(value))
    if not all(is_token(name) and name not in _OTHER_HTTP for name in names):
        raise ValueError(value)
    return names


def _message_size(value: object) -> int:
    number = size(value)
    if not number:
        raise ValueError(value)
    return number


_AT_ONCE = "a whole number from 1 on"
_NEEDS = ("upgrade",)

#: Of both worlds.
UPGRADE = (
    Setting(
        "upgrade",
        _protocols,
        ("websocket",),
        "names of protocols other than those of HTTP itself, such as websocket",
        "protocols that a request may go over to",
        metavar="PROTOCOLS",
    ),
    Setting(
        "max_websockets", positive_count, None, _AT_ONCE, "WebSockets that may be open", _NEEDS
    ),
)
#: Of WSGI alone, where bytes pass between two sockets.
TUNNEL = (
    Setting(
        "tunnel_idle",
        seconds,
        600.0,
        SECONDS,
        "seconds until a silent WebSocket is closed",
        _NEEDS,
    ),
)
#: Of ASGI alone, where whole messages pass.
WEBSOCKET = (
    Setting(
        "max_websockets_per_client",
        positive_count,
        None,
        _AT_ONCE,
        "WebSockets that one client address may have open",
        _NEEDS,
    ),
    Setting(
        "websocket_lifetime",
        seconds,
        None,
        SECONDS,
        "seconds after which a WebSocket is closed, and its client may come back",
        _NEEDS,
    ),
    Setting(
        "max_message",
        _message_size,
        16 * 1024 * 1024,
        "a number of bytes, such as 65536 or 64k",
        "largest message of a WebSocket, in bytes",
        _NEEDS,
        metavar="SIZE",
    ),
    Setting(
        "ping_interval",
        leeway,
        20.0,
        LEEWAY,
        "seconds between two pings to the target, which has as long to answer; 0 for none",
        _NEEDS,
    ),
    Setting(
        "deflate",
        boolean,
        False,
        BOOLEAN,
        "compress messages, where both ends can (RFC 7692)",
        _NEEDS,
    ),
)
