"""From the head of a request to the variables of PEP 3333, as a server writes them.

It decodes the path once and normalises nothing; the target as it came is ``REQUEST_URI``.
"""

from __future__ import annotations

import re

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.sansio.h1 import ArrivingHead
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.target import absolute_form, decoded

__all__ = ["variables"]

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")
_OWN_KEY = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def variables(head: ArrivingHead) -> dict[str, str]:
    """The CGI variables of a request, without those of the connection.

    Field names with an underscore are left out: an environ cannot tell ``X_A`` from ``X-A``,
    and a peer that is trusted to set the one has not looked at the other.

    :raises BadRequest: the request-target has no form of RFC 9112, 3.2.

    >>> head = ArrivingHead("GET", "http://a.example/b%2Fc?d", "1.1", [("Host", "b.example")])
    >>> found = variables(head)
    >>> found["PATH_INFO"], found["QUERY_STRING"], found["HTTP_HOST"]
    ('/b/c', 'd', 'a.example')
    """
    authority, path, query = _parts(head)
    found = _fields(head.headers)
    if authority is not None:
        found["HTTP_HOST"] = authority  # RFC 9112, 3.2.2: whatever Host says
    return {
        **found,
        "REQUEST_METHOD": head.method,
        "REQUEST_URI": head.target,
        "SCRIPT_NAME": "",
        "PATH_INFO": decoded(path),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
    }


def _parts(head: ArrivingHead) -> tuple[str | None, str, str]:
    """Authority, raw path and query of the target."""
    target = head.target
    if "#" in target:
        raise BadRequest("the request-target has a fragment")
    if head.method == "CONNECT":
        if not _AUTHORITY.fullmatch(target):
            raise BadRequest("the target of CONNECT is not host:port")
        return None, "", ""
    authority = None
    if target[0] != "/" and target != "*":
        absolute = absolute_form(target)
        if absolute is None:
            raise BadRequest("the request-target has no known form")
        authority, target = absolute.authority, absolute.rest
        if not target and head.method == "OPTIONS":
            target = "*"  # RFC 9112, 3.2.4
    if target == "*":
        if head.method != "OPTIONS":
            raise BadRequest("the target * is for OPTIONS alone")
        return authority, "*", ""
    path, _, query = target.partition("?")
    return authority, path or "/", query


def _fields(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if "_" in name:
            continue
        key = _OWN_KEY.get(name.lower()) or environ_key(name)
        if key in found:
            # RFC 9110, 5.3; RFC 6265, 5.4 gives cookies a separator of their own.
            value = found[key] + ("; " if key == "HTTP_COOKIE" else ", ") + value
        found[key] = value
    return found
