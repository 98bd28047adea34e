"""Ports for servers that bind by themselves, a moment after they are told which one."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

__all__ = ["free_port"]

# Below the ports that the kernel gives to clients (from 32,768 on), and below those that the
# spawner chooses for its processes (from 10,000 on): neither can take one in between.
_FIRST, _LAST = 2_000, 10_000
_SHARES = 16


def _ports() -> itertools.cycle[int]:
    """Those of this process: each worker of pytest-xdist has a share of its own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    size = (_LAST - _FIRST) // _SHARES
    first = _FIRST + int(worker) % _SHARES * size
    ports = list(range(first, first + size))
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


_PORTS = _ports()


def free_port() -> int:
    """A loopback port on which nothing listens, and that nothing else is given for a while."""
    for port in _PORTS:
        # Without SO_REUSEADDR: a port that waits after its last connection is not free either.
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a cycle has no end")
