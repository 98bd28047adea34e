"""The original request as other proxies tell it: :mod:`announced` outgoing, :mod:`believed`
incoming, :mod:`addresses` for both.
"""

from wsgiproxy.sansio.forwarded.addresses import (
    client_address,
    nearest_untrusted,
    node_address,
    trust,
)
from wsgiproxy.sansio.forwarded.announced import (
    PREFIX,
    Public,
    announce,
    direct,
    forwarded_element,
    port_number,
    public,
    via,
)
from wsgiproxy.sansio.forwarded.believed import FAMILIES, Counts, Said, believe, count, peer_of

__all__ = [
    "FAMILIES",
    "PREFIX",
    "Counts",
    "Public",
    "Said",
    "announce",
    "believe",
    "client_address",
    "count",
    "direct",
    "forwarded_element",
    "nearest_untrusted",
    "node_address",
    "peer_of",
    "port_number",
    "public",
    "trust",
    "via",
]
