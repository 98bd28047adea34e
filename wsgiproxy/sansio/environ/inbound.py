"""From a WSGI environ to an :class:`Inbound`: what servers really hand over, checked.

It trusts no server to have been strict, reads no body, and never changes the environ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsgiproxy.errors import BadRequest, MethodNotAllowed
from wsgiproxy.sansio.fields.expect import check_expect
from wsgiproxy.sansio.fields.framing import body_framing
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.fields.names import environ_field
from wsgiproxy.sansio.grammar import is_token, port_number
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound, bracketed
from wsgiproxy.sansio.target import Absolute, Target, absolute_form, raw_target, rebuilt_target
from wsgiproxy.sansio.websocket import protocols_asked

__all__ = ["checked_host", "checked_method", "read"]

_VERSION = re.compile(r"HTTP/([0-9](?:\.[0-9])?)")
# CONNECT wants a tunnel and TRACE would echo our own fields to the client (RFC 9110, 9.3).
_REFUSED = frozenset(["CONNECT", "TRACE"])
_METHOD_LIMIT = 32


@remembered(limit=256)
def checked_method(method: str) -> str:
    """The method, if it may be sent.

    :raises MethodNotAllowed: CONNECT wants a tunnel, TRACE would echo our own fields.
    :raises BadRequest: it is not a token, or too long to be a method.
    """
    if method in _REFUSED:
        raise MethodNotAllowed(f"method {method}")
    if len(method) > _METHOD_LIMIT or not is_token(method):
        raise BadRequest(f"method {method[:40]!r} is not a token of at most {_METHOD_LIMIT}")
    return method


def _target(environ: Mapping[str, Any], raw: str, absolute: Absolute | None) -> Target:
    script_name = environ.get("SCRIPT_NAME", "")
    path_info = environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    if absolute is not None:
        raw = absolute.rest or "/"
        if not absolute.rest and environ.get("REQUEST_METHOD") == "OPTIONS":
            return Target("", "*", "")  # RFC 9112, 3.2.4: from the last proxy on
        raw = "/" + raw if raw[0] == "?" else raw
    if raw:
        target = raw_target(raw, script_name, path_info, query)
        if target is None and not (script_name + path_info).isascii():
            # Bottle and Django have decoded it as UTF-8, where PEP 3333 wants bytes.
            target = raw_target(raw, _as_bytes(script_name), _as_bytes(path_info), query)
        if target is not None:
            return target
    if raw == "*" or (path_info == "*" and not query):
        return Target("", "*", "")
    return rebuilt_target(script_name, path_info, query)


def _scope_target(scope: object) -> str:
    """The target of an ASGI request, from ``raw_path`` and ``query_string``; else empty."""
    if not isinstance(scope, Mapping) or not scope.get("raw_path"):
        return ""
    query: bytes = scope.get("query_string") or b""
    raw: bytes = scope["raw_path"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


def _as_bytes(text: str) -> str:
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError as error:
        raise BadRequest("the path of the request holds characters that are no bytes") from error


def _host(environ: Mapping[str, Any], scheme: str, absolute: Absolute | None) -> str:
    host: str | None = absolute.authority if absolute else environ.get("HTTP_HOST")
    if host is None:
        # HTTP/1.0 without Host: the server's own name is the best there is.
        host = bracketed(environ.get("SERVER_NAME", ""))
        port = str(environ.get("SERVER_PORT", ""))
        if port and port != str(DEFAULT_PORTS[scheme]):
            host = f"{host}:{port}"
    return checked_host(host)


def checked_host(host: str) -> str:
    """The host that the client asked for, if it is one (RFC 9110, 7.2).

    :raises BadRequest: it is not ``host[:port]``.
    """
    if not is_host(host):
        raise BadRequest(f"Host {host!r} is not host[:port]")
    return host


@remembered(limit=256)
def _checked_port(port: object) -> int:
    # Old callers set an int (compare WSGIProxy 0.2 under Swift).
    number = port_number(str(port))
    if not number:
        raise BadRequest(f"SERVER_PORT {port!r} is not a port")
    return int(number)


@remembered(limit=256)
def _version(protocol: str) -> str:
    match = _VERSION.fullmatch(protocol)
    return match[1] if match else "1.1"


def _headers(environ: Mapping[str, Any]) -> Headers:
    field = environ_field
    headers = [(name, value) for key, value in environ.items() if (name := field(key)) is not None]
    if environ.get("CONTENT_TYPE") == "":
        # PEP 3333: empty means absent.
        return [header for header in headers if header[0] != "Content-Type"]
    return headers


def _upgrade(environ: Mapping[str, Any], version: str) -> tuple[str, ...]:
    connection = environ.get("HTTP_CONNECTION", "")
    return protocols_asked(version, [environ["HTTP_UPGRADE"]], [connection])


def read(environ: Mapping[str, Any]) -> Inbound:
    """Read one environ.

    :param environ: as PEP 3333 describes it; missing keys have their usual meaning.
    :raises BadRequest: or a kind of it, when no well-formed request can be made of it.

    >>> read({"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_HOST": "example.com"}).path
    '/a'
    """
    get = environ.get
    scheme = get("wsgi.url_scheme", "http")
    if scheme not in DEFAULT_PORTS:
        raise BadRequest(f"scheme {scheme!r} is neither http nor https")
    method = checked_method(get("REQUEST_METHOD", "GET"))
    if "HTTP_EXPECT" in environ:
        check_expect(environ["HTTP_EXPECT"])
    raw = get("REQUEST_URI") or get("RAW_URI") or _scope_target(get("asgi.scope"))
    # An absolute-form target decides over Host (RFC 9112, 3.2.2).
    absolute = None if raw[:1] in ("/", "") else absolute_form(raw)
    script_name, path, query = _target(environ, raw, absolute)
    if path == "*" and method != "OPTIONS":
        raise BadRequest("the target * is for OPTIONS alone")
    version = _version(get("SERVER_PROTOCOL", "HTTP/1.1"))
    return Inbound(
        method,
        scheme,
        _host(environ, scheme, absolute),
        get("SERVER_NAME", ""),
        _checked_port(get("SERVER_PORT") or DEFAULT_PORTS[scheme]),
        script_name,
        path,
        query,
        _headers(environ),
        get("REMOTE_ADDR") or "",
        str(get("REMOTE_PORT") or ""),
        version,
        *body_framing(environ),
        "HTTP_AUTHORIZATION" in environ,
        _upgrade(environ, version) if "HTTP_UPGRADE" in environ else (),
    )
