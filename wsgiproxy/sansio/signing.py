"""Signatures: the profile "wsgiproxy 1" of HTTP Message Signatures (RFC 9421).

One member, labelled and tagged ``wsgiproxy``, which covers a fixed list of components. It
refuses everything that the profile does not need, and does not know the time.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from wsgiproxy.errors import BadSignature
from wsgiproxy.sansio.headers import Remembered
from wsgiproxy.sansio.keys import Key
from wsgiproxy.sansio.members import LABEL, LIMIT, Fields, is_own
from wsgiproxy.sansio.message import DEFAULT_PORTS
from wsgiproxy.sansio.structured import Member, dictionary, parameters

__all__ = [
    "REQUIRED",
    "Proof",
    "authority",
    "sign",
    "verify",
]

#: What every signature covers.
REQUIRED = ("@method", "@authority", "@query", "wsgiproxy")
#: What it may cover besides.
OPTIONAL = ("x-traversal-path", "x-traversal-query-string", "content-digest")

_LIST = re.compile(r'\(("[a-z@-]+"(?: "[a-z@-]+")*)\)')
_TEXT = re.compile(r"[ -~]*")
_CREATED = re.compile("[1-9][0-9]{0,11}")
_QUOTED = re.compile(r'"([!#-\[\]-~]{1,64})"')
_NONCE = re.compile('"([A-Za-z0-9_-]{16,64})"')
_BYTES = re.compile(":([A-Za-z0-9+/]+={0,2}):")


class Proof(NamedTuple):
    """What a verified signature says of itself.

    :param keyid: the key that made it.
    :param created: when, in seconds since 1970.
    :param nonce: what tells it from all others.
    :param covered: the components that it covers.
    """

    keyid: str
    created: int
    nonce: str
    covered: tuple[str, ...]


def authority(host: str, scheme: str) -> str:
    """The value of ``@authority`` (RFC 9421, 2.2.3): lower case, no default port.

    >>> authority("Example.COM:80", "http"), authority("[::1]:8080", "http")
    ('example.com', '[::1]:8080')
    """
    return host.lower().removesuffix(f":{DEFAULT_PORTS.get(scheme, 80)}")


def _base(covered: tuple[str, ...], lookup: Callable[[str], str | None], member: str) -> bytes:
    """The signature base (RFC 9421, 2.5).

    :raises BadSignature: a component is not there, or holds what no line of the base may:
        the fold that some servers leave in a value would be a line of its own (7.5.5).
    """
    lines = []
    for name in covered:
        value = lookup(name)
        if value is None:
            raise BadSignature(f"{name} is covered, but not there")
        if not _TEXT.fullmatch(value):
            raise BadSignature(f"{name} holds a character that cannot be covered")
        lines.append(f'"{name}": {value}\n')
    return f'{"".join(lines)}"@signature-params": {member}'.encode("ascii")


def sign(
    components: Mapping[str, str], key: Key, *, created: int, nonce: str, label: str = LABEL
) -> Fields:
    """Sign the values of *components*.

    :param components: names and values, in the order in which they are covered.
    :param key: one that can sign.
    :param created: seconds since 1970.
    :param nonce: 16 to 64 characters of the base64url alphabet, never used before.
    :param label: label and tag.
    :returns: one member for each field.
    :raises BadSignature: a value cannot be covered.
    """
    assert key.sign is not None
    covered = tuple(components)
    member = (
        f"{_component_list[covered]};created={created}"
        f';keyid="{key.keyid}";alg="{key.algorithm}";nonce="{nonce}";tag="{label}"'
    )
    signature = key.sign(_base(covered, components.__getitem__, member))
    encoded = binascii.b2a_base64(signature, newline=False).decode("ascii")
    return Fields(f"{label}={member}", f"{label}=:{encoded}:")


def _written(covered: tuple[str, ...]) -> str:
    return "(" + " ".join(f'"{name}"' for name in covered) + ")"


_component_list = Remembered(_written, limit=64)


def verify(
    fields: Fields,
    lookup: Callable[[str], str | None],
    keys: Mapping[str, Key],
    *,
    now: float,
    max_age: float = 60,
    clock_skew: float = 5,
) -> Proof:
    """Check the member of ours (RFC 9421, 3.2).

    :param fields: the two fields as received.
    :param lookup: from the name of a component to its value, None if it is not there.
    :param keys: whom to believe.
    :param now: seconds since 1970.
    :param max_age: seconds for which a signature is good.
    :param clock_skew: seconds by which the signer's clock may be ahead.
    :raises BadSignature: saying, for the log, what is wrong and what would cure it.
    """
    member, signature = _own_members(fields)
    covered = _covered[member.value]
    said = _parameters(member)
    created = _created(said, now, max_age, clock_skew)
    if said.pop("tag", "") != f'"{LABEL}"':
        raise BadSignature(f'tag is not "{LABEL}"')
    key = _key(said, keys)
    nonce = _matched(_NONCE, said.pop("nonce", ""), "nonce")
    if said:
        raise BadSignature(f"unknown parameter {next(iter(said))}")
    base = _base(covered, lookup, member.value + member.parameters)
    if not key.verify(base, _decoded(signature)):
        raise BadSignature(
            f"wrong signature by key {key.keyid!r}: something between the two has changed what it "
            f"covers; here the method is {lookup('@method')!r}, Host {lookup('@authority')!r}"
        )
    return Proof(key.keyid, created, nonce, covered)


def _own_members(fields: Fields) -> tuple[Member, Member]:
    if max(map(len, fields)) > LIMIT:
        raise BadSignature(f"a field of more than {LIMIT} characters")
    try:
        inputs, signatures = map(dictionary, fields)
    except ValueError as error:
        raise BadSignature(str(error)) from error
    if LABEL not in inputs or LABEL not in signatures:
        raise BadSignature(f"no signature is labelled {LABEL}")
    if len(inputs) > 1 and any(is_own(key, inputs[key]) for key in inputs if key != LABEL):
        raise BadSignature(f"more than one signature is tagged {LABEL}")
    return inputs[LABEL], signatures[LABEL]


def _component_names(text: str) -> tuple[str, ...]:
    match = _LIST.fullmatch(text)
    covered = tuple(match[1].replace('"', "").split(" ")) if match else ()
    if len(set(covered)) != len(covered):
        raise BadSignature("a component is covered twice")
    for name in REQUIRED:
        if name not in covered:
            raise BadSignature(f"{name} is not covered")
    for name in covered:
        if name not in REQUIRED and name not in OPTIONAL:
            raise BadSignature(f"{name} is covered, which is not ours")
    return covered


_covered = Remembered(_component_names, limit=64)


def _parameters(member: Member) -> dict[str, str]:
    try:
        return parameters(member.parameters)
    except ValueError as error:
        raise BadSignature(str(error)) from error


def _created(said: dict[str, str], now: float, max_age: float, clock_skew: float) -> int:
    """Take out ``created`` and ``expires``, and check that now is between them."""
    text = said.pop("created", "")
    if not _CREATED.fullmatch(text):
        raise BadSignature("created is not a number of seconds")
    created = int(text)
    age = now - created
    if not -clock_skew <= age <= max_age:
        raise BadSignature(
            f"created {age:.0f} seconds ago, allowed are {-clock_skew:g} to {max_age:g}; if the"
            " request was not held up, the clocks of the two machines differ"
        )
    expires = said.pop("expires", None)
    if expires is not None and not (_CREATED.fullmatch(expires) and now <= int(expires)):
        raise BadSignature("expires has passed")
    return created


def _key(said: dict[str, str], keys: Mapping[str, Key]) -> Key:
    """Take out ``keyid`` and ``alg``; the algorithm is the key's, never the message's."""
    keyid = _matched(_QUOTED, said.pop("keyid", ""), "keyid")
    key = keys.get(keyid)
    if key is None:
        raise BadSignature(f"no such key: {keyid!r}; have the two sides the same key file?")
    if said.pop("alg", f'"{key.algorithm}"') != f'"{key.algorithm}"':
        raise BadSignature(f"alg is not that of key {keyid!r}")
    return key


def _matched(pattern: re.Pattern[str], text: str, name: str) -> str:
    match = pattern.fullmatch(text)
    if match is None:
        raise BadSignature(f"{name} is missing or malformed")
    return match[1]


def _decoded(member: Member) -> bytes:
    encoded = _matched(_BYTES, member.value, "the signature")
    if member.parameters:
        raise BadSignature("the signature has parameters")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise BadSignature("the signature is not base64") from error
    # Several texts stand for the same bytes: only one of them is accepted.
    if base64.b64encode(signature).decode("ascii") != encoded:
        raise BadSignature("the signature is not canonical base64")
    return signature
