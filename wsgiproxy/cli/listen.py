"""The address of a server, and its listening socket."""

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
    """The command cannot start for a reason outside its command line; the text is one line."""


class Listen(NamedTuple):
    """The address of a server.

    :param host: a name or an address, IPv6 without brackets.
    :param port: 0 for any free one.
    """

    host: str
    port: int

    def url(self, port: int, path: str = "/", host: str = "") -> str:
        """The URL of the server.

        :param host: the host of the URL; empty for that of this listener.

        >>> Listen("::1", 0).url(8080, "/app/"), Listen("0.0.0.0", 0).url(80)
        ('http://[::1]:8080/app/', 'http://127.0.0.1:80/')
        """
        # Not every system can connect to 0.0.0.0 and ::.
        ours = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{bracketed(host or ours)}:{port}{path}"


def kinds(listen: Listen) -> set[str]:
    """The kinds of the addresses of a listener, such as ``loopback``; empty if there is none.

    >>> kinds(Listen("127.0.0.1", 0)), kinds(Listen("0.0.0.0", 0))
    ({'loopback'}, {'unspecified'})
    """
    with contextlib.suppress(OSError):  # open_listener() reports it
        addresses = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
        return {kind(str(address[0])) for *_, address in addresses}
    return set()


def open_listener(
    listen: Listen, *, reuse_port: bool = False, flag: str = "--listen"
) -> socket.socket:
    """A listening socket.

    :param reuse_port: bind only, and let other sockets bind as well (SO_REUSEPORT).
    :param flag: that has the address.
    :raises CannotStart: the port is taken, or not permitted.
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
            f"cannot listen on {where}: {_reason(error)}; another {flag} may help"
        ) from error
    return sock


def _reason(error: OSError) -> str:
    # The numbers of getaddrinfo() are negative, and not an errno.
    number = error.errno or 0
    text = os.strerror(number) if number > 0 else str(error.strerror)
    return text[:1].lower() + text[1:]


def held_port(listen: Listen) -> socket.socket:
    """A socket that keeps a port for a server which binds by itself with SO_REUSEPORT.

    It does not listen, so the kernel gives it no connection.

    :raises CannotStart: the port is taken, even by a socket with SO_REUSEPORT.
    """
    with open_listener(listen) as probe:
        port = probe.getsockname()[1]
    return open_listener(Listen(listen.host, port), reuse_port=True)
