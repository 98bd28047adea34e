"""How a host is written for the resolver, so that what is compared is what is looked up.

It refuses what no resolver can take, instead of leaving that to the resolver at hand.
"""

from __future__ import annotations

import re

from wsgiproxy.sansio.destination.addresses import address_of

__all__ = ["looked_up", "names_a_number"]

# RFC 1035, 2.3.4. Underscores are no part of host names, and in use all the same.
_NAME = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
# RFC 4007, 11: an address and its zone, which is a number or a device.
_ZONED = re.compile(r"[^%]+(?:%[A-Za-z0-9._~-]{1,32})?")
# With the dot at its end; and IDNA takes its time for long ones (CVE-2022-45061).
_LONGEST = 254
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def looked_up(host: str) -> str:
    """The text to give to the resolver; empty if none could take it.

    Names in lower case and as A-labels (IDNA of 2003, as the resolver of Python has it), so
    that full-width letters and circled digits are what they turn into.

    :param host: a name or an address; IPv6 may have brackets.

    >>> looked_up("Example.COM."), looked_up("①②⑦.0.0.1"), looked_up("[::1]"), looked_up("a b")
    ('example.com.', '127.0.0.1', '::1', '')
    """
    if len(host) > _LONGEST:
        return ""
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    if ":" in bare:
        return bare if address_of(bare) is not None and _ZONED.fullmatch(bare) else ""
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    return name if _NAME.fullmatch(name) else ""


def names_a_number(name: str) -> bool:
    """Whether resolvers read *name* as an IPv4 address in one of its old spellings.

    >>> [names_a_number(each) for each in ("127.1", "0x7f000001", "2130706433", "1.example")]
    [True, True, True, False]
    """
    return _NUMBER.fullmatch(name.rstrip(".").rpartition(".")[2]) is not None
