"""The original request as other proxies tell it: :mod:`announced` outgoing, :mod:`believed`
incoming, :mod:`addresses` for both.
"""

from wsgiproxy.sansio.fields.forwarded.incoming import (
    FAMILIES,
    Counts,
    Said,
    believe,
    count,
    peer_of,
)
from wsgiproxy.sansio.fields.forwarded.outgoing import (
    PREFIX,
    Public,
    announce,
    direct,
    forwarded_element,
    public,
)
from wsgiproxy.sansio.fields.forwarded.trust import (
    check_named,
    client_address,
    nearest_untrusted,
    node_address,
    trust,
)
from wsgiproxy.sansio.fields.via import via

__all__ = [
    "FAMILIES",
    "PREFIX",
    "Counts",
    "Public",
    "Said",
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
    "via",
]
