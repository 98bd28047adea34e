"""Structured fields: dictionaries as RFC 8941 writes them, each member with its own text.

It refuses what the grammar does not allow, repeated keys included, and repairs nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Member", "dictionary", "parameters"]

# RFC 8941, 3.3. Each alternative begins with another character, numbers apart, which are
# short, and no repetition may begin with what may follow it: a match never goes back far.
_BARE = (
    r'(?:"(?:[ !#-\[\]-~]|\\["\\])*"'
    r"|:(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={0,2})?:"
    r"|-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})"
    r"|\?[01]|[A-Za-z*][:/!#$%&'*+.^_`|~0-9A-Za-z-]*)"
)
_KEY = r"[a-z*][a-z0-9_.*-]*"
_PARAMETERS = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_ITEM = _BARE + _PARAMETERS
_INNER_LIST = rf"\( *(?:{_ITEM}(?: +{_ITEM})* *)?\)"
_MEMBER = re.compile(rf"({_KEY})(?:=((?:{_INNER_LIST}|{_BARE})){_PARAMETERS}|{_PARAMETERS})")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_PARAMETER = re.compile(rf"; *({_KEY})(?:=({_BARE}))?")


class Member(NamedTuple):
    """One member of a dictionary.

    :param text: the whole member as written, key included.
    :param value: what follows the ``=``, parameters excluded; empty for a bare key.
    :param parameters: the text of the parameters.
    """

    text: str
    value: str
    parameters: str


def dictionary(text: str) -> dict[str, Member]:
    """The members of a dictionary (RFC 8941, 4.2.2), each as it was written.

    :raises ValueError: it is none, or a key comes twice.

    >>> dictionary('a=1;x=2, b=("c" "d");y')["b"]
    Member(text='b=("c" "d");y', value='("c" "d")', parameters=';y')
    """
    found: dict[str, Member] = {}
    text = text.strip(" ")
    position = 0
    while True:
        match = _MEMBER.match(text, position)
        if match is None:
            raise ValueError(f"no member of a dictionary at position {position}")
        key, value = match.groups("")
        if key in found:
            raise ValueError(f"the key {key} comes twice")
        end = match.end()
        rest = match.end(2) if value else match.end(1)
        found[key] = Member(text[position:end], value, text[rest:end])
        if end == len(text):
            return found
        comma = _COMMA.match(text, end)
        if comma is None:
            raise ValueError(f"no comma after the member {key}")
        position = comma.end()


def parameters(text: str) -> dict[str, str]:
    """The parameters of a member: the text of each bare value, empty for true.

    :param text: :attr:`Member.parameters`.
    :raises ValueError: a name comes twice.

    >>> parameters(';created=1618884473;keyid="k1"')
    {'created': '1618884473', 'keyid': '"k1"'}
    """
    pairs = _PARAMETER.findall(text)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a parameter comes twice")
    return found
