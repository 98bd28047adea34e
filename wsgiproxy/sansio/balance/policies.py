"""The names of the balance policies, and what each one has to know of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance.member import HEAVIEST
from wsgiproxy.sansio.grammar import is_token

__all__ = ["Policy", "checked_members", "parse_policy"]

_PLAIN = ("round-robin", "least", "two-choices", "sticky")
_EXPECTED = (
    "expected round-robin, least, two-choices, hash:client, hash:HEADER, sticky or session:HEADER"
)
# Names that other proxies have, without their hyphens and underscores.
_MEANT = {
    **dict.fromkeys(("rr", "roundrobin", "weighted", "wrr", "default"), "round-robin"),
    **dict.fromkeys(
        ("leastconn", "leastconnections", "leastrequest", "leastrequests", "leasttime"), "least"
    ),
    **dict.fromkeys(
        ("random", "randomtwo", "p2c", "twochoice", "poweroftwochoices", "randomchoose2"),
        "two-choices",
    ),
    **dict.fromkeys(
        ("iphash", "clientiphash", "hash", "hash:ip", "source", "remoteaddr", "hash:client"),
        "hash:client",
    ),
    **dict.fromkeys(("cookie", "stickycookie", "sticky:cookie", "affinity"), "sticky"),
    **dict.fromkeys(("session", "mcp", "session:mcp"), "session:Mcp-Session-Id"),
    **dict.fromkeys(("header", "urihash", "uri"), "hash:HEADER"),
    **{name.replace("-", ""): name for name in _PLAIN},
}


class Policy(NamedTuple):
    """A balance policy.

    :param kind: ``round-robin``, ``least``, ``two-choices``, ``hash``, ``sticky`` or ``session``.
    :param wants: what it has to know: None, ``client``, ``sticky``, or the name of a header field.
    """

    kind: str
    wants: str | None


def parse_policy(text: str) -> Policy:
    """The policy of that name.

    :raises ConfigurationError: there is none.

    >>> parse_policy("session:Mcp-Session-Id")
    Policy(kind='session', wants='Mcp-Session-Id')
    >>> parse_policy("least_conn")
    Traceback (most recent call last):
    ...
    wsgiproxy.errors.ConfigurationError: balance='least_conn': expected round-robin, least, \
two-choices, hash:client, hash:HEADER, sticky or session:HEADER; did you mean least?
    """
    if isinstance(text, str):
        if text in _PLAIN:
            return Policy(text, "sticky" if text == "sticky" else None)
        kind, _, name = text.partition(":")
        if kind in ("hash", "session") and is_token(name):
            is_client = name.lower() == "client"
            if not (is_client and kind == "session"):
                return Policy(kind, "client" if is_client else name)
    plain = str(text).lower().translate(dict.fromkeys(map(ord, "-_ .")))
    meant = _MEANT.get(plain)
    hint = f"; did you mean {meant}?" if meant else ""
    raise ConfigurationError(f"balance={text!r}: {_EXPECTED}{hint}")


def checked_members(members: Sequence[tuple[str, int]]) -> None:
    """Make sure that keys and weights are ones that a balancer can have.

    :raises ConfigurationError: a weight that is no number from 1 to 256, or a key twice.

    >>> checked_members([("a:80", 0)])
    Traceback (most recent call last):
    ...
    wsgiproxy.errors.ConfigurationError: weight=0 of 'a:80': expected a whole number from 1 to 256
    """
    known = set()
    for key, weight in members:
        is_number = isinstance(weight, int) and not isinstance(weight, bool)
        if not is_number or not 1 <= weight <= HEAVIEST:
            raise ConfigurationError(
                f"weight={weight!r} of {key!r}: expected a whole number from 1 to {HEAVIEST}"
            )
        if key in known:
            raise ConfigurationError(f"{key!r} is there twice: expected each upstream once")
        known.add(key)
