"""Logins that hold for a connection and not for a request: NTLM and Negotiate.

Once such a login has succeeded, a server takes all that follows on the connection for requests
of that user (RFC 4559, 6). Whose connection it may be is not decided here.
"""

from __future__ import annotations

import re

from wsgiproxy.sansio.fields.names import words
from wsgiproxy.sansio.message import Headers, Request

__all__ = ["has_login", "is_bound_to_user", "names_login"]

_FIELDS = words("authorization proxy-authorization www-authenticate proxy-authenticate")
# Nego2 and NegoEx are Microsoft's later ones, Kerberos and SPNEGO other names for Negotiate, and
# CredSSP is that of WinRM. Looked for
# as the beginning of any word: a connection that is closed without need costs little, and how an
# upstream cuts a list with mistakes in it cannot be known.
_SCHEME = re.compile("(?<![a-z0-9])(?:ntlm|nego|spnego|kerberos|credssp)", re.IGNORECASE)


def names_login(value: str) -> bool:
    """Whether credentials or challenges are, among others, of a scheme bound to a connection.

    >>> names_login('Basic realm="a", NTLM'), names_login("Basic YTpi")
    (True, False)
    """
    return _SCHEME.search(value) is not None


def has_login(headers: Headers) -> bool:
    """Whether the credentials or challenges among *headers* are bound to a connection.

    >>> has_login([("Host", "a"), ("Authorization", "Negotiate YIIJ")])
    True
    """
    return any(names_login(value) for name, value in headers if name.lower() in _FIELDS)


def is_bound_to_user(request: Request) -> bool:
    """Whether the connection that *request* goes over may belong to its user from then on.

    >>> is_bound_to_user(Request("GET", "/", [("Authorization", "NTLM TlRM")]))
    True
    """
    return request.login is not False and has_login(request.headers)
