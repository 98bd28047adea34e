"""What both ends have to agree upon: types, limits, reserved keys, and which path is whose."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from wsgiproxy.sansio.fields.names import words
from wsgiproxy.sansio.target import decoded, decoded_but_slashes

__all__ = [
    "LIMIT",
    "TYPES",
    "VERSION",
    "WHOLE_LIMIT",
    "Carried",
    "belongs",
    "client_path",
    "client_query",
    "fault",
    "is_latin1",
    "is_reserved",
]

VERSION = 1
#: The declared types of carried keys, and what the values of each are.
TYPES = ("string", "text", "json", "pickle")

# The header without the request-target: servers stop at 8 KiB a field, some sooner.
LIMIT = 4096
# The header with it. No longer than our own transport lets a field be.
WHOLE_LIMIT = 8000
_DEPTH = 20

# What servers, CGI and we ourselves say of a request. REMOTE_USER and AUTH_TYPE are what
# the front application has found out, and may be carried.
_CGI = words(
    "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH SERVER_NAME "
    "SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE SERVER_ADDR SERVER_ADMIN SERVER_SIGNATURE "
    "GATEWAY_INTERFACE REMOTE_ADDR REMOTE_HOST REMOTE_PORT REQUEST_SCHEME REQUEST_URI RAW_URI "
    "PATH_TRANSLATED SCRIPT_FILENAME DOCUMENT_ROOT DOCUMENT_URI CONTEXT_PREFIX HTTPS "
    "CONTEXT_DOCUMENT_ROOT"
)
_RESERVED_PREFIXES = ("HTTP_", "wsgi.", "wsgiproxy.")

Carried = dict[str, dict[str, Any]]


def is_reserved(key: str) -> bool:
    """Whether an environ key can never be carried: it would rewrite the request itself.

    >>> is_reserved("HTTP_COOKIE"), is_reserved("wsgi.input"), is_reserved("REMOTE_USER")
    (True, True, False)
    """
    return key in _CGI or key.startswith(_RESERVED_PREFIXES)


def is_latin1(text: str) -> bool:
    """Whether a text is a native string of PEP 3333: bytes, each as one character."""
    return not text or max(text) <= "\xff"


def fault(kind: str, value: object) -> str:
    """What is wrong with a value of a declared type; empty if nothing is."""
    if kind == "json":
        return _json_fault(value, _DEPTH)
    if not isinstance(value, str):
        return f"is {type(value).__name__}, not str"
    if kind == "string" and not is_latin1(value):
        return "is text, not a native string (PEP 3333): declare it in unicode_keys"
    return ""


def _json_fault(value: object, depth: int) -> str:
    if not isinstance(value, (dict, list, tuple)):
        return ""
    if depth == 0:
        return f"is nested deeper than {_DEPTH}"
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            return "has a name that is not a str, which JSON would change into one"
        value = list(value.values())
    return next(filter(None, (_json_fault(member, depth - 1) for member in value)), "")


def client_query(query: str, traversal: str) -> str:
    """The client's own part of a query that was sent.

    >>> client_query("key=1&a=b", "key=1"), client_query("key=1", "key=1"), client_query("a", "")
    ('a=b', '', 'a')
    """
    if not traversal:
        return query
    return query[len(traversal) + 1 :]


def client_path(target: str, traversal: str) -> str:
    """The client's own part of the path that was sent, raw.

    >>> client_path("/app/a%2Fb?", "/app")
    '/a%2Fb'
    """
    return target.partition("?")[0][len(traversal) :]


def _normalised(path: str) -> str:
    """A decoded path as servers that resolve dots and slashes hand it over (Paste does)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/".join(kept)


def belongs(target: str, path: str) -> bool:
    """Whether a request has come to the path that its envelope names.

    It need not be exact: what the application gets is what the envelope says.

    :param target: the target in the envelope.
    :param path: the decoded path that arrived.

    >>> belongs("/a%2Fb?", "/a/b"), belongs("/x/..//y", "/y"), belongs("/y", "/x/../y")
    (True, True, False)
    """
    sent = target.partition("?")[0]
    whole = decoded(sent)
    # cheroot leaves %2F as it is, and with OPTIONS the whole path.
    if path in (whole, sent) or path == decoded_but_slashes(sent):
        return True
    # Paste resolves, and decodes as UTF-8 (against PEP 3333). A path that is still to be
    # resolved was not made so by a server, and could lead a dispatcher astray.
    normal = _normalised(path)
    return normal == path.strip("/") and normal in (_normalised(whole), _normalised(unquote(sent)))
