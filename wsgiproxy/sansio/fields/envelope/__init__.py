"""The envelope: the original request and the carried environ keys, in one header.

The ``WSGIProxy`` header is base64url of compact JSON. Nothing here is secret, and nothing is
believed before the signature over it has been verified. It refuses whatever it does not know.
"""

from wsgiproxy.sansio.fields.envelope.decode import Envelope, open_envelope
from wsgiproxy.sansio.fields.envelope.encode import Facts, facts, seal
from wsgiproxy.sansio.fields.envelope.schema import (
    TYPES,
    Carried,
    belongs,
    client_path,
    client_query,
    is_reserved,
)

__all__ = [
    "TYPES",
    "Carried",
    "Envelope",
    "Facts",
    "belongs",
    "client_path",
    "client_query",
    "facts",
    "is_reserved",
    "open_envelope",
    "seal",
]
