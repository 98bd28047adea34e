"""The changes of a proxy to a request: the fields of both sides, compared and explained.

The explanations follow the rules of the proxy, and not its own words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.sansio.fields.connection import connection_options, end_to_end, is_hop_or_ours
from wsgiproxy.sansio.fields.names import environ_field, normalized_name, spelled
from wsgiproxy.sansio.message import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["CARRIED", "STATES", "Change", "Seen", "Shown", "compare", "facts", "seen_in"]
__all__ += ["seen_in_scope"]

#: The environ key that the front carries to the backend.
CARRIED = "demo.front"

#: In the order of the page.
STATES = ("changed", "removed", "added", "same")


class Seen(NamedTuple):
    """A request as it is at one side."""

    method: str
    target: str
    protocol: str
    address: str
    headers: Headers


class Change(NamedTuple):
    """One field on both sides; None where it was not.

    :param state: one of :data:`STATES`.
    :param why: a sentence, empty if there is nothing to explain.
    """

    name: str
    state: str
    client: str | None
    backend: str | None
    why: str


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


_ADDED = {
    "x-forwarded-host": "The host that you asked for.",
    "x-forwarded-proto": "The scheme that you asked with.",
    "x-forwarded-port": "The port that you asked at.",
    "x-forwarded-for": "Your address, as the proxy’s own socket knows it.",
    "x-forwarded-prefix": "The path below which the backend is mounted.",
    "x-forwarded-server": "The host again, by the name that WSGIProxy 0.2 gave it.",
    "x-forwarded-scheme": "The scheme again, by the name that WSGIProxy 0.2 gave it.",
    "x-forwarded-script-name": "The path again, by the name that WSGIProxy 0.2 gave it.",
    "via": "Every proxy signs here, and so notices when it meets itself.",
    "wsgiproxy": "The envelope: all that the proxy says of your request, in one signed piece.",
    "signature": "Proves that the envelope comes from the holder of the key (RFC 9421).",
    "signature-input": "What is signed, when, and with which key.",
    "x-request-id": "Added by this demo, not by the proxy, to know your request again.",
}
_CHANGED = {
    "host": "The backend’s own address. With --preserve-host it would see yours.",
    "via": "Every proxy signs here, after those before it.",
    "x-request-id": "Replaced by this demo, not by the proxy, to know your request again.",
}
_FORGED = "The client may not say this. The proxy knows better."
_NAMED = "Named in Connection, so it was meant for the first hop alone."
_ONE_HOP = "Speaks about one connection, not about the request."


def _why_removed(name: str, named: frozenset[str]) -> str:
    if normalized_name(name) in named:
        return _NAMED
    if not end_to_end([(name, "")]):
        return _ONE_HOP
    return _FORGED if is_hop_or_ours(name) else ""


def _change(name: str, sent: str | None, got: str | None, named: frozenset[str]) -> Change:
    key = name.lower()
    if sent == got:
        return Change(name, "same", sent, got, "")
    if got is None:
        return Change(name, "removed", sent, got, _why_removed(name, named))
    if sent is None:
        return Change(name, "added", sent, got, _ADDED.get(key, ""))
    forged = is_hop_or_ours(name)
    return Change(name, "changed", sent, got, _FORGED if forged else _CHANGED.get(key, ""))


def compare(client: Headers, backend: Headers) -> list[Change]:
    """All fields of both sides, by state and then by name.

    >>> compare([("A", "1"), ("Keep-Alive", "5")], [("A", "1")])[0].state
    'removed'
    """
    named = connection_options(client)
    sent, got = _by_name(client), _by_name(backend)
    names = {key: name for key, (name, _) in (got | sent).items()}
    changes = [
        _change(name, sent.get(key, ("", None))[1], got.get(key, ("", None))[1], named)
        for key, name in names.items()
    ]
    return sorted(changes, key=lambda change: (STATES.index(change.state), change.name.lower()))


def _by_name(headers: Headers) -> dict[str, tuple[str, str]]:
    joined: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        before = joined.get(name.lower())
        joined[name.lower()] = (name, f"{before[1]}, {value}" if before else value)
    return joined


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
