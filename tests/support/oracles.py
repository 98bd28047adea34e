"""Other people's signatures and structured fields: the PyPI packages http-message-signatures
and http-sf, which share no code with ours.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

import http_sf
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)

from wsgiproxy.sansio.fields.signature_members import Fields

__all__ = [
    "ALGORITHMS",
    "NAMES",
    "ED25519_PRIVATE",
    "ED25519_PUBLIC",
    "SHARED_SECRET",
    "Message",
    "library_signs",
    "library_verifies",
    "structured_dictionary",
]

#: RFC 9421, B.1.5: the shared secret.
SHARED_SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
#: RFC 9421, B.1.4: an ed25519 key, in DER.
ED25519_PUBLIC = base64.b64decode("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
ED25519_PRIVATE = base64.b64decode(
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"
)

ALGORITHMS = ("hmac-sha256", "ed25519")
#: What the profile covers, in the order in which it is sent.
NAMES = ("@method", "@authority", "@query", "wsgiproxy")


class Message(NamedTuple):
    """A request as the other package takes it."""

    method: str
    url: str
    headers: dict[str, str]


def _pem(der: bytes, label: str) -> bytes:
    text = base64.b64encode(der).decode("ascii")
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode("ascii")


def _theirs(algorithm: str) -> dict[str, Any]:
    """Their algorithm and keys; the key is called ``k1``."""
    if algorithm == "hmac-sha256":
        theirs, private, public = algorithms.HMAC_SHA256, SHARED_SECRET, SHARED_SECRET
    else:
        theirs = algorithms.ED25519
        private = _pem(ED25519_PRIVATE, "PRIVATE KEY")
        public = _pem(ED25519_PUBLIC, "PUBLIC KEY")
    resolver = MappingKeyResolver(public_keys={"k1": public}, private_keys={"k1": private})
    return {"signature_algorithm": theirs, "key_resolver": resolver}


def library_signs(
    algorithm: str, message: Message, *, created: int, nonce: str, names: tuple[str, ...] = NAMES
) -> Fields:
    """The two fields, as http-message-signatures writes them for our profile."""
    HTTPMessageSigner(**_theirs(algorithm)).sign(
        message,
        key_id="k1",
        created=datetime.datetime.fromtimestamp(created, datetime.timezone.utc),
        nonce=nonce,
        label="wsgiproxy",
        tag="wsgiproxy",
        covered_component_ids=names,
        use_existing_digest="content-digest" in names,
    )
    return Fields(message.headers["Signature-Input"], message.headers["Signature"])


def library_verifies(
    algorithm: str, message: Message, fields: Fields, names: tuple[str, ...] = NAMES
) -> Mapping[str, int | str]:
    """What http-message-signatures has verified: the parameters of our member.

    :raises http_message_signatures.InvalidSignature: as it says.
    """
    message.headers.update({"Signature-Input": fields[0], "Signature": fields[1]})
    (result,) = HTTPMessageVerifier(**_theirs(algorithm)).verify(
        message, expect_tag="wsgiproxy", expect_label="wsgiproxy", require_components=names
    )
    return result.parameters


def structured_dictionary(text: str) -> dict[str, Any]:
    """A dictionary as http-sf reads it: for each key its value and its parameters.

    :raises ValueError: it is none, or one of its own keys comes twice.
    """

    def refuse(key: str, context: str) -> None:
        if context == "dictionary":
            raise ValueError(f"{key} comes twice")

    found = http_sf.parse(text.encode("latin-1"), tltype="dictionary", on_duplicate_key=refuse)
    assert isinstance(found, dict)
    return found
