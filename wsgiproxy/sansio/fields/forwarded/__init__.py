"""The forwarding fields: :mod:`outgoing` writes them, :mod:`incoming` reads those of a trusted
peer, and :mod:`trust` says which peers are trusted.
"""

from wsgiproxy.sansio.fields.forwarded.incoming import (
    FAMILIES,
    Counts,
    Stated,
    believe,
    count,
    peer_of,
)
from wsgiproxy.sansio.fields.forwarded.outgoing import (
    Public,
    announce,
    direct,
    forwarded_element,
    public,
)
from wsgiproxy.sansio.fields.forwarded.trust import (
    PREFIX,
    check_named,
    client_address,
    nearest_untrusted,
    node_address,
    trust,
)

__all__ = [
    "FAMILIES",
    "PREFIX",
    "Counts",
    "Public",
    "Stated",
    "announce",
    "believe",
    "check_named",
    "client_address",
    "count",
    "direct",
    "forwarded_element",
    "nearest_untrusted",
    "node_address",
    "peer_of",
    "public",
    "trust",
]
