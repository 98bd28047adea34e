"""The rules of WSGIProxy2's proxies: where to, what is announced, which Location comes back.

It takes no client's word for where to connect, and no client library's word for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from wsgiproxy.errors import BadRequest, BadResponse, ConfigurationError
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.fields.via import with_via
from wsgiproxy.sansio.grammar import is_field_value, is_length, is_token, status_line
from wsgiproxy.sansio.href import Base, join, parse_href
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound, ResponseHead, bracketed
from wsgiproxy.sansio.pipeline import Outgoing, request_for
from wsgiproxy.sansio.target import ABSOLUTE, escapes

__all__ = [
    "ABSOLUTE_URL_RE",
    "ClientAnswer",
    "Proxied",
    "address_of",
    "check_answer",
    "outgoing",
    "parse_uri",
    "rewrite_location",
    "split_uri",
    "with_location",
]

#: What WSGIProxy2 took for an absolute address.
ABSOLUTE_URL_RE = re.compile(r"^https?://", re.IGNORECASE)

_URI = "expected http://host[:port][/path] or https://host[:port][/path]"


def parse_uri(uri: str) -> Base:
    """Read the address of the server that everything goes to.

    :raises ConfigurationError: it has no scheme or host, or a query, userinfo or fragment.

    >>> parse_uri("http://127.0.0.1:8000/base").path
    '/base'
    """
    try:
        base = parse_href(uri)
    except ConfigurationError as error:
        raise ConfigurationError(f"uri={uri!r}: {_URI}") from error
    if base.origin.unix or base.query:
        raise ConfigurationError(f"uri={uri!r}: {_URI}")
    return base


def split_uri(uri: str) -> tuple[Base, str]:
    """The server of an absolute URI, and the target to ask it for: two values from here on.

    :raises ConfigurationError: it is none.

    >>> base, target = split_uri("http://127.0.0.1:8000//a/b?c")
    >>> base.origin.authority, target
    ('127.0.0.1:8000', '//a/b?c')
    """
    match = ABSOLUTE.fullmatch(uri)
    if match is None:
        raise ConfigurationError(f"uri={uri[:300]!r}: {_URI}")
    scheme, authority, path, query = match.groups("")
    return parse_uri(f"{scheme}://{authority}"), (path or "/") + query


def address_of(scheme: str, host: str, port: object = None) -> str:
    """The address of a server that an environ names, always with its port.

    :param host: ``HTTP_HOST`` or ``SERVER_NAME``, with or without a port.
    :param port: the port if *host* has none; None for that of the scheme.
    :raises BadRequest: they are not what they should be.

    >>> address_of("http", "example.com"), address_of("https", "::1", 8443)
    ('http://example.com:80', 'https://[::1]:8443')
    """
    if host.count(":") > 1:
        host = bracketed(host)
    if scheme not in DEFAULT_PORTS or not is_host(host):
        raise BadRequest(f"{scheme!r} and {host[:300]!r} are not a scheme and a host[:port]")
    name, number = split_host(host)
    authority = f"{bracketed(name)}:{number or port or DEFAULT_PORTS[scheme]}"
    if not is_host(authority) or not split_host(authority)[1]:
        raise BadRequest(f"the port {port!r} is not a port")
    return f"{scheme}://{authority}"


class Proxied(NamedTuple):
    """What a proxy has found out about one request, before its policy.

    :param base: where to, as ``extract_uri`` said.
    :param host: the value for Host.
    :param announced: fields of the header map, which replace those of the same name.
    :param strips: leave the mount out of the path.
    :param pseudonym: our name in Via; empty where the program itself asks, and there is
        nothing to relay.
    """

    base: Base
    host: str
    announced: Headers
    strips: bool
    pseudonym: str


def outgoing(proxied: Proxied, inbound: Inbound, headers: Headers) -> Outgoing:
    """Stage 3. The context of the answer is the target.

    :raises BadRequest: the target is no path, or leaves the base or the mount.
    :raises LoopDetected: the request has been here before.
    """
    base = proxied.base
    path = inbound.path if proxied.strips else inbound.script_name + inbound.path
    if path[:1] == "*":
        raise BadRequest("the target * has no place in an address")
    # A server that resolves dots would leave what this proxy was given.
    if (base.path or (proxied.strips and inbound.script_name)) and escapes(path):
        raise BadRequest("a '..' segment in the path")
    if not is_host(proxied.host):
        raise BadRequest(f"Host {proxied.host[:300]!r} is not host[:port]")
    headers = [*without(headers, [name for name, _ in proxied.announced]), *proxied.announced]
    if proxied.pseudonym:
        headers = with_via(headers, inbound.protocol, proxied.pseudonym)
    request = request_for(
        inbound, join(base, path, inbound.query), [("Host", proxied.host), *headers]
    )
    return Outgoing(base.origin, request, request.target)


# -- Location --------------------------------------------------------------------------

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITY = re.compile(r"(https?:)?//[^/?#]+", re.IGNORECASE)


def _server(parts: SplitResult, scheme: str) -> tuple[str, str | None, int | None]:
    scheme = parts.scheme or scheme
    return scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(scheme)


def rewrite_location(host_uri: str, location: str, prefix_path: str | None = None) -> str:
    """A Location of the server at *host_uri*, absolute, and with the mount before its path.

    Addresses of other servers, and what is no http address, stay as they are.

    :param host_uri: where the request went.
    :param location: the field as the server sent it.
    :param prefix_path: ``SCRIPT_NAME``, if it was left out of the path.

    >>> rewrite_location("http://localhost:80", "/foo", "/mount")
    'http://localhost:80/mount/foo'
    >>> rewrite_location("http://localhost:80", "http://example.com/foo", "/mount")
    'http://example.com/foo'
    """
    prefix = (prefix_path or "").strip("/")
    prefix = "/" + prefix if prefix else ""
    try:
        host, found = urlsplit(host_uri), urlsplit(location)
        same = _server(host, "") == _server(found, host.scheme)
    except ValueError:
        return location
    match = _AUTHORITY.match(location)
    if match is None:
        if found.scheme:
            return location  # mailto: and the like
        # "///x" is another server to browsers; here it is a path of this one.
        return f"{host.scheme}://{host.netloc}{prefix}/{location.lstrip('/')}"
    if not same or (match[1] and not prefix):
        return location
    rest = location[match.end() :]
    scheme = "" if match[1] else f"{host.scheme}:"
    return f"{scheme}{match[0]}{prefix}{rest if rest[:1] == '/' else '/' + rest}"


def with_location(
    headers: Headers, location: str, uri: str, target: str, prefix: str | None
) -> Headers:
    """Stage 6: the field lines with *location*, as the client is to see it.

    :param uri: where the request went, as ``extract_uri`` said.
    :param target: what was asked for there: what a relative reference begins with.
    :param prefix: ``SCRIPT_NAME``, if it was left out of the path.

    >>> with_location([("Location", "next")], "next", "http://a:80", "/x/y", "/mount")
    [('Location', 'http://a:80/mount/x/next')]
    """
    if location[:1] != "/" and not _SCHEME.match(location):
        # RFC 3986, 5.2, but for the dots, which a client takes out.
        path = target.partition("?")[0]
        kept = {"?": path, "#": target}.get(location[:1], path[: path.rindex("/") + 1])
        server = urlsplit(uri)
        location = f"{server.scheme}://{server.netloc}{kept}{location}"
    moved = rewrite_location(uri, location, prefix)
    return [(name, moved if name.lower() == "location" else value) for name, value in headers]


# -- what a client returns -------------------------------------------------------------


class ClientAnswer(NamedTuple):
    """What a client has returned, checked.

    :param head: status, reason and field lines.
    :param location: the address of a redirect, which is to be rewritten; or None.
    :param body: its blocks.
    :param length: how many bytes they have to be; None if the client did not say.
    """

    head: ResponseHead
    location: str | None
    body: Iterable[bytes]
    length: int | None


def _shown(thing: object) -> str:
    return repr(thing)[:200]


def _fields(headers: Any) -> Headers:
    try:
        fields = [(name, value) for name, value in headers]
        # A string of two letters, as in a mapping of names, looks like a pair, too.
        if isinstance(headers, Mapping) or any(isinstance(each, str) for each in headers):
            raise TypeError(headers)
    except (TypeError, ValueError) as error:
        raise BadResponse(f"its headers are {_shown(headers)}: expected pairs") from error
    for name, value in fields:
        good = isinstance(name, str) and isinstance(value, str)
        if not good or not is_token(name) or not is_field_value(value):
            raise BadResponse(f"its headers have {_shown((name, value))}: expected a field")
    return fields


def _length(fields: Headers) -> tuple[Headers, int | None]:
    """The field lines and the length; chunks have none (RFC 9112, 6.3)."""
    names = {name.lower() for name, _ in fields}
    if "transfer-encoding" in names:
        return [field for field in fields if field[0].lower() != "content-length"], None
    found = [value for name, value in fields if name.lower() == "content-length"]
    if not found:
        return fields, None
    if len(found) > 1 or not is_length(found[0]):
        raise BadResponse(f"its Content-Length is {_shown(found)}: expected one number")
    return fields, int(found[0])


def check_answer(result: object) -> ClientAnswer:
    """Check what a client has returned: ``(status, location, headers, body)``.

    :raises BadResponse: it is something else.

    >>> check_answer(("200 OK", None, [("X-A", "1")], [b"hello"])).head.status
    200
    """
    if not isinstance(result, (tuple, list)) or len(result) != 4:
        raise BadResponse(
            f"it returned {_shown(result)}: expected (status, location, headers, body)"
        )
    status, location, headers, body = result
    line = status_line(status) if isinstance(status, str) else None
    if line is None:
        raise BadResponse(f"its status is {_shown(status)}: expected such as '200 OK'")
    if location is not None and not (isinstance(location, str) and is_field_value(location)):
        raise BadResponse(f"its location is {_shown(location)}: expected text of a field, or None")
    fields, length = _length(_fields(headers))
    if isinstance(body, (str, bytes)) or not isinstance(body, Iterable):
        raise BadResponse(f"its body is {_shown(body)}: expected an iterable of bytes")
    head = ResponseHead(*line, fields)
    return ClientAnswer(head, location or None, body, length)
