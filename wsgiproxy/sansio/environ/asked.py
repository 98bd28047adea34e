"""The host and the path of a request, by which a router chooses; the application judges both.

The host of an absolute-form target counts more than Host (RFC 9112, 3.2.2), as it does in the
application: a router that believed Host alone would hand a request for one host to what stands at
another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.mount import path_in
from wsgiproxy.sansio.target import Absolute, absolute_form

__all__ = ["asked_by_environ", "asked_by_scope"]


def asked_by_environ(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The host and the path below the mount, as WSGI has them; a target with a bad host has none.

    >>> asked_by_environ({"RAW_URI": "http://a.example/x", "HTTP_HOST": "b", "PATH_INFO": "/x"})
    ('a.example', '/x')
    """
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if not raw and "asgi.scope" in environ:  # an adapter
        raw = (environ["asgi.scope"].get("raw_path") or b"").decode("latin-1")
    host, path = environ.get("HTTP_HOST", ""), environ.get("PATH_INFO", "")
    if raw[:1] in ("/", ""):
        return host, path
    return _asked(raw, host)[0], path


def asked_by_scope(scope: Mapping[str, Any]) -> tuple[str, str, str]:
    """The host, the mount and the path below it, as ASGI has them.

    >>> asked_by_scope({"path": "/app/x", "root_path": "/app", "headers": [(b"host", b"h")]})
    ('h', '/app', '/x')
    """
    path, raw = scope["path"], scope.get("raw_path") or b""
    values = [value for name, value in scope["headers"] if name.lower() == b"host"]
    host = b", ".join(values).decode("latin-1")
    if raw[:1] not in (b"/", b""):
        host, absolute = _asked(raw.decode("latin-1"), host)
        if absolute is not None:
            # Some servers take the authority for a part of the path.
            authority = f"{absolute.scheme}://{absolute.authority}"
            if path[: len(authority)].lower() == authority.lower():
                path = path[len(authority) :] or "/"
    return host, *path_in(scope.get("root_path", ""), path)


def _asked(raw: str, host: str) -> tuple[str, Absolute | None]:
    try:
        absolute = absolute_form(raw)
    except BadRequest:
        return "", None
    return (absolute.authority if absolute else host), absolute
