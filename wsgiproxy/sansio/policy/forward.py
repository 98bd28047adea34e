"""What is asked of a browser proxy: the absolute-form, the authority of a tunnel, the credentials.

It decides nothing about who may ask, and where to: that is for :mod:`wsgiproxy.forward` and
:mod:`wsgiproxy.sansio.destination`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from wsgiproxy.errors import BadRequest, NotForProxy
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.fields.via import with_response_via, with_via
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound, Origin
from wsgiproxy.sansio.pipeline import Outgoing, request_for, whole_target
from wsgiproxy.sansio.target import Absolute, absolute_form, decoded, rebuilt_target

__all__ = [
    "ORIGIN",
    "ForwardPolicy",
    "absolute_changes",
    "basic_credentials",
    "requested",
    "tunnel_authority",
]

#: The environ key with the scheme and the authority that a browser proxy was asked for.
ORIGIN = "wsgiproxy.origin"

# Paste puts "http://dummy" before every target, and takes the result apart again: the scheme
# of an absolute one becomes a part of the host, and its authority the beginning of the path.
_DUMMY = "dummy"
_DUMMY_SCHEME = re.compile(r"dummy(https?):", re.IGNORECASE)
_LOST = "\N{REPLACEMENT CHARACTER}"
# RFC 7617, 2: no control characters in either part.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MASK = re.compile(r"[0-9A-Za-z+/]+={0,2}")


def requested(environ: Mapping[str, Any]) -> str:
    """The request-target, as far as the server tells; empty if it does not.

    :param environ: with ``REQUEST_URI`` or ``RAW_URI``, or of stock Paste, which keeps no raw
        target: there, it is made again of what is left of it.
    :raises BadRequest: nothing is.

    >>> requested({"REQUEST_URI": "http://example.com/a%2Fb"})
    'http://example.com/a%2Fb'
    >>> requested({"paste.httpserver.proxy.host": "dummyhttp:", "QUERY_STRING": "x=1",
    ...     "PATH_INFO": "//example.com:8080/foo/bar"})
    'http://example.com:8080/foo/bar?x=1'
    >>> requested({"paste.httpserver.proxy.host": "dummy", "PATH_INFO": "/foo"})
    ''
    """
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    host = environ.get("paste.httpserver.proxy.host", "")
    if raw or not host:
        return raw
    path = environ.get("PATH_INFO", "")
    scheme = environ.get("paste.httpserver.proxy.scheme", "http")
    if host.startswith(_DUMMY):
        match = _DUMMY_SCHEME.fullmatch(host)
        if match is None or not path.startswith("//"):
            return ""
        if _LOST in path:
            raise BadRequest("the server has lost what the path of the request was")
        scheme = match[1]
        # It decodes as UTF-8, where PEP 3333 wants bytes.
        host, _, path = path[2:].encode().decode("latin-1").partition("/")
    target = rebuilt_target("", "/" + path.lstrip("/"), environ.get("QUERY_STRING", ""))
    return f"{scheme}://{host}{target.path}{target.query}"


def absolute_changes(environ: Mapping[str, Any]) -> tuple[Absolute, dict[str, Any]]:
    """What an absolute-form request asks for, and its environ keys (RFC 9112, 3.2.2).

    :returns: the target, and what is to change in the environ, so that it describes the request
        to the origin: ``SERVER_NAME``, ``SERVER_PORT``, ``HTTP_HOST``, the scheme and the path.
    :raises NotForProxy: another form, or a scheme other than http and https.
    :raises BadRequest: userinfo, a fragment, or no proper host.

    >>> absolute, changes = absolute_changes({"REQUEST_URI": "http://example.com:81/a%2Fb?x"})
    >>> changes["SERVER_NAME"], changes["SERVER_PORT"], changes["PATH_INFO"]
    ('example.com', '81', '/a/b')
    """
    raw = requested(environ)
    absolute = None if raw[:1] in ("/", "") else absolute_form(raw)
    if absolute is None or absolute.scheme not in DEFAULT_PORTS:
        path = raw.partition("?")[0][:200]  # what is asked may be a secret
        raise NotForProxy(f"the target {path!r} is not an absolute http one")
    path, _, query = absolute.rest.partition("?")
    name, port = split_host(absolute.authority, absolute.scheme)
    return absolute, {
        ORIGIN: f"{absolute.scheme}://{absolute.authority}",
        "wsgi.url_scheme": absolute.scheme,
        "REQUEST_URI": raw,
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "HTTP_HOST": absolute.authority,
        "SCRIPT_NAME": "",
        "PATH_INFO": decoded(path) or "/",
        "QUERY_STRING": query,
    }


def tunnel_authority(raw: str) -> tuple[str, int]:
    """Host and port of an authority-form target (RFC 9112, 3.2.3); the port is never left out.

    :raises BadRequest: another form.

    >>> tunnel_authority("[2001:db8::1]:443")
    ('2001:db8::1', 443)
    """
    host, port = split_host(raw) if is_host(raw) else ("", 0)
    if not host or not 0 < port <= 65535:
        raise BadRequest("the target of CONNECT is not host:port")
    return host, port


def basic_credentials(field: str) -> tuple[str, str] | None:
    """User and password of ``Proxy-Authorization`` (RFC 7617); None for anything else.

    >>> basic_credentials("Basic YWxpY2U6eDp5")
    ('alice', 'x:y')
    >>> basic_credentials("Bearer YWxpY2U6eDp5") is None
    True
    """
    scheme, _, token = field.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "basic" or not _MASK.fullmatch(token):
        return None
    try:
        text = b64decode(token, validate=True).decode("utf-8")
    except ValueError:
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon and not _CONTROL.search(text) else None


class ForwardPolicy:
    """Send an absolute-form request to its authority: the exact proxy's rules, and ``Via``.

    Nothing is announced: whom a browser belongs to is not the server's matter (RFC 7239, 8.3).

    :param pseudonym: our name in Via, which a proxy has to give both ways (RFC 9110, 7.6.3).
    """

    keeps_namespace = True
    is_known_by_port = False
    passes_commands = False

    def __init__(self, pseudonym: str) -> None:
        self._pseudonym = pseudonym

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Host is the authority of the target, whatever the client's Host was.

        :raises LoopDetected: it comes from ourselves.
        """
        origin = Origin("http", *split_host(inbound.host, "http"))
        lines = with_via([("Host", inbound.host), *headers], inbound.protocol, self._pseudonym)
        return Outgoing(origin, request_for(inbound, whole_target(inbound), lines))

    def response(self, headers: Headers, context: object) -> Headers:
        """Stage 6: Via alone."""
        return with_response_via(headers, self._pseudonym)
