"""The opening handshake of WebSocket (RFC 6455, 4), both ways, and the codes of its end (7.4).

A handshake is a request for another protocol (RFC 9110, 7.8). What it asks for is decided here,
and whether the answer 101 is what was asked for; frames are none of its business.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1

from wsgiproxy.errors import BadRequest, BadResponse, WebSocketNotCarried
from wsgiproxy.sansio.fields.names import list_members, values, without, words
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.message import Headers, Inbound, Request, ResponseHead

__all__ = [
    "HTTP_SCHEMES",
    "PROTOCOL",
    "SCHEMES",
    "SWITCHING",
    "accept_headers",
    "accept_key",
    "asks_for_websocket",
    "check_switch",
    "close_code",
    "close_reason",
    "handshake_headers",
    "offered_protocols",
    "protocols_asked",
    "selected_protocol",
    "switched_head",
    "switches_to",
]

#: The schemes of HTTP, and their names for WebSocket (RFC 6455, 3).
SCHEMES = {"http": "ws", "https": "wss"}
HTTP_SCHEMES = {name: scheme for scheme, name in SCHEMES.items()}
#: The status with which the protocol changes (RFC 9110, 15.2.2).
SWITCHING = 101
#: The protocol's name in Upgrade.
PROTOCOL = "websocket"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# 16 bytes as base64 (RFC 6455, 4.1).
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
# Of one connection: its key, its framing, and how its frames are changed on the way.
_OWN = words("sec-websocket-key sec-websocket-version sec-websocket-extensions")
_PROTOCOLS = "sec-websocket-protocol"
_ANSWERED = words("sec-websocket-accept sec-websocket-extensions sec-websocket-protocol")
# No 1xx has a length (RFC 9110, 8.6).
_NOT_WITH_SWITCH = words("content-length")

# Codes that an endpoint may put into a Close frame (RFC 6455, 7.4.1, and IANA's registry): 1004
# has no meaning, 1005, 1006 and 1015 stand for frames that never came.
_SENDABLE = frozenset([1000, 1001, 1002, 1003, *range(1007, 1015)])
# Bytes of a reason: a control frame has at most 125, and two are the code (RFC 6455, 5.5).
_LONGEST_REASON = 123


def protocols_asked(
    version: str, upgrade: Sequence[str], connection: Iterable[str]
) -> tuple[str, ...]:
    """The protocols that a request wants to go over to, in lower case (RFC 9110, 7.8).

    :param version: of the request; only HTTP/1.1 knows Upgrade.
    :param upgrade: the values of Upgrade.
    :param connection: the values of Connection, which has to list it.

    >>> protocols_asked("1.1", ["WebSocket"], ["keep-alive, Upgrade"])
    ('websocket',)
    >>> protocols_asked("1.1", ["websocket"], ["keep-alive"])
    ()
    """
    if version != "1.1" or "upgrade" not in list_members(",".join(connection)):
        return ()
    return tuple(list_members(",".join(upgrade)))


def asks_for_websocket(environ: Mapping[str, str]) -> bool:
    """Whether a WSGI environ is that of a handshake, by its two fields alone.

    >>> asks_for_websocket({"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"})
    True
    """
    upgrade, connection = environ.get("HTTP_UPGRADE", ""), environ.get("HTTP_CONNECTION", "")
    return PROTOCOL in protocols_asked("1.1", [upgrade], [connection])


def switches_to(inbound: Inbound, allowed: Iterable[str]) -> str:
    """The protocol that a request may go over to; empty for an ordinary request.

    :param allowed: names of protocols, in lower case.
    :raises WebSocketNotCarried: it asks for WebSocket, which is not among them: an ordinary answer
        would only puzzle its client.
    :raises BadRequest: it is no handshake, but asks for a protocol that begins with one.
    """
    protocol = next((name for name in inbound.upgrade if name in allowed), "")
    if PROTOCOL in (protocol, *inbound.upgrade) and inbound.method != "GET":
        return ""  # no handshake, and a server may always ignore Upgrade
    if not protocol and PROTOCOL in inbound.upgrade:
        raise WebSocketNotCarried("upgrade= does not list websocket")
    if protocol and (inbound.chunked or inbound.content_length):
        raise BadRequest("a request to go over to another protocol has a body")
    if protocol == PROTOCOL:
        keys = values(inbound.headers, "sec-websocket-key")
        if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            raise BadRequest("Sec-WebSocket-Key is not one key of 16 bytes")
    return protocol


def accept_key(key: str) -> str:
    """The answer to Sec-WebSocket-Key (RFC 6455, 4.2.2).

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return b64encode(sha1(key.encode() + _GUID).digest()).decode()


