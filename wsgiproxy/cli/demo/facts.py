"""What the backend of the demo gets, and what it knows of the client's request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.sansio.fields.names import environ_field
from wsgiproxy.sansio.message import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["CARRIED", "Received", "Shown", "facts", "received_in"]

#: The environ key that the front carries to the backend.
CARRIED = "demo.front"


class Received(NamedTuple):
    """A request as the backend receives it."""

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


def received_in(environ: WSGIEnvironment) -> Received:
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
    return Received(
        environ["REQUEST_METHOD"],
        environ.get("REQUEST_URI", ""),
        environ.get("SERVER_PROTOCOL", ""),
        environ.get("REMOTE_ADDR", ""),
        sorted(headers, key=lambda field: field[0].lower()),
    )


def facts(environ: WSGIEnvironment, received: Received) -> Shown:
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
