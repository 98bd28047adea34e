"""A request of the demo as it is at either side; :mod:`wsgiproxy.sansio.differences` compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.sansio.fields.names import environ_field, spelled
from wsgiproxy.sansio.message import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["CARRIED", "Seen", "Shown", "facts", "seen_in", "seen_in_scope"]

#: The environ key that the front carries to the backend.
CARRIED = "demo.front"


class Seen(NamedTuple):
    """A request as it is at one side."""

    method: str
    target: str
    protocol: str
    address: str
    headers: Headers


class Shown(NamedTuple):
    """What the backend knows about its public side, and what it would know without the proxy.

    :param public: the URL of the client's request.
    :param base: the public URL of the mount, without a slash at its end.
    :param prefix: the path of the mount.
    :param client: the client's address.
    :param key: the key id of the signature.
    :param carried: the carried value, as JSON.
    :param own: the URL of this request at the backend.
    :param peer: the address of the peer.
    """

    public: str
    base: str
    prefix: str
    client: str
    key: str
    carried: str
    own: str
    peer: str


def seen_in(environ: WSGIEnvironment) -> Seen:
    """The request in an environ."""
    headers = [
        (name, str(value))
        for key, value in environ.items()
        if (name := environ_field(key)) is not None
    ]
    # environ_field() leaves these two out.
    for name, key in (("Host", "HTTP_HOST"), ("Content-Length", "CONTENT_LENGTH")):
        if key in environ:
            headers.append((name, environ[key]))
    return Seen(
        environ["REQUEST_METHOD"],
        environ.get("REQUEST_URI", ""),
        environ.get("SERVER_PROTOCOL", ""),
        environ.get("REMOTE_ADDR", ""),
        sorted(headers, key=lambda field: field[0].lower()),
    )


def seen_in_scope(scope: Mapping[str, Any]) -> Seen:
    """The request in an ASGI scope, written as :func:`seen_in` writes it."""
    headers: dict[str, str] = {}
    for field, value in scope["headers"]:
        name, text = spelled(field.decode("latin-1")), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    client, query = scope.get("client"), scope["query_string"].decode("latin-1")
    return Seen(
        scope["method"],
        scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
        f"HTTP/{scope['http_version']}",
        client[0] if client else "",
        sorted(headers.items(), key=lambda field: field[0].lower()),
    )


def facts(environ: WSGIEnvironment, received: Seen) -> Shown:
    """What the backend knows.

    :param environ: as the middleware has restored it.
    :param received: the request before that.
    """
    host = dict(received.headers).get("Host", "")
    root = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    prefix = environ.get("SCRIPT_NAME", "")
    return Shown(
        public=root + environ.get("REQUEST_URI", ""),
        base=root + prefix,
        prefix=prefix,
        client=environ.get("REMOTE_ADDR", ""),
        key=environ.get("wsgiproxy.verified", ""),
        carried=json.dumps(environ[CARRIED]) if CARRIED in environ else "",
        own=f"http://{host}{received.target}",
        peer=received.address,
    )