def check_switch(request: Request, head: ResponseHead) -> None:
    """Check that an answer 101 goes over to what *request* asked for (RFC 6455, 4.1).

    :raises BadResponse: it does not.
    """
    if head.status != SWITCHING:
        return
    upgrade = ",".join(values(head.headers, "upgrade"))
    connection = ",".join(values(head.headers, "connection"))
    if list_members(upgrade) != [request.upgrade] or "upgrade" not in list_members(connection):
        raise BadResponse(f"101 with Upgrade {upgrade!r} and Connection {connection!r}")
    if request.upgrade != PROTOCOL:
        return
    keys = values(request.headers, "sec-websocket-key")
    accepted = values(head.headers, "sec-websocket-accept")
    if len(keys) != 1 or accepted != [accept_key(keys[0])]:
        raise BadResponse("101 with another Sec-WebSocket-Accept than that of the key")
    selected_protocol(head.headers, offered_protocols(request.headers))


def offered_protocols(headers: Headers) -> list[str]:
    """The subprotocols that a handshake offers, as they are written."""
    value = ",".join(values(headers, _PROTOCOLS))
    return [member for part in value.split(",") if (member := part.strip(" \t"))]


def selected_protocol(headers: Headers, offered: Sequence[str]) -> str | None:
    """The subprotocol that an answer selects; None if it has none.

    :param offered: those of the handshake.
    :raises BadResponse: it was not offered, or there are two.
    """
    selected = offered_protocols(headers)
    if not selected:
        return None
    if len(selected) > 1 or selected[0] not in offered:
        raise BadResponse(f"the subprotocol {', '.join(selected)!r} was not offered")
    return selected[0]


def handshake_headers(
    headers: Headers, key: str, extensions: str = "", subprotocols: Sequence[str] = ()
) -> Headers:
    """The field lines of a handshake of our own, for one that the server has taken (RFC 6455, 4.1).

    What belongs to the client's connection, its key and its extensions, stays there. A handshake by
    HTTP/2 (RFC 8441) has none of it.

    :param headers: the client's, cleaned.
    :param key: ours, for Sec-WebSocket-Key.
    :param extensions: what we can do with frames, for Sec-WebSocket-Extensions.
    :param subprotocols: those that the client offers.
    """
    lines = without(headers, [*_OWN, _PROTOCOLS])
    lines += [("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
    # An empty field would not be a list (RFC 6455, 4.1).
    names = [name for name in subprotocols if is_token(name)]
    if names:
        lines.append(("Sec-WebSocket-Protocol", ", ".join(names)))
    if extensions:
        lines.append(("Sec-WebSocket-Extensions", extensions))
    return lines


def accept_headers(headers: Headers) -> Headers:
    """The field lines of a 101 that go to a client whose handshake its own server answers."""
    return without(headers, [*_ANSWERED, *_NOT_WITH_SWITCH])


def switched_head(head: ResponseHead, headers: Headers) -> bytes:
    """The bytes of a 101 for the client's own socket (RFC 9110, 15.2.2).

    :param head: as it came.
    :param headers: what of it is for the client.

    >>> head = ResponseHead(101, "", [("Upgrade", "websocket")])
    >>> switched_head(head, [("Set-Cookie", "a=b")]).splitlines()[1:]
    [b'Upgrade: websocket', b'Connection: Upgrade', b'Set-Cookie: a=b', b'']
    """
    upgrade = [("Upgrade", ", ".join(values(head.headers, "upgrade"))), ("Connection", "Upgrade")]
    lines = [f"{name}: {value}" for name, value in [*upgrade, *without(headers, _NOT_WITH_SWITCH)]]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1")


def close_code(code: int | None, *, lost: int = 1001) -> int | None:
    """The code for a Close frame to the other end; None for a frame without a code.

    :param code: what this end has closed with: 1005 if its frame had none, 1006 if no frame came.
    :param lost: what to say where this end was lost without a word.

    >>> close_code(1000), close_code(1005), close_code(1006, lost=1011), close_code(4321)
    (1000, None, 1011, 4321)
    """
    if code is None or code == 1005:
        return None
    if code in _SENDABLE or 3000 <= code < 5000:
        return code
    return lost


def close_reason(reason: str | None) -> str:
    """A reason that fits into a Close frame, without half a character at its end.

    >>> close_reason(None), len(close_reason("\\xe9" * 100).encode())
    ('', 122)
    """
    data = (reason or "").encode("utf-8", "replace")[:_LONGEST_REASON]
    return data.decode("utf-8", "ignore")
