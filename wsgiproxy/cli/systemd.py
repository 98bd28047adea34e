"""What a parent such as systemd hands over, and is told: a listening socket, readiness and the end.

It needs no library of systemd: the protocols are sd_listen_fds(3) and sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

from wsgiproxy.cli.listen import CannotStart, Listen
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.secretloader import SECRET_FILE

__all__ = ["address_of", "flag_of", "handed_over", "inherited", "notify", "notify_reload"]

_FIRST = 3  # SD_LISTEN_FDS_START
# What a child must not take for its own.
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


def handed_over() -> socket.socket:
    """The listening socket that ``wsgiproxy serve --`` has handed over to its command.

    :raises CannotStart: there is none.
    """
    # A program in between, such as `uv run`, has a number of its own in LISTEN_PID.
    ours = os.environ.get("LISTEN_PID") == str(os.getpid()) or SECRET_FILE in os.environ
    listener = _listener(_FIRST) if os.environ.get("LISTEN_FDS") == "1" and ours else None
    if listener is None:
        raise CannotStart("no socket was handed over")
    _forget()
    return listener


def inherited() -> socket.socket | None:
    """The listening TCP socket of a ``.socket`` unit; None if this process was given none.

    :raises CannotStart: there are several, or it is no listening TCP socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None  # they are for another process
    count = os.environ.get("LISTEN_FDS", "")
    if count in ("", "0"):
        return None
    if count != "1":
        raise CannotStart(
            f"LISTEN_FDS={count}: expected one socket; a service for each one, or one ListenStream="
        )
    listener = _listener(_FIRST)
    if listener is None:
        raise CannotStart("descriptor 3 (LISTEN_FDS): expected a listening socket (Accept=no)")
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        listener.detach()
        raise CannotStart(
            "descriptor 3 (LISTEN_FDS): expected a TCP socket, ListenStream=HOST:PORT"
        )
    _forget()
    return listener


def address_of(listener: socket.socket) -> Listen:
    """Where a TCP socket listens."""
    host, port = listener.getsockname()[:2]
    return Listen(host.partition("%")[0], port)


def _listener(number: int) -> socket.socket | None:
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return None
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.set_inheritable(False)
        return sock
    sock.detach()
    return None


def _forget() -> None:
    for name in _VARIABLES:
        os.environ.pop(name, None)


def notify(state: str) -> None:
    """Send *state*, such as ``READY=1``, to the socket of ``NOTIFY_SOCKET``, if there is one.

    A name that begins with ``@`` is in the abstract namespace of Linux. A failure changes nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # a handler of a signal calls it
        sock.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def notify_reload() -> None:
    """Say that settings are being read again; ``READY=1`` has to follow."""
    # Type=notify-reload wants the time of the clock that systemd has, in microseconds.
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(f"RELOADING=1\nMONOTONIC_USEC={now}")


def flag_of(listen: Listen) -> str:
    """An address as ``--listen`` takes it.

    >>> flag_of(Listen("::1", 8080))
    '[::1]:8080'
    """
    return f"{bracketed(listen.host)}:{listen.port}"
