"""From the scope of an ASGI request to an :class:`Inbound`: what servers really hand over, checked.

It trusts no server to have been strict, reads no body, and never changes the scope.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.inbound import checked_host, checked_method
from wsgiproxy.sansio.fields.expect import check_expect
from wsgiproxy.sansio.fields.framing import decoded_framing
from wsgiproxy.sansio.fields.names import normalized_name, spelled
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound, bracketed
from wsgiproxy.sansio.target import (
    Absolute,
    Target,
    absolute_form,
    raw_target,
    rebuilt_target,
    under,
)
from wsgiproxy.sansio.websocket import HTTP_SCHEMES, protocols_asked

__all__ = ["native", "read", "target_of"]

Scope = Mapping[str, Any]

# The fields that say something about the request itself, and not only to the upstream.
_OTHER, _HOST, _LENGTH, _CODING, _EXPECT, _UPGRADE, _LOGIN, _COOKIE, _CONNECTION = range(9)
_KINDS = {
    "host": _HOST,
    "content-length": _LENGTH,
    "transfer-encoding": _CODING,
    "expect": _EXPECT,
    "upgrade": _UPGRADE,
    "authorization": _LOGIN,
    "cookie": _COOKIE,
    "connection": _CONNECTION,
}
# Host is the policy's, and the length of a message is computed.
_NOT_SENT = frozenset(["host", "content-length"])


@remembered
def _field(name: bytes) -> tuple[str | None, int]:
    """How a field is written on the wire, None if it is not; and its kind."""
    text = name.decode("latin-1")
    if not is_token(text):
        raise BadRequest(f"header name {text!r} is not a token")
    # Some servers behind us take an underscore for a hyphen.
    sent = None if normalized_name(text) in _NOT_SENT else spelled(text)
    return sent, _KINDS.get(text.lower(), _OTHER)


# A path that is the same raw and decoded.
_PLAIN_PATH = re.compile(r"/[!-\"$&->@-~]*")
_PLAIN_QUERY = re.compile(r"[!-\"$-~]*")
# HTTP/1.0 is "1" for granian.
_VERSIONS = {"1": "1.0", "1.0": "1.0", "1.1": "1.1", "2": "2", "2.0": "2", "3": "3", "3.0": "3"}


def native(text: str) -> str:
    """A text of the scope as WSGI has it: each byte of its UTF-8 one character (PEP 3333).

    :raises BadRequest: it cannot be encoded.

    >>> native("/caf\\xe9")
    '/cafÃ©'
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError as error:
        raise BadRequest("the path of the request holds characters that are no bytes") from error


def target_of(scope: Scope) -> tuple[Target, Absolute | None]:
    """The request-target, cut at the mount, and its absolute-form, if it has that.

    Servers and frameworks differ whether ``path`` begins with ``root_path``, and whether
    ``raw_path`` does: all four readings are taken.

    :raises BadRequest: there is something in it that no target may have.

    >>> target_of({"path": "/app/a b", "root_path": "/app", "raw_path": b"/app/a%20b"})[0]
    Target(script_name='/app', path='/a%20b', query='')
    >>> target_of({"path": "/a", "root_path": "/app", "query_string": b"x"})[0]
    Target(script_name='/app', path='/a', query='?x')
    """
    raw = (scope.get("raw_path") or b"").decode("latin-1")
    query = (scope.get("query_string") or b"").decode("latin-1")
    path, root = scope.get("path", ""), scope.get("root_path") or ""
    if not root and raw == path and _PLAIN_PATH.fullmatch(raw) and _PLAIN_QUERY.fullmatch(query):
        return Target("", raw, "?" + query if query else ""), None
    path, root = native(path), native(root).rstrip("/")
    raw = raw.partition("?")[0]
    below = _without_root(raw, root)
    absolute = None if below[:1] in ("/", "") else absolute_form(below)
    if absolute is not None and below != raw:
        # The server may have put the root before a target, or the client have written it: the
        # one would be a request for the path of the URL, the other for all of it.
        raise BadRequest("what stands behind the root of the path is a URL")
    if absolute is not None:
        if not absolute.rest and scope.get("method") == "OPTIONS":
            return Target("", "*", ""), absolute  # RFC 9112, 3.2.4
        # Servers take the authority for a part of the path.
        authority = below[: len(below) - len(absolute.rest)]
        path = _without_root(path, root)
        path = path[len(authority) :] or "/" if path.startswith(authority) else path
        raw = absolute.rest or "/"
    elif "*" in (below, path) and not query:
        return Target("", "*", ""), None
    return _mounted(raw, path, root, query), absolute


