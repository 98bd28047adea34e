"""The names that a listener on a loopback address answers, against DNS rebinding.

A page on the Web may point its own name at 127.0.0.1; for the browser, what a program of this
machine answers is then part of the page's site. Only the Host field tells the two apart, so a
name that the page's owner could hold is refused. Addresses that others can reach are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsgiproxy.sansio.destination.addresses import kind
from wsgiproxy.sansio.fields.host import is_allowed, is_host, split_host

__all__ = ["is_answered"]


def is_answered(host: str, allowed: Iterable[str]) -> bool:
    """Whether a listener on a loopback address answers a request with this Host.

    :param host: value of the Host field; empty if there is none, which no browser leaves out.
    :param allowed: further names, as ``allowed_hosts`` has them.

    >>> [is_answered(host, ["shop.example"]) for host in ("app.localhost:80", "127.0.0.9", "[::1]")]
    [True, True, True]
    >>> is_answered("shop.example:81", ["shop.example"]), is_answered("127.0.0.1.nip.example", [])
    (True, False)
    """
    if not host:
        return True
    if not is_host(host):
        return False
    # A dot at the end says only that a name is complete.
    name = split_host(host.lower())[0].removesuffix(".")
    # No name below localhost can be registered (RFC 6761, 6.3).
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return kind(name) == "loopback" or is_allowed(host, allowed)
