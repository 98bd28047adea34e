"""Credentials in fields and in queries, masked for logs, pages and files that people look at.

What is masked here is sent as it is: nothing of it changes a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.message import Headers

__all__ = ["MASK", "SHOWN", "Secrets", "masked"]

#: Stands for a credential.
MASK = "***"

_WORDS = (
    "token|secret|passw|pwd|key|auth|code|sig|session|ticket|jwt|saml|assertion|otp|cred|sid|nonce"
)
_SECRET = re.compile(_WORDS, re.IGNORECASE)
# Without that flag, the search takes a sixth of the time.
_LOWER_SECRET = re.compile(_WORDS)

# Parts of names of fields that carry credentials of some application.
_SECRET_FIELD = re.compile("token|secret|passw|api-?key|apikey|auth|session|jwt|cred|signature")
# The first ones carry challenges, and the others numbers that open nothing.
_PUBLIC_FIELDS = frozenset(
    ["www-authenticate", "proxy-authenticate", "access-control-allow-credentials"]
    + ["authentication-info", "proxy-authentication-info"]
)
_SECRET_FIELDS = frozenset(
    ["cookie", "set-cookie", "cookie2", "set-cookie2", "wsgiproxy", "dpop", "x-amzn-oidc-data"]
)
# Their values are addresses, or hold one.
_ADDRESSES = frozenset(
    ["location", "content-location", "referer", "refresh", "link", "destination", "sourcemap"]
    + ["x-original-uri", "x-original-url", "x-rewrite-url", "x-forwarded-uri"]
)
_COOKIES = frozenset(["cookie", "set-cookie"])
_LINK = re.compile("<[^>]*>")
_USERINFO = re.compile(r"(?<=//)[^/?#\s@]*@")
# An address in a sentence.
_QUERY = re.compile(r"[^\s?#]*[?#]\S+")


def masked(query: str) -> str:
    """A query string without the values of parameters that look like credentials.

    >>> masked("page=2&access_token=abc&%74icket=d")
    'page=2&access_token=***&%74icket=***'
    """
    if query.isascii() and "%" not in query and not _LOWER_SECRET.search(query.lower()):
        return query
    return _SAFE.query(query)


class Secrets(NamedTuple):
    """What is a credential, by name.

    :param hidden: further names of fields and of parameters, normalised.
    :param shown: names that are none, normalised; all of them with ``*``.

    >>> secrets = Secrets.named(hidden=["X-Tenant"], shown=["Cookie"])
    >>> secrets.headers([("X-Tenant", "7"), ("Cookie", "a=b"), ("Authorization", "Bearer x")])
    [('X-Tenant', '***'), ('Cookie', 'a=b'), ('Authorization', 'Bearer ***')]
    """

    hidden: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    @classmethod
    def named(cls, hidden: Iterable[str] = (), shown: Iterable[str] = ()) -> Secrets:
        """Of names as people write them."""
        return cls(
            frozenset(map(normalized_name, hidden)),
            frozenset(each if each == "*" else normalized_name(each) for each in shown),
        )

    def is_secret_field(self, name: str) -> bool:
        """Whether the value of a field is a credential."""
        name = normalized_name(name)
        if name in self.shown or "*" in self.shown:
            return False
        if name in self.hidden or name in _SECRET_FIELDS:
            return True
        return name not in _PUBLIC_FIELDS and _SECRET_FIELD.search(name) is not None

    def is_secret_parameter(self, name: str) -> bool:
        """Whether the value of a parameter of a query or a form is a credential.

        :param name: as it stands there, percent-encoded.
        """
        name = unquote(name.replace("+", " "))
        normalized = normalized_name(name)
        if normalized in self.shown or "*" in self.shown:
            return False
        return normalized in self.hidden or _SECRET.search(name) is not None

    def query(self, query: str) -> str:
        """A query, or the fields of a form, without the values of such parameters."""
        parts = []
        for part in re.split("([&;])", query):
            name, mark, _ = part.partition("=")
            parts.append(f"{name}={MASK}" if mark and self.is_secret_parameter(name) else part)
        return "".join(parts)

    def target(self, target: str) -> str:
        """A request-target, or a URL, with its password, its query and its fragment masked.

        >>> Secrets().target("https://a.example/b?code=1&c=2#id_token=3")
        'https://a.example/b?code=***&c=2#id_token=***'
        """
        start, hash_sign, fragment = target.partition("#")
        start, mark, query = start.partition("?")
        if mark:
            query = self.query(query)
        if hash_sign:  # OAuth 2.0 gave tokens to browsers there
            fragment = self.query(fragment)
        if "@" in start and "*" not in self.shown:
            start = _USERINFO.sub(f"{MASK}@", start)
        return f"{start}{mark}{query}{hash_sign}{fragment}"

    def text(self, text: str) -> str:
        """A sentence, such as an error; the addresses in it are masked.

        >>> Secrets().text("no answer of http://a:b@c.example/?token=1 in time")
        'no answer of http://***@c.example/?token=*** in time'
        """
        found = _QUERY.sub(lambda match: self.target(match[0]), text)
        return found if "*" in self.shown else _USERINFO.sub(f"{MASK}@", found)

    def value(self, name: str, value: str) -> str:
        """The value of a field, masked if it has to be.

        The names of cookies and the scheme of a login stay, since they say what is wrong with a
        request that is refused.

        >>> Secrets().value("Set-Cookie", "id=5; Path=/; HttpOnly")
        'id=***; Path=/; HttpOnly'
        """
        normalized = normalized_name(name)
        if not self.is_secret_field(name):
            if normalized == "link":  # several addresses (RFC 8288)
                return _LINK.sub(lambda match: self.target(match[0]), value)
            return self.target(value) if normalized in _ADDRESSES else value
        if normalized in _COOKIES:
            first, semicolon, rest = value.partition(";")
            if normalized == "set-cookie":
                return _cookie(first) + semicolon + rest
            return "; ".join(_cookie(each.strip()) for each in value.split(";"))
        scheme, space, credentials = value.partition(" ")
        if "authorization" in normalized and space and credentials:
            return f"{scheme} {MASK}"
        return MASK

    def headers(self, headers: Headers) -> Headers:
        """Field lines, masked."""
        return [(name, self.value(name, value)) for name, value in headers]


def _cookie(pair: str) -> str:
    name, mark, _ = pair.partition("=")
    return f"{name}={MASK}" if mark else MASK


_SAFE = Secrets()
#: Nothing is masked.
SHOWN = Secrets(shown=frozenset("*"))
