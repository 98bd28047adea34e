"""``serve --metrics``: the figures for Prometheus at an address of their own.

They are of the process that serves, and end with it.
"""

from __future__ import annotations

import argparse
import errno
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from wsgiproxy.cli.listen import CannotStart, Listen, open_listener
from wsgiproxy.cli.options import read_listen
from wsgiproxy.observe.metrics import check_library

__all__ = ["add_metrics", "with_metrics"]

A = TypeVar("A")


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add ``--metrics``."""
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="serve figures for Prometheus there, and nothing else; needs the extra metrics",
    )


def with_metrics(
    make: Callable[[], A], address: str | None, *, waits: bool = False
) -> tuple[Callable[[], A], str]:
    """What makes an application, and shows figures of it in the same process.

    :param address: as it was typed; None for no figures.
    :param waits: if the port is taken, show them as soon as it is free: the process before this
        one, which serves the same inherited socket, still has it.
    :returns: that, and what the command says of it.
    :raises ConfigurationError: the address is none, or the library is missing.
    :raises CannotStart: the port is taken.
    """
    if address is None:
        return make, ""
    listen = read_listen(address, "--metrics")
    check_library("--metrics")
    listener = _listener(listen, waits)
    port, when = listen.port, " when its port is free"
    if listener is not None:
        port, when = listener.getsockname()[1], ""
    return partial(
        _made, make, listener, listen
    ), f"; metrics at {listen.url(port, '/metrics')}{when}"


def _listener(listen: Listen, waits: bool) -> socket.socket | None:
    """None if the port is taken, and that is to be waited for."""
    try:
        return open_listener(listen, flag="--metrics")
    except CannotStart as error:
        cause = error.__cause__
        if waits and isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            return None
        raise


def _made(make: Callable[[], A], listener: socket.socket | None, listen: Listen) -> A:
    """Called in the process that serves, which may be a child of the one that listens."""
    # Not before: no other command needs it.
    from wsgiproxy.cli.metrics_server import show_metrics

    show_metrics(listener, listen)
    return make()
