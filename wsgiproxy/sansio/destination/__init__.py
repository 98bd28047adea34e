"""Where a request may go that somebody else has chosen: kinds of addresses, and who is let there.

It refuses to judge an address by how it is written, and whatever it does not know to be public.
"""

from __future__ import annotations

from wsgiproxy.sansio.destination.addresses import kind, same_address
from wsgiproxy.sansio.destination.names import looked_up
from wsgiproxy.sansio.destination.rules import Destinations

__all__ = ["Destinations", "kind", "looked_up", "same_address"]
