"""What is hidden in an HTTP archive: credentials in fields and in queries.

It decides by names, and never looks into bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote

from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.har.entry import MASK

__all__ = ["NOTHING", "Masks", "hiding"]


class Masks(NamedTuple):
    """What is written in place of a value.

    :param header: from the name and the value of a field, the value to write.
    :param url: from a URL, the one to write.
    """

    header: Callable[[str, str], str]
    url: Callable[[str], str]


def _as_it_is(name: str, value: str) -> str:
    return value


#: Everything is written as it is.
NOTHING = Masks(_as_it_is, str)

_FIELDS = re.compile("^(set-)?cookie$|authorization|token|secret|passw|api-?key|session|signature")
_PARAMETERS = re.compile(
    "token|secret|passw|pwd|key|auth|code|sig|session|ticket|jwt|saml|assertion|otp|cred|sid|nonce",
    re.IGNORECASE,
)
_ADDRESSES = frozenset(["location", "content-location", "referer", "refresh", "link"])


def hiding(shown: Iterable[str] = ()) -> Masks:
    """Masks of what looks like a credential; names of cookies and schemes of logins stay.

    :param shown: names of fields and of parameters that are none, without regard to case.

    >>> masks = hiding(["X-Session-Kind"])
    >>> masks.header("Set-Cookie", "id=5; Path=/"), masks.header("Authorization", "Bearer x")
    ('id=***; Path=/', 'Bearer ***')
    >>> masks.url("http://a.example/?page=2&token=x#id_token=y")
    'http://a.example/?page=2&token=***#id_token=***'
    """
    kept = frozenset(map(normalized_name, shown))

    def parameter(part: str) -> str:
        name, mark, _ = part.partition("=")
        plain = unquote(name.replace("+", " "))
        if not mark or normalized_name(plain) in kept or not _PARAMETERS.search(plain):
            return part
        return f"{name}={MASK}"

    def parameters(text: str) -> str:
        return "".join(map(parameter, re.split("([&;])", text)))

    def url(text: str) -> str:
        text, hash_sign, fragment = text.partition("#")
        text, mark, query = text.partition("?")
        return f"{text}{mark}{parameters(query)}{hash_sign}{parameters(fragment)}"

    def header(name: str, value: str) -> str:
        name = normalized_name(name)
        if name in kept or not _FIELDS.search(name):
            return url(value) if name in _ADDRESSES else value
        return _hidden(name, value)

    return Masks(header, url)


def _hidden(name: str, value: str) -> str:
    if name == "cookie":
        return "; ".join(_cookie(each.strip()) for each in value.split(";"))
    if name == "set-cookie":
        pair, semicolon, rest = value.partition(";")
        return _cookie(pair) + semicolon + rest
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and "authorization" in name else MASK


def _cookie(pair: str) -> str:
    name, mark, _ = pair.partition("=")
    return f"{name}={MASK}" if mark else MASK
