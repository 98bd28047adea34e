"""Host, and everything that is spelled like it (RFC 9110, 7.2): host, port, lists of hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import bracketed, default_port

__all__ = ["authority", "is_allowed", "is_host", "split_host", "with_port"]

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")


@remembered
def is_host(text: str) -> bool:
    """Whether a text is a value for Host: ``host[:port]`` (RFC 9110, 7.2).

    >>> is_host("a.example:8080"), is_host("[::1]"), is_host("a.example:99999")
    (True, True, False)
    """
    match = _HOST.fullmatch(text)
    return match is not None and int(match[1] or 0) <= 65535


def split_host(host: str, scheme: str = "") -> tuple[str, int]:
    """Split ``host[:port]``; the brackets of IPv6 are taken off.

    :param scheme: ``http`` or ``https``, whose default port counts where none is written
        (RFC 9110, 4.2.1 and 4.2.2); without a scheme that is 0.

    >>> split_host("[::1]:81", "http"), split_host("example.com", "https"), split_host("a:")
    (('::1', 81), ('example.com', 443), ('a', 0))
    """
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    return name.strip("[]"), int(port) if port else default_port(scheme) if scheme else 0


def authority(host: str, scheme: str) -> str:
    """``host[:port]`` in lower case, without the default port (RFC 9110, 4.2.3).

    It is the value of ``@authority`` in a signature (RFC 9421, 2.2.3); so odd spellings of a port
    are left as they are.

    >>> authority("Example.COM:80", "http"), authority("[::1]:8080", "http")
    ('example.com', '[::1]:8080')
    """
    return host.lower().removesuffix(f":{default_port(scheme)}")


def with_port(host: str, port: str, scheme: str) -> str:
    """*host* with *port*, which is left out where it is the default of *scheme*.

    Proxies announce a host and its port in two fields: this is the one rule of how they become
    one authority, for what is believed and for what is announced again.

    :param host: ``host[:port]``; a port in it that differs from *port* is replaced.
    :param port: port number.
    :param scheme: ``http`` or ``https``.
    :raises BadRequest: the host is none: servers hand over whatever a client has sent.

    >>> with_port("shop.example", "8443", "https"), with_port("[::1]:81", "80", "http")
    ('shop.example:8443', '[::1]')
    """
    if not is_host(host):
        raise BadRequest(f"Host {host!r} is not host[:port]")
    name, given = split_host(host, scheme)
    if given == int(port):
        return host
    name = bracketed(name)
    return name if int(port) == default_port(scheme) else f"{name}:{port}"


def is_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Whether *host* is among *allowed*: lower-case names; ``.example.com`` is all below it.

    >>> is_allowed("Shop.Example.com:8443", [".example.com"]), is_allowed("a", ["b"])
    (True, False)
    """
    if not is_host(host):
        return False
    name = split_host(host)[0].lower()
    return any(name == entry or (entry[:1] == "." and name.endswith(entry)) for entry in allowed)
