"""A plugin of pytest for the suites of others: nothing connects to another machine."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

__all__ = ["is_here"]

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def is_here(address: Any) -> bool:
    """Whether an address of a socket is on this machine.

    >>> is_here(("127.0.0.1", 80)), is_here(("localhost", 80)), is_here(("192.0.2.1", 80))
    (True, True, False)
    """
    if not isinstance(address, tuple) or address[0] == "localhost":
        return True
    try:
        return ip_address(address[0]).is_loopback
    except ValueError:
        return False


def _connect_here(self: socket.socket, address: Any) -> None:
    if not is_here(address):
        raise AssertionError(f"a test connects to {address!r}")
    _connect(self, address)


def _connect_ex_here(self: socket.socket, address: Any) -> int:
    if not is_here(address):
        raise AssertionError(f"a test connects to {address!r}")
    return _connect_ex(self, address)


def pytest_configure() -> None:
    """Called by pytest at its beginning."""
    socket.socket.connect = _connect_here  # type: ignore[assignment,method-assign]
    socket.socket.connect_ex = _connect_ex_here  # type: ignore[assignment,method-assign]