def _without_root(path: str, root: str) -> str:
    """What stands behind a root that a server puts before all, and not only before paths."""
    below = path.removeprefix(root)
    return path if below[:1] in ("/", "") else below


def _mounted(raw: str, path: str, root: str, query: str) -> Target:
    path_info = path[len(root) :] if root and under(path, root) else path
    whole = f"{raw}?{query}" if query else raw
    if raw:
        target = raw_target(whole, root, path, query) if path_info != path else None
        if target is None:
            target = raw_target(whole, root, path_info, query)
        if target is None and root:
            # A raw path without the mount, where the path has none either.
            target = raw_target(whole, "", path_info, query)
            if target is not None:
                target = target._replace(script_name=rebuilt_target(root, "", "").script_name)
        if target is not None:
            return target
    return rebuilt_target(root, path_info, query)


def _host(
    values: Sequence[str], version: str, server: object, scheme: str, absolute: Absolute | None
) -> str:
    if absolute is not None:
        return checked_host(absolute.authority)
    host = ", ".join(values)
    if not values or (version == "1.0" and not host):
        # HTTP/1.0 without Host, where granian has an empty one: the server's own name is the
        # best there is.
        name, port = _end(server)
        host = bracketed(name)
        if port and port != str(DEFAULT_PORTS[scheme]):
            host = f"{host}:{port}"
    return checked_host(host)


def _end(address: Any) -> tuple[str, str]:
    """Host and port of an end of the connection; empty where the server does not know them."""
    if not address:
        return "", ""
    host, port = address[0], address[1]  # addresses of IPv6 may have two more parts
    return (host, str(port)) if port is not None else ("", "")


def read(scope: Scope) -> Inbound:
    """Read the scope of one request.

    :param scope: of type ``http`` or ``websocket``, as the ASGI specification describes it; missing
        members have their usual meaning. A ``websocket`` is the GET of its handshake, which by
        HTTP/2 was a CONNECT (RFC 8441).
    :raises BadRequest: or a kind of it, when no well-formed request can be made of it.

    >>> read({"method": "GET", "path": "/a", "headers": [(b"host", b"example.com")]}).path
    '/a'
    """
    if scope.get("type") == "websocket":
        inbound = _read(scope, HTTP_SCHEMES.get(scope.get("scheme", "ws"), ""), "GET")
        # What follows a CONNECT in HTTP/2 is the WebSocket itself.
        return inbound._replace(chunked=False) if inbound.protocol[:1] in "23" else inbound
    return _read(scope, scope.get("scheme", "http"), checked_method(scope["method"]))


def _read(scope: Scope, scheme: str, method: str) -> Inbound:
    if scheme not in DEFAULT_PORTS:
        raise BadRequest(f"scheme {scheme!r} is neither http nor https")
    headers, special = _headers(scope["headers"])
    if _EXPECT in special:
        check_expect(", ".join(special[_EXPECT]))
    (script_name, path, query), absolute = target_of(scope)
    if path == "*" and method != "OPTIONS":
        raise BadRequest("the target * is for OPTIONS alone")
    version = _VERSIONS.get(scope.get("http_version", "1.1"), "1.1")
    peer, peer_port = _end(scope.get("client"))
    server, port = _end(scope.get("server"))
    return Inbound(
        method,
        scheme,
        _host(special.get(_HOST, ()), version, scope.get("server"), scheme, absolute),
        server,
        int(port) if port else DEFAULT_PORTS[scheme],
        script_name,
        path,
        query,
        headers,
        peer,
        peer_port,
        version,
        *_framing(special, version),
        _LOGIN in special,
        protocols_asked(version, special[_UPGRADE], special.get(_CONNECTION, ()))
        if _UPGRADE in special
        else (),
    )


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> tuple[Headers, dict[int, list[str]]]:
    """The field lines that may go on, and the values of those that say something here."""
    headers: Headers = []
    special: dict[int, list[str]] = {}
    field = _field
    for name, value in fields:
        sent, kind = field(name)
        text = value.decode("latin-1")
        if kind:
            special.setdefault(kind, []).append(text)
        if sent is not None:
            headers.append((sent, text))
    if len(special.get(_COOKIE, ())) > 1:
        # HTTP/2 cuts the field into crumbs, which HTTP/1.1 must not have (RFC 9113, 8.2.3).
        headers = [line for line in headers if line[0] != "Cookie"]
        headers.append(("Cookie", "; ".join(special[_COOKIE])))
    return headers, special


def _framing(special: Mapping[int, list[str]], version: str) -> tuple[int | None, bool]:
    lengths, codings = special.get(_LENGTH), special.get(_CODING)
    return decoded_framing(
        None if lengths is None else ", ".join(lengths),
        None if codings is None else ", ".join(codings),
        later=version[:1] in "23",
    )
