"""Connections to destinations that clients choose: where they may go.

It refuses to connect to anything but an address that it has judged itself.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from wsgiproxy.errors import ConnectFailed, DestinationForbidden, UpstreamTimeout
from wsgiproxy.sansio.destination import Destinations, looked_up, same_address
from wsgiproxy.sansio.memo import remembered

__all__ = ["TRIES", "Guard", "Resolver"]

_Result = tuple[int, int, int, str, tuple[str | int | bytes, ...]]
#: Looks a name up, as :func:`socket.getaddrinfo` does, with host, port and ``type=``.
Resolver = Callable[..., Sequence[_Result]]

#: Addresses of one name to try: each may take its time, and a name may have thousands.
TRIES = 8


class _Place(NamedTuple):
    """One address of a destination."""

    family: int
    address: str
    name: tuple[str | int | bytes, ...]


@dataclass(frozen=True, init=False, repr=False)
class Guard:
    """Lets connections go to public addresses and to the entries of *allow* alone.

    For applications that let their users choose a destination. Each name is looked up once, all
    of its addresses are judged, and the connection goes to one of those, so that an answer which
    changes between two look-ups gains nothing. The client learns that the destination is
    forbidden; why is for the log.

    An entry of *allow* or *deny* is ``HOST`` or ``HOST:PORT``. HOST is a name, ``.example.com``
    for all names below it, an address, a network such as ``10.0.0.0/8``, or ``*``; PORT is a
    number or ``*``. IPv6 is in brackets where a port follows: ``[fd00::/8]:8080``. Names are
    compared as they are written, without regard to case or a dot at the end, those beyond
    ASCII as A-labels (``xn--…``); a server may have other names, so deny its network as well.

    :param allow: destinations that need not be public. A name is allowed with whatever addresses
        it has, an address or a network by what is looked up. With a port, also one that is not
        among *ports*.
    :param deny: destinations that are refused whatever *allow* says; without a port, at all of
        them. A network is also denied within addresses that translate to it.
    :param ports: port numbers, or ``*`` for all.
    :param resolve: used in place of :func:`socket.getaddrinfo`, with the same arguments.
    :raises ConfigurationError: naming the setting, the entry and what was expected.

    >>> guard = Guard(allow="127.0.0.1:8080", deny=".a.example")
    >>> guard
    Guard(allow=['127.0.0.1:8080'], deny=['.a.example'], ports='80 443')
    >>> guard.addresses("127.0.0.1", 8080)
    ['127.0.0.1']
    >>> guard.check("x.a.example", 80)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    wsgiproxy.errors.DestinationForbidden: ... is refused: it is in deny=.a.example
    """

    destinations: Destinations
    resolve: Resolver | None
    _refusal: Callable[[tuple[str, int]], str] = field(compare=False)

    def __init__(
        self,
        *,
        allow: str | Iterable[str] = (),
        deny: str | Iterable[str] = (),
        ports: str | int | Iterable[int | str] = (80, 443),
        resolve: Resolver | None = None,
    ) -> None:
        destinations = Destinations(allow, deny, ports)
        object.__setattr__(self, "destinations", destinations)
        object.__setattr__(self, "resolve", resolve)
        # Called for each request on a connection that is used again.

        @remembered
        def refusal(destination: tuple[str, int]) -> str:
            return destinations.refusal(*destination)

        object.__setattr__(self, "_refusal", refusal)

    def check(self, host: str, port: int) -> None:
        """Judge a destination by its name and port alone; nothing is looked up.

        :param host: a name or an address; IPv6 with or without brackets.
        :raises DestinationForbidden: it is refused whatever addresses it has.
        """
        _permit(host, port, self._refusal((host, port)))

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a destination, looked up once and all of them judged.

        :raises DestinationForbidden: it is refused; one address is enough for that.
        :raises ConnectFailed: it has no address, or it is no name.

        >>> Guard().addresses("127.1", 80)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        wsgiproxy.errors.DestinationForbidden: '127.1' port 80 is refused: 127.0.0.1 is loopback...
        """
        return [place.address for place in self._places(host, port)]

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to the first address of a destination that answers; all have been judged.

        :param timeout: seconds for each address, and twice that for all; the socket keeps it. The
            look-up itself has the limits of the system's resolver.
        :raises DestinationForbidden: it is refused; nothing was sent.
        :raises ConnectFailed: there is no connection.
        :raises UpstreamTimeout: there was none in time.
        """
        failure: OSError | None = None
        end = monotonic() + 2 * timeout
        for place in self._places(host, port)[:TRIES]:
            left = end - monotonic()
            if left <= 0:
                break
            try:
                sock = _connect(place, min(timeout, left))
                self.check_connected(sock, host, port, [place.address])
            except OSError as error:
                failure = error
                continue
            sock.settimeout(timeout)
            return sock
        kind = UpstreamTimeout if isinstance(failure, TimeoutError) else ConnectFailed
        raise kind(f"connecting to {host!r} port {port}: {failure}") from failure

    def check_connected(
        self, sock: socket.socket, host: str, port: int, addresses: Sequence[str]
    ) -> None:
        """Judge the other end of a new connection to a destination; closes it if it is refused.

        :param addresses: those that were judged, and to one of which the socket was connected.
        :raises DestinationForbidden: it is none of them, or this machine.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(sock.close)
            peer = str(sock.getpeername()[0])
            address = next((each for each in addresses if same_address(peer, each)), None)
            if address is None:  # Linux takes 0.0.0.0 for 127.0.0.1
                wanted = ", ".join(addresses)
                raise DestinationForbidden(f"connecting to {wanted} has led to {peer}")
            if _is_own(sock) and not self.destinations.is_named(host, port, address):
                # A service at its public address may be closed to all other machines.
                raise DestinationForbidden(f"{host!r} port {port} is this machine")
            stack.pop_all()

    def name(self, host: str, port: int) -> str:
        """What is to be looked up for a destination, judged by :meth:`check`.

        :raises DestinationForbidden: it is refused whatever addresses it has.
        :raises ConnectFailed: it is not a name.
        """
        self.check(host, port)
        name = looked_up(host)
        if not name:
            raise ConnectFailed(f"{host[:300]!r} is not a name that can be looked up")
        return name

    def judged(self, host: str, port: int, results: Iterable[_Result]) -> list[_Result]:
        """The results of a look-up to which a connection may go, all of them judged.

        :param results: as :func:`socket.getaddrinfo` returns them.
        :raises DestinationForbidden: one of them is refused.
        :raises ConnectFailed: there is none.
        """
        usable = [each for each in results if each[0] in (socket.AF_INET, socket.AF_INET6)]
        if not usable:
            raise ConnectFailed(f"{host[:300]!r} has no address")
        addresses = [str(each[4][0]) for each in usable]
        _permit(host, port, self.destinations.refusal_of(host, port, addresses))
        return usable

    def _places(self, host: str, port: int) -> list[_Place]:
        name = self.name(host, port)
        # Read here, so that the function of a program that replaces it is used (gevent).
        resolve = self.resolve or socket.getaddrinfo
        try:
            results = resolve(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"looking up {name!r}: {error}") from error
        judged = self.judged(host, port, results)
        return list(dict.fromkeys(_Place(each[0], str(each[4][0]), each[4]) for each in judged))

    def __repr__(self) -> str:
        return repr(self.destinations).replace("Destinations", type(self).__name__, 1)


def _permit(host: str, port: int, refusal: str) -> None:
    if refusal:
        raise DestinationForbidden(f"{host[:300]!r} port {port} is refused: {refusal}")


def _connect(place: _Place, timeout: float) -> socket.socket:
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(place.family, socket.SOCK_STREAM))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        sock.connect(place.name)
        stack.pop_all()
    return sock


def _is_own(sock: socket.socket) -> bool:
    """Whether the other end is this machine: then both ends have the same address."""
    return same_address(str(sock.getsockname()[0]), str(sock.getpeername()[0]))
