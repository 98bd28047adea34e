"""From an ASGI scope to the environ that the rules read, and from what they changed to a new scope.

It never changes a scope, and leaves everything as it came that no rule has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.scope import native
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import default_port
from wsgiproxy.sansio.target import (
    Target,
    decoded,
    raw_target,
    rebuilt_target,
    under,
)
from wsgiproxy.sansio.websocket import HTTP_SCHEMES, SCHEMES

__all__ = ["OWN_MEMBERS", "environ_of", "mounted", "scope_of"]

Environ = Mapping[str, Any]
Scope = Mapping[str, Any]

#: Members of ``scope["wsgiproxy"]`` that are no carried keys.
OWN_MEMBERS = frozenset(["orig", "peer", "traversal_path", "traversal_query_string", "verified"])
# Environ key -> the member of the scope that says the same.
_MEMBERS = {
    "wsgi.url_scheme": "scheme",
    "REMOTE_ADDR": "client",
    "REMOTE_PORT": "client",
    "SERVER_NAME": "server",
    "SERVER_PORT": "server",
    "SCRIPT_NAME": "root_path",
    "PATH_INFO": "path",
    "REQUEST_URI": "raw_path",
    "QUERY_STRING": "query_string",
    "REQUEST_METHOD": "method",
    "SERVER_PROTOCOL": "http_version",
}
_FIELDS = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
_INPUT = ("wsgi.input", "wsgi.input_terminated")


def environ_of(scope: Scope) -> dict[str, Any]:
    """The request of a scope, as PEP 3333 would have it; without ``wsgi.input``.

    The path is that of ``raw_path``, if both say the same: servers decode it as UTF-8, which loses
    all other bytes. ``path`` may include ``root_path`` or not: older servers leave it out. Fields
    with an underscore in their name get a key that no rule reads, since a peer that is trusted to
    set ``X-Forwarded-For`` has not looked at ``X_Forwarded_For``; both are removed.

    :param scope: of an ``http`` or a ``websocket`` connection.
    :raises BadRequest: the path holds characters that are no bytes.

    >>> environ = environ_of({"type": "websocket", "path": "/m/x", "root_path": "/m",
    ...     "query_string": b"", "scheme": "wss", "headers": [(b"host", b"a.example")]})
    >>> environ["wsgi.url_scheme"], environ["SCRIPT_NAME"], environ["PATH_INFO"]
    ('https', '/m', '/x')
    """
    environ = _fields(scope.get("headers") or ())
    environ.update(_paths(scope))
    query = (scope.get("query_string") or b"").decode("latin-1")
    if "REQUEST_URI" in environ and query:
        environ["REQUEST_URI"] += f"?{query}"
    is_websocket = scope["type"] == "websocket"
    scheme = scope.get("scheme") or ("ws" if is_websocket else "http")
    environ.update(
        {
            "REQUEST_METHOD": scope.get("method") or "GET",
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version') or '1.1'}",
            "wsgi.url_scheme": HTTP_SCHEMES.get(scheme, scheme),
            # ASGI has an event for the end of a body.
            "wsgi.input_terminated": True,
        }
    )
    environ.update(_address(scope.get("client"), "REMOTE_ADDR", "REMOTE_PORT"))
    environ.update(_address(scope.get("server"), "SERVER_NAME", "SERVER_PORT"))
    environ.update(_left_by_others(scope.get("wsgiproxy") or {}))
    return environ


def _left_by_others(own: Mapping[str, Any]) -> dict[str, Any]:
    """What another middleware of ours has left, but nothing that would be the request itself."""
    keys = {name: f"wsgiproxy.{name}" if name in OWN_MEMBERS else name for name in own}
    return {key: own[name] for name, key in keys.items() if _is_own(key)}


def _is_own(key: str) -> bool:
    return key not in _MEMBERS and key not in _INPUT and not _is_field(key)


def _address(pair: Iterable[Any] | None, host: str, port: str) -> dict[str, str]:
    values = zip((host, port), pair or (), strict=False)
    return {key: str(value) for key, value in values if value is not None}


@remembered
def _field_key(name: bytes) -> str:
    if b"_" in name:
        return "HTTP_" + name.lower().decode("latin-1")
    key = name.upper().replace(b"-", b"_").decode("latin-1")
    return key if key in _FIELDS else f"HTTP_{key}"


def _field_name(key: str) -> str:
    name = _FIELDS.get(key) or key[5:]
    return name.lower().replace("_", "-") if name.isupper() else name


def _is_field(key: str) -> bool:
    return key.startswith("HTTP_") or key in _FIELDS


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in headers:
        key, text = _field_key(name), value.decode("latin-1")
        if key in found:
            # RFC 9110, 5.3; RFC 9113, 8.2.3 has cookies joined by a separator of their own.
            text = found[key] + ("; " if key == "HTTP_COOKIE" else ", ") + text
        found[key] = text
    return found


def _raw(scope: Scope) -> bytes:
    # Some test clients append the query.
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0]


def _paths(scope: Scope) -> dict[str, str]:
    raw, path = _raw(scope), scope.get("path") or ""
    whole = native(path)
    if raw and not path.isascii() and unquote_to_bytes(raw).decode("utf-8", "replace") == path:
        whole = decoded(raw.decode("latin-1"))
    script_name = native(scope.get("root_path") or "").rstrip("/")
    rest = whole[len(script_name) :] if under(whole, script_name) else whole
    paths = {"SCRIPT_NAME": script_name, "PATH_INFO": rest}
    if raw:
        paths["REQUEST_URI"] = raw.decode("latin-1")
    return paths


# -- back ------------------------------------------------------------------------------


def scope_of(scope: Scope, before: Environ, after: Environ) -> dict[str, Any]:
    """A new scope, with the changes of an environ.

    A path that was changed includes ``root_path``, as the specification has it. A client of which
    only the address is known has port 0. ``wsgiproxy`` holds the carried keys, what the rules
    say under ``wsgiproxy.*``, and ``orig``: members of the scope as they were, and the text of
    fields under their names.

    :param scope: the request as it came.
    :param before: what :func:`environ_of` has made of it.
    :param after: the same, with changes.
    :raises BadRequest: the path does not start with a slash, and is to be changed.
    """
    changed = {
        key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
    }.difference(_INPUT)
    new = dict(scope)
    new["headers"] = _headers(scope, after, changed)
    if "wsgi.url_scheme" in changed:
        scheme = after["wsgi.url_scheme"]
        is_websocket = scope["type"] == "websocket"
        new["scheme"] = SCHEMES.get(scheme, scheme) if is_websocket else scheme
    if changed & {"REMOTE_ADDR", "REMOTE_PORT"}:
        address = after.get("REMOTE_ADDR")
        new["client"] = (address, int(after.get("REMOTE_PORT") or 0)) if address else None
    if changed & {"SERVER_NAME", "SERVER_PORT"} and after.get("SERVER_NAME"):
        port = after.get("SERVER_PORT") or default_port(after["wsgi.url_scheme"])
        new["server"] = (after["SERVER_NAME"], int(port))
    if changed & {"SCRIPT_NAME", "PATH_INFO", "REQUEST_URI"}:
        new.update(_new_paths(before, after))
    if "QUERY_STRING" in changed:
        new["query_string"] = after["QUERY_STRING"].encode("latin-1")
    new["wsgiproxy"] = _own(scope, new, after)
    return new


def _headers(scope: Scope, after: Environ, changed: set[str]) -> list[tuple[bytes, bytes]]:
    values = {key: after[key] for key in sorted(changed) if _is_field(key) and key in after}
    headers = []
    for line in scope.get("headers") or ():
        key = _field_key(line[0])
        if key not in changed:
            headers.append(line)
        elif key in values:
            headers.append((line[0], values.pop(key).encode("latin-1")))
    for key, value in values.items():
        line = (_field_name(key).encode("latin-1"), value.encode("latin-1"))
        # RFC 9110, 7.2: Host is best sent first.
        headers.insert(0 if key == "HTTP_HOST" else len(headers), line)
    return headers


def _new_paths(before: Environ, after: Environ) -> dict[str, Any]:
    script_name, path_info = after.get("SCRIPT_NAME", ""), after.get("PATH_INFO", "")
    root_path = _as_text(script_name)
    if path_info == "*":  # OPTIONS * has no path that could be below another one
        return {"root_path": root_path}
    path = root_path + _as_text(path_info) or "/"
    return {
        "root_path": root_path,
        "path": path,
        "raw_path": _new_raw_path(before, after).encode("latin-1"),
    }


def _new_raw_path(before: Environ, after: Environ) -> str:
    script_name, path_info = after.get("SCRIPT_NAME", ""), after.get("PATH_INFO", "")
    known, old = _known(after), _known(before)
    if known is not None:
        return known.script_name + known.path or "/"
    target = rebuilt_target(script_name, path_info, "")
    if old is not None and before.get("PATH_INFO", "") == path_info:
        target = target._replace(path=old.path)
    return target.script_name + target.path or "/"


def _known(environ: Environ) -> Target | None:
    """The raw path of an environ, if it still is what the decoded one says."""
    raw = environ.get("REQUEST_URI", "").partition("?")[0]
    try:
        return raw_target(raw, environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", ""), "")
    except BadRequest:  # it holds what no target may have, and is written anew
        return None


def _as_text(path: str) -> str:
    """A path of WSGI as servers of ASGI decode it."""
    return path.encode("latin-1").decode("utf-8", "replace")


def _own(scope: Scope, new: Scope, after: Environ) -> dict[str, Any]:
    own = {key.removeprefix("wsgiproxy."): after[key] for key in after if _is_own(key)}
    own["orig"] = _originals(scope, new, after["wsgiproxy.orig"])
    return own


def _originals(scope: Scope, new: Scope, replaced: Environ) -> dict[str, Any]:
    # One key of the environ stands for several members: path and raw_path begin with root_path.
    found: dict[str, Any] = {
        name: scope[name]
        for name in dict.fromkeys(_MEMBERS.values())
        if name in scope and new.get(name) != scope[name]
    }
    for key, value in replaced.items():
        if key in _MEMBERS:
            found[_MEMBERS[key]] = scope.get(_MEMBERS[key])
        elif _is_field(key):
            found[_field_name(key)] = value
        elif _is_own(key):
            found[key.removeprefix("wsgiproxy.")] = value
    return found


def mounted(scope: MutableMapping[str, Any], path: str | None) -> MutableMapping[str, Any]:
    """A scope for an application that is mounted before *path*; as it is for None.

    :raises ValueError: the path of the request does not end with it.

    >>> mounted({"path": "/tool/x"}, "x")["root_path"]
    '/tool'
    """
    if path is None:
        return scope
    whole: str = scope["path"]
    before = whole[: len(whole) - len(path)]
    if before + path != whole or (path and not before.endswith("/") and path[0] != "/"):
        raise ValueError(f"path={path!r}: expected the end of the request's path {whole!r}")
    before = before.rstrip("/")
    outer = scope.get("root_path", "").rstrip("/")
    if under(whole, outer):
        return {**scope, "root_path": before}
    # A server that gives the path without the mount.
    raw = scope.get("raw_path") or b""
    if raw[:1] == b"/":
        raw = quote(outer).encode() + raw
    return {**scope, "root_path": outer + before, "path": outer + whole, "raw_path": raw}
