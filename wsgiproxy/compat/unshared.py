"""Connections of urllib3's pools on which a user logs in, and that no other request may get.

For requests, too, whose pools are urllib3's. Our own transport keeps no such connection.
"""

from __future__ import annotations

from typing import Any

from wsgiproxy.sansio.fields.authorization import has_login
from wsgiproxy.sansio.message import Headers

__all__ = ["fields_of", "unshare"]


def fields_of(lines: Headers) -> dict[str, str]:
    """The fields for a library with a pool.

    A login asks for the end of its connection: where a redirect is followed, only the last
    response is seen here.
    """
    fields = dict(lines)
    if has_login(lines):
        fields["Connection"] = "close"
    return fields


def unshare(response: Any, request_lines: Headers) -> None:
    """Close the connection at the end of its response if a user may log in on it.

    Its pool takes it back all the same, and connects anew.

    :param response: a response of urllib3, not yet read.
    :param request_lines: the field lines of its request.
    """
    if not has_login(request_lines) and not has_login(list(response.headers.items())):
        return
    connection = response.connection
    sock = getattr(connection, "sock", None)
    if sock is not None:
        # The file that the body is read from holds the socket until it is closed itself;
        # http.client relies on that when a response says "close".
        connection.sock = None
        sock.close()
