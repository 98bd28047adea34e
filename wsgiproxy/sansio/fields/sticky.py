"""The cookie by which a client comes back to the upstream that it had before.

Its value is a mark of the upstream: an HMAC of its key, so that it discloses no address, and cannot
be made without the secret. That is a signature already: text that is the mark of no upstream
names none, and is ignored like no cookie at all. A mark holds for every client, and has no end: it
says where a request goes among upstreams that serve all clients, and is no login.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping

from wsgiproxy.sansio.fields.cookies import cookie_values, not_sent
from wsgiproxy.sansio.keys import base64url
from wsgiproxy.sansio.message import Headers

__all__ = ["sticky_cookie", "sticky_key", "sticky_mark", "sticky_marks"]

# What the secret is used for, so that a mark is never a signature of something else.
_PURPOSE = b"wsgiproxy sticky cookie 1\0"
# Bytes of an HMAC-SHA256 that are kept (RFC 2104, 5: at least half): 22 characters.
_SIZE = 16
# A path that can stand in an attribute (RFC 6265, 4.1.1), and begins as a path does.
_PATH = re.compile(r"/[!-:<-~]*")


def sticky_mark(key: str, secret: bytes) -> str:
    """The mark of an upstream.

    :param key: the key of its :class:`~wsgiproxy.sansio.balance.Member`.
    :param secret: bytes that all processes and hosts in front of the upstreams share.

    >>> sticky_mark("10.0.0.1:80", b"not a secret")
    'QzgbaKRZA60YRqRqU2_5pg'
    """
    found = hmac.digest(secret, _PURPOSE + key.encode("utf-8", "surrogateescape"), "sha256")
    return base64url(found[:_SIZE])


def sticky_marks(keys: Iterable[str], secret: bytes) -> dict[str, str]:
    """A table from marks to keys, to be made once for each list of upstreams.

    A look in it gives no time away that leads to a mark: Python's hash of text has a secret of
    its own, and a table does not compare from the left what is not there.

    >>> marks = sticky_marks(["a:80", "b:80"], b"not a secret")
    >>> marks[sticky_mark("b:80", b"not a secret")]
    'b:80'
    """
    return {sticky_mark(key, secret): key for key in keys}


def sticky_cookie(name: str, key: str, secret: bytes, *, secure: bool, path: str) -> str:
    """The value of Set-Cookie that sends a client to the same upstream again, until it is closed.

    :param name: the cookie's name, a token.
    :param key: the key of the upstream.
    :param secret: as for :func:`sticky_mark`.
    :param secure: whether the client came by https.
    :param path: where the proxy is mounted, percent-encoded; empty for the root. One that cannot
        stand in a cookie, such as one with a semicolon, becomes the root.

    >>> sticky_cookie("upstream", "a:80", b"not a secret", secure=True, path="/shop")
    'upstream=hdnTkDJAY_U6wz7EISpaDA; Path=/shop; HttpOnly; SameSite=Lax; Secure'
    """
    path = path if _PATH.fullmatch(path) else "/"
    value = f"{name}={sticky_mark(key, secret)}; Path={path}; HttpOnly; SameSite=Lax"
    return f"{value}; Secure" if secure else value


def sticky_key(headers: Headers, name: str, marks: Mapping[str, str]) -> tuple[str, Headers]:
    """The key of the upstream that the cookie names, and the fields without that cookie.

    :param headers: those of the request.
    :param name: the cookie's name.
    :param marks: what :func:`sticky_marks` gave.
    :return: an empty key if there is no such cookie, if it is no upstream's mark, or if there are
        two with one, since a page of a neighbouring host may have set the other. The cookie of a
        proxy that is mounted above this one has marks of its own upstreams.

    >>> marks = sticky_marks(["a:80"], b"not a secret")
    >>> value = "id=7; upstream=" + sticky_mark("a:80", b"not a secret")
    >>> sticky_key([("Cookie", value)], "upstream", marks)
    ('a:80', [('Cookie', 'id=7')])
    """
    values = cookie_values(headers, name)
    if not values:
        return "", headers
    known = [marks[value] for value in values if value in marks]
    return known[0] if len(known) == 1 else "", not_sent(headers, [name])
