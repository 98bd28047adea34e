"""X-Request-Id: the name of one request in the logs of all hops.

It believes only trusted peers: an untrusted client could write the id of another request, or a line
of a log.
"""

from __future__ import annotations

import re

from wsgiproxy.sansio.fields.connection import connection_options
from wsgiproxy.sansio.fields.names import list_members, normalized_name, values, without
from wsgiproxy.sansio.message import Headers, Inbound

__all__ = ["REQUEST_ID", "identified"]

#: The field, as it is sent.
REQUEST_ID = "X-Request-Id"
_NORMALIZED = normalized_name(REQUEST_ID)

# Visible ASCII (RFC 5234, VCHAR), long enough for two UUIDs and a prefix. A comma would be that of
# a server that has joined two fields to one, a quote or a backslash is escaped in logs.
_ID = re.compile(r"[!#-+\--\[\]-~]{1,128}")


def identified(inbound: Inbound, is_trusted: bool, new: str) -> tuple[Inbound, str]:
    """The request with exactly one X-Request-Id, and that id.

    :param is_trusted: whether the peer is a proxy whose id is kept, if it is one.
    :param new: the id where there is none to keep.

    >>> request = Inbound("GET", "http", "h", "h", 80, "", "/", "", [("X-Request-Id", "a1")],
    ...     "10.0.0.1", "", "1.1", None, False)
    >>> identified(request, True, "b2")[1], identified(request, False, "b2")[1]
    ('a1', 'b2')
    """
    headers = inbound.headers
    request_id = (_kept(headers) if is_trusted else "") or new
    # Other spellings, such as X_Request_Id, are the same field to many applications.
    lines = [*_unlisted(without(headers, [REQUEST_ID])), (REQUEST_ID, request_id)]
    return inbound._replace(headers=lines), request_id


def _kept(headers: Headers) -> str:
    """The one id that is fit to be kept; empty if there is none."""
    found = values(headers, REQUEST_ID)
    return found[0] if len(found) == 1 and _ID.fullmatch(found[0]) else ""


def _unlisted(headers: Headers) -> Headers:
    """Without the name in Connection, by which a client would have our field removed."""
    if _NORMALIZED not in connection_options(headers):
        return headers
    return [
        (name, _others(value) if name.lower() == "connection" else value) for name, value in headers
    ]


def _others(options: str) -> str:
    return ", ".join(each for each in list_members(options) if normalized_name(each) != _NORMALIZED)
