"""Bodies that are covered by a signature: held in memory, and named by their digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from wsgiproxy.errors import BadSignature, ContentTooLarge
from wsgiproxy.sansio.fields.names import values, without
from wsgiproxy.sansio.fields.structured import dictionary
from wsgiproxy.sansio.message import Headers

__all__ = ["LARGEST_BODY", "check_digest", "spooled", "with_digest"]

#: Bytes of the largest body that is read to cover it: the same at both ends.
LARGEST_BODY = 1024**2


def spooled(body: Iterable[bytes]) -> bytes:
    """All of a body.

    :raises ContentTooLarge: it has more than :data:`LARGEST_BODY` bytes.
    """
    blocks, total = [], 0
    for block in body:
        total += len(block)
        if total > LARGEST_BODY:
            raise ContentTooLarge(f"a signed body of more than {LARGEST_BODY} bytes")
        blocks.append(block)
    return b"".join(blocks)


def _digest(data: bytes) -> str:
    """A member of Content-Digest (RFC 9530, 2)."""
    return f":{base64.b64encode(hashlib.sha256(data).digest()).decode('ascii')}:"


def with_digest(headers: Headers, data: bytes) -> tuple[Headers, str]:
    """The field lines with our member in Content-Digest, and the value of that field.

    A client's own field stays as it is if it has the same digest, since a signature of the
    client's may cover it.
    """
    ours = _digest(data)
    received = ", ".join(values(headers, "Content-Digest"))
    try:
        members = dictionary(received) if received else {}
    except ValueError:
        members = {}
    member = members.pop("sha-256", None)
    if member is not None and member.value == ours and received.isprintable():
        value = received
    else:
        value = ", ".join([*(member.text for member in members.values()), f"sha-256={ours}"])
    return [*without(headers, ["Content-Digest"]), ("Content-Digest", value)], value


def check_digest(environ: Mapping[str, Any], data: bytes) -> None:
    """Check that Content-Digest is the digest of a body.

    :raises BadSignature: it is not.
    """
    try:
        member = dictionary(environ["HTTP_CONTENT_DIGEST"])["sha-256"].value
    except (ValueError, KeyError) as error:
        raise BadSignature("no sha-256 in Content-Digest") from error
    if member != _digest(data):
        raise BadSignature("the body is not the one that was signed")
