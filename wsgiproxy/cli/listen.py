"""Where to listen: an address, and the socket for it."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import NamedTuple

from wsgiproxy.sansio.destination import kind
from wsgiproxy.sansio.message import bracketed

__all__ = ["CannotStart", "Listen", "held_port", "kinds", "open_listener"]

_BACKLOG = 1024


class CannotStart(Exception):
    """Something outside stands in the way; the text is one line for the person who typed."""


class Listen(NamedTuple):
    """The address of a server.

    :param host: a name or an address, IPv6 without brackets.
    :param port: 0 for any free one.
    """

    host: str
    port: int

    def url(self, port: int, path: str = "/", host: str = "") -> str:
        """The address to open.

        :param host: the name to open it by; this machine's, if it is empty.

        >>> Listen("::1", 0).url(8080, "/app/"), Listen("0.0.0.0", 0).url(80)
        ('http://[::1]:8080/app/', 'http://127.0.0.1:80/')
        """
        # Not every system connects to the address that stands for all of its own.
        ours = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{bracketed(host or ours)}:{port}{path}"


def kinds(listen: Listen) -> set[str]:
    """The kinds of its addresses, such as ``loopback``; none if none is found.

    >>> kinds(Listen("127.0.0.1", 0)), kinds(Listen("0.0.0.0", 0))
    ({'loopback'}, {'unspecified'})
    """
    with contextlib.suppress(OSError):  # which is for open_listener() to say
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
        return {kind(str(address[0])) for *_, address in found}
    return set()


def open_listener(listen: Listen, *, reuse_port: bool = False) -> socket.socket:
    """A bound socket, listening unless others are to share its port.

    :param reuse_port: bind only, and let others bind as well (SO_REUSEPORT).
    :raises CannotStart: the port is taken, or not ours to take.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            option = socket.SO_REUSEPORT if reuse_port else socket.SO_REUSEADDR
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
            sock.bind(address)
            if not reuse_port:
                sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        where = f"{bracketed(listen.host)}:{listen.port}"
        raise CannotStart(
            f"cannot listen on {where}: {_reason(error)}; another --listen may help"
        ) from error
    return sock


def _reason(error: OSError) -> str:
    # The numbers of getaddrinfo are negative, and no errno.
    number = error.errno or 0
    text = os.strerror(number) if number > 0 else str(error.strerror)
    return text[:1].lower() + text[1:]


def held_port(listen: Listen) -> socket.socket:
    """Keep a port for servers that bind by themselves with SO_REUSEPORT.

    The socket never listens, so the kernel gives it no connection.

    :raises CannotStart: the port is taken, even by somebody who would share it.
    """
    with open_listener(listen) as probe:
        port = probe.getsockname()[1]
    return open_listener(Listen(listen.host, port), reuse_port=True)
