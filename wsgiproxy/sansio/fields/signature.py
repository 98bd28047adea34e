"""Signatures: the profile "wsgiproxy 1" of HTTP Message Signatures (RFC 9421).

One member, labelled and tagged ``wsgiproxy``, which covers a fixed list of components. It
refuses everything that the profile does not need, and does not know the time.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from wsgiproxy.errors import BadRequest, BadSignature
from wsgiproxy.sansio.fields.signature_members import LABEL, LIMIT, Fields, is_own_member
from wsgiproxy.sansio.fields.structured import Member, dictionary
from wsgiproxy.sansio.fields.structured import parameters as member_parameters
from wsgiproxy.sansio.keys import Key
from wsgiproxy.sansio.memo import remembered

__all__ = [
    "REQUIRED",
    "Proof",
    "is_fresh",
    "sign",
    "verify",
]

#: What every signature covers.
REQUIRED = ("@method", "@authority", "@query", "wsgiproxy")
#: What it may cover besides.
OPTIONAL = ("x-traversal-path", "x-traversal-query-string", "content-digest")

_LIST = re.compile(r'\(("[a-z@-]+"(?: "[a-z@-]+")*)\)')
_CREATED = re.compile("([1-9][0-9]{0,11})")
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


def _base(covered: tuple[str, ...], lookup: Callable[[str], str | None], member: str) -> bytes:
    """The signature base (RFC 9421, 2.5).

    :raises BadSignature: a component is not there, or holds what no line of the base may:
        the fold that some servers leave in a value would be a line of its own (7.5.5).
    """
    lines = ""
    for name in covered:
        value = lookup(name)
        if value is None:
            raise BadSignature(f"{name} is covered, but not there")
        if not (value.isascii() and value.isprintable()):
            raise BadSignature(f"{name} holds a character that cannot be covered")
        lines += f'"{name}": {value}\n'
    return f'{lines}"@signature-params": {member}'.encode("ascii")


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
    :raises BadRequest: a value cannot be covered.
    """
    assert key.sign is not None
    covered = tuple(components)
    member = (
        f"{_written(covered)};created={created}"
        f';keyid="{key.keyid}";alg="{key.algorithm}";nonce="{nonce}";tag="{label}"'
    )
    try:
        base = _base(covered, components.__getitem__, member)
    except BadSignature as error:
        # Here it is the client's request that cannot be signed, and no signature is wrong.
        raise BadRequest(str(error)) from error
    signature = key.sign(base)
    encoded = binascii.b2a_base64(signature, newline=False).decode("ascii")
    return Fields(f"{label}={member}", f"{label}=:{encoded}:")


@remembered(limit=64)
def _written(covered: tuple[str, ...]) -> str:
    return "(" + " ".join(f'"{name}"' for name in covered) + ")"


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
    parameters = _parameters_of(fields)
    covered = _component_names(parameters.components)
    _check_time(parameters, now, max_age, clock_skew)
    key = keys.get(parameters.keyid)
    if key is None:
        raise BadSignature(
            f"no such key: {parameters.keyid!r}; have the two sides the same key file?"
        )
    if parameters.alg != key.algorithm and parameters.alg is not None:
        # The algorithm is the key's, and never the message's to choose (RFC 9421, 7.3.6).
        raise BadSignature(
            f"alg is {parameters.alg!r}, which is not that of key {parameters.keyid!r}"
        )
    if not key.verify(_base(covered, lookup, parameters.member), _decoded(parameters.signature)):
        raise BadSignature(
            f"wrong signature by key {parameters.keyid!r}: something between the two has changed"
            f" what it covers; here the method is {lookup('@method')!r},"
            f" Host {lookup('@authority')!r}"
        )
    return Proof(parameters.keyid, int(parameters.created), parameters.nonce, covered)


class _Parameters(NamedTuple):
    """Our member in both fields, checked by grammar alone."""

    member: str
    components: str
    created: str
    keyid: str
    alg: str | None
    nonce: str
    signature: str
    expires: str | None = None


