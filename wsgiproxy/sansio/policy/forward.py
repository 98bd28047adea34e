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
from wsgiproxy.sansio.environ.scope import target_of
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.fields.names import without, words
from wsgiproxy.sansio.fields.via import with_response_via, with_via
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers, Inbound, Origin
from wsgiproxy.sansio.pipeline import Outgoing, request_for, whole_target
from wsgiproxy.sansio.reference import path_of, resolved
from wsgiproxy.sansio.target import ABSOLUTE, Absolute, absolute_form, decoded, rebuilt_target

__all__ = [
    "ORIGIN",
    "ForwardPolicy",
    "UrlPathPolicy",
    "absolute_changes",
    "asked_scope",
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
    has_own_upstreams = False
    trusts_ids = None
    passes_commands = False

    def __init__(self, pseudonym: str) -> None:
        self._pseudonym = pseudonym

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        return headers

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Host is the authority of the target, whatever the client's Host was.

        :raises LoopDetected: it comes from ourselves.
        """
        origin = Origin(inbound.scheme, *split_host(inbound.host, inbound.scheme))
        lines = with_via([("Host", inbound.host), *headers], inbound.protocol, self._pseudonym)
        return Outgoing(origin, request_for(inbound, whole_target(inbound), lines))

    def response(self, headers: Headers, context: object) -> Headers:
        """Stage 6: Via alone."""
        return with_response_via(headers, self._pseudonym)


def asked_scope(scope: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The scope of the request to the origin, from that of the request to the proxy.

    The URL is the path below the mount (``/http://example.com/a``), or the request has
    absolute-form, where the server hands that over.

    :returns: the scope, and the mount if the URL is in the path; None for absolute-form.
    :raises NotForProxy: neither, or a scheme other than http and https.
    :raises BadRequest: userinfo, a fragment, or no proper host.

    >>> scope, mount = asked_scope({"root_path": "/get", "path": "/get/https://a.example/b",
    ...     "raw_path": b"/get/https://a.example/b", "headers": [(b"host", b"proxy")]})
    >>> scope["scheme"], scope["raw_path"], scope["headers"], mount
    ('https', b'/b', [(b'host', b'a.example')], '/get')
    """
    target, absolute = target_of(scope)
    mount = None
    if absolute is None:
        mount = target.script_name
        absolute = absolute_form(target.path[1:] + target.query)
    if absolute is None or absolute.scheme not in DEFAULT_PORTS:
        shown = target.path[:200]  # what is asked may be a secret
        raise NotForProxy(f"the path {shown!r} is not a http or https URL")
    path, _, query = absolute.rest.partition("?")
    others = [field for field in scope["headers"] if field[0].lower() != b"host"]
    return {
        **scope,
        "scheme": absolute.scheme,
        "root_path": "",
        "path": decoded(path).encode("latin-1").decode("utf-8", "replace") or "/",
        "raw_path": path.encode("latin-1") or b"/",
        "query_string": query.encode("latin-1"),
        "headers": [(b"host", absolute.authority.encode("latin-1")), *others],
        ORIGIN: f"{absolute.scheme}://{absolute.authority}",
    }, mount


# To a browser, the destination and the application around the proxy are one origin: what belongs to
# that origin does not go to a destination, and no destination may command it.
_NOT_SENT = words("authorization cookie origin referer")
_NOT_FOR_THE_ORIGIN = words(
    "clear-site-data nel public-key-pins report-to reporting-endpoints service-worker-allowed "
    "set-cookie strict-transport-security"
)
_ADDRESSES = frozenset(["location", "content-location"])
_OTHER_SCHEME = re.compile(r"(?!https?:)[A-Za-z][A-Za-z0-9+.-]*:", re.IGNORECASE)


class UrlPathPolicy(ForwardPolicy):
    """The same for a URL that stands in the path of the proxy's own.

    What a client says of forwarding, its login and its cookies are for the application around the
    proxy, and end here.

    :param mount: the raw path of the proxy, below which the URL stands.
    """

    keeps_namespace = False

    def __init__(self, pseudonym: str, mount: str) -> None:
        super().__init__(pseudonym)
        self._mount = mount

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        return without(headers, _NOT_SENT)

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """As :meth:`ForwardPolicy.request`, without what is not for the destination."""
        found = super().request(inbound, without(headers, _NOT_SENT))
        origin = f"{inbound.scheme}://{inbound.host}"
        return found._replace(context=Absolute(inbound.scheme, origin, whole_target(inbound)))

    def response(self, headers: Headers, context: object) -> Headers:
        """Stage 6: Via; Location leads to the proxy again, and no field is for its origin."""
        assert isinstance(context, Absolute)
        mapped = [
            (name, self._mapped(value, context) if name.lower() in _ADDRESSES else value)
            for name, value in without(headers, _NOT_FOR_THE_ORIGIN)
        ]
        return super().response(mapped, context)

    def _mapped(self, value: str, asked: Absolute) -> str:
        """An address as a client of the proxy has to ask for it.

        :param asked: scheme, origin and target that were asked for.
        """
        if not value or value[0] == "#" or _OTHER_SCHEME.match(value):
            return value
        if value[:2] == "//":
            value = f"{asked.scheme}:{value}"
        elif value[0] == "/":
            value = asked.authority + value
        elif not ABSOLUTE.match(value):
            path = path_of(asked.rest)
            rest = path + value if value[0] == "?" else resolved(path, value)
            value = asked.authority + rest
        return f"{self._mount}/{value}"
