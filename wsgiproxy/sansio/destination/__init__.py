"""Destinations that clients choose: kinds of addresses, and the rules that permit or refuse them.

It refuses to judge an address by how it is written, and whatever it does not know to be public.
"""

from __future__ import annotations

from wsgiproxy.sansio.destination.addresses import kind, same_address
from wsgiproxy.sansio.destination.names import looked_up
from wsgiproxy.sansio.destination.rules import Destinations

__all__ = ["Destinations", "kind", "looked_up", "same_address"]