# What sign() writes, alone in its field: nearly every request has it, and no other form, so
# that one expression spares it the whole grammar. Whatever it does not match takes that way.
_OURS = re.compile(
    rf"{LABEL}=((\([^()]*\));created=([1-9][0-9]{{0,11}})"
    r';keyid="([!#-\[\]-~]{1,64})";alg="([a-z0-9-]+)";nonce="([A-Za-z0-9_-]{16,64})"'
    rf';tag="{LABEL}")'
)
_OUR_BYTES = re.compile(f"{LABEL}={_BYTES.pattern}")


def _parameters_of(fields: Fields) -> _Parameters:
    if len(fields.signature_input) > LIMIT or len(fields.signature) > LIMIT:
        raise BadSignature(f"a field of more than {LIMIT} characters")
    ours = _OURS.fullmatch(fields.signature_input)
    signature = _OUR_BYTES.fullmatch(fields.signature)
    if ours is not None and signature is not None:
        member, components, created, keyid, alg, nonce = ours.groups()
        return _Parameters(member, components, created, keyid, alg, nonce, signature[1])
    member, other = _own_members(fields)
    if other.parameters:
        raise BadSignature("the signature has parameters")
    try:
        found = member_parameters(member.parameters)
    except ValueError as error:
        raise BadSignature(str(error)) from error
    if found.pop("tag", "") != f'"{LABEL}"':
        raise BadSignature(f'tag is not "{LABEL}"')
    alg = found.pop("alg", None)
    parameters = _Parameters(
        member.value + member.parameters,
        member.value,
        _matched(_CREATED, found.pop("created", ""), "created"),
        _matched(_QUOTED, found.pop("keyid", ""), "keyid"),
        alg if alg is None else _matched(_QUOTED, alg, "alg"),
        _matched(_NONCE, found.pop("nonce", ""), "nonce"),
        _matched(_BYTES, other.value, "the signature"),
        found.pop("expires", None),
    )
    if found:
        raise BadSignature(f"unknown parameter {next(iter(found))}")
    return parameters


def _own_members(fields: Fields) -> tuple[Member, Member]:
    for name, text in zip(("Signature-Input", "Signature"), fields, strict=True):
        if not text:
            raise BadSignature(f"{name} did not arrive; what removes it between the two?")
    try:
        inputs, signatures = map(dictionary, fields)
    except ValueError as error:
        raise BadSignature(str(error)) from error
    if LABEL not in inputs or LABEL not in signatures:
        raise BadSignature(f"no signature is labelled {LABEL}")
    if any(is_own_member(label, inputs[label]) for label in inputs if label != LABEL):
        raise BadSignature(f"more than one signature is tagged {LABEL}")
    return inputs[LABEL], signatures[LABEL]


@remembered(limit=64)
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


def is_fresh(created: int, now: float, max_age: float, clock_skew: float) -> bool:
    """Whether what was made then is neither old nor from the future; times in seconds.

    >>> is_fresh(100, 160, 60, 5), is_fresh(100, 161, 60, 5), is_fresh(100, 94, 60, 5)
    (True, False, False)
    """
    return -clock_skew <= now - created <= max_age


def _check_time(parameters: _Parameters, now: float, max_age: float, clock_skew: float) -> None:
    age = now - int(parameters.created)
    if not is_fresh(int(parameters.created), now, max_age, clock_skew):
        when = f"{age:.0f} seconds ago" if age >= 0 else f"{-age:.0f} seconds in the future"
        raise BadSignature(
            f"created {when}, allowed is up to {max_age:g} ago and {clock_skew:g} ahead; if the"
            " request was not held up, the clocks of the two machines differ"
        )
    if parameters.expires is not None and now > int(
        _matched(_CREATED, parameters.expires, "expires")
    ):
        raise BadSignature("expires has passed")


def _matched(pattern: re.Pattern[str], text: str, name: str) -> str:
    match = pattern.fullmatch(text)
    if match is None:
        raise BadSignature(f"{name} is missing or malformed")
    return match[1]


def _decoded(encoded: str) -> bytes:
    try:
        signature = binascii.a2b_base64(encoded)
    except binascii.Error as error:
        raise BadSignature("the signature is not base64") from error
    # Several texts stand for the same bytes, and only one of them is accepted.
    if binascii.b2a_base64(signature, newline=False).decode("ascii") != encoded:
        raise BadSignature("the signature is not canonical base64")
    return signature
