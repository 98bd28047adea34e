"""The two signature fields, which several signers share: our member, and those of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.sansio.fields.connection import connection_options, is_hop_or_ours, partition
from wsgiproxy.sansio.fields.names import normalized_name, values, without
from wsgiproxy.sansio.fields.structured import Member, dictionary
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers

__all__ = [
    "LABEL",
    "LIMIT",
    "Fields",
    "foreign_members",
    "is_own_member",
    "received_members",
    "with_members",
    "cleaned",
]

#: Label and tag of our member (RFC 9421, 2.3 and 4).
LABEL = "wsgiproxy"
#: Longest field; longer ones are refused before they are looked at.
LIMIT = 2048


class Fields(NamedTuple):
    """The two fields of a signature; each is one line, which several signers share."""

    signature_input: str
    signature: str


def received_members(environ: Mapping[str, Any]) -> Fields:
    """The two fields of a request, empty where they are not there."""
    return Fields(environ.get("HTTP_SIGNATURE_INPUT", ""), environ.get("HTTP_SIGNATURE", ""))


def is_own_member(label: str, member: Member) -> bool:
    """Whether a member calls itself ours, by label or by tag."""
    return label == LABEL or bool(_OWN_TAG.search(member.parameters))


_OWN_TAG = re.compile(rf'; *tag="{LABEL}"')
# Where the grammar does not help: whatever could be taken for our label or our tag.
_NAMES_US = re.compile(rf'(?:^|[\s,]){LABEL}\s*(?:=|;|,|$)|tag\s*=\s*"?{LABEL}\b', re.IGNORECASE)


# One member, which is ours: no comma, and so no other.
_ALONE = re.compile(f"{LABEL}=[^,]*|")


def foreign_members(fields: Fields, *, joinable: bool = False) -> Fields:
    """The members that are not ours: they have nothing to do with us and pass (RFC 9421, 7.2).

    Fields that are no dictionaries belong to other signers, too (the draft of Cavage, which
    ActivityPub speaks), as long as they do not name us.

    :param joinable: leave out what our own members cannot be joined to.

    >>> foreign_members(Fields('sig1=("@method");tag="web-bot-auth", wsgiproxy=()', 'sig1=:AA==:'))
    Fields(signature_input='sig1=("@method");tag="web-bot-auth"', signature='sig1=:AA==:')
    """
    if all(_ALONE.fullmatch(text) for text in fields):
        return Fields("", "")
    try:
        inputs, signatures = (dictionary(text) if text else {} for text in fields)
    except ValueError:
        if joinable or any(_NAMES_US.search(text) for text in fields):
            return Fields("", "")
        return fields
    both = [*inputs.items(), *signatures.items()]
    own = {label for label, member in both if is_own_member(label, member)}
    return Fields(
        ", ".join(member.text for label, member in inputs.items() if label not in own),
        ", ".join(member.text for label, member in signatures.items() if label not in own),
    )


_NAMES = ("Signature-Input", "Signature")
_SPELLED = {normalized_name(name): name for name in _NAMES}


def spelled(headers: Headers) -> Headers:
    """The field lines with the names of signatures as :func:`cleaned` knows them.

    >>> spelled([("signature_input", "a=()"), ("accept", "*/*")])
    [('Signature-Input', 'a=()'), ('accept', '*/*')]
    """
    return [(_SPELLED.get(normalized_name(name), name), value) for name, value in headers]


def is_removed(name: str) -> bool:
    """Whether :func:`cleaned` removes fields of that name, or members of them, in any spelling."""
    return is_hop_or_ours(name) or normalized_name(name) in _SPELLED


@remembered
def _is_dropped(name: str) -> bool:
    return is_hop_or_ours(name) or name in _NAMES


def cleaned(headers: Headers) -> Headers:
    """Stages 1 and 2, and without members of Signature that call themselves ours.

    >>> cleaned([("Signature", "wsgiproxy=:YQ==:"), ("Accept", "*/*"), ("TE", "trailers")])
    [('Accept', '*/*')]
    """
    kept, gone = partition(headers, _is_dropped)
    if not [name for name, _ in gone if name in _NAMES]:
        return kept
    named = connection_options(gone)
    theirs = [
        field for field in gone if field[0] in _NAMES and normalized_name(field[0]) not in named
    ]
    return with_members([*kept, *theirs], None)


def with_members(headers: Headers, fields: Fields | None) -> Headers:
    """The headers with our members behind those of others, on one line each.

    Several lines would not do: cheroot keeps only the last.

    :param headers: what the client sent, or has sent on our behalf.
    :param fields: our members; None to remove whatever calls itself ours.
    """
    if not [name for name, _ in headers if name in _NAMES]:
        return headers if fields is None else [*headers, *zip(_NAMES, fields, strict=True)]
    ours = fields or Fields("", "")
    theirs = foreign_members(
        Fields(*(", ".join(values(headers, name)) for name in _NAMES)),
        joinable=fields is not None,
    )
    # The receiver would refuse the two together, and what counts is ours.
    if fields and max(len(a) + len(b) + 2 for a, b in zip(theirs, ours, strict=True)) > LIMIT:
        theirs = Fields("", "")
    both = [
        (name, ", ".join(filter(None, pair)))
        for name, *pair in zip(_NAMES, theirs, ours, strict=True)
    ]
    return [*without(headers, _NAMES), *(field for field in both if field[1])]
