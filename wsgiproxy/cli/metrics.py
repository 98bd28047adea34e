"""``serve --metrics``: the figures for Prometheus at an address of their own.

They are of the process that serves, and end with it.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from wsgiproxy.cli.listen import Listen, open_listener
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


def with_metrics(make: Callable[[], A], address: str | None) -> tuple[Callable[[], A], str]:
    """What makes an application, and shows figures of it in the same process.

    :param address: as it was typed; None for no figures.
    :returns: that, and what the command says of it.
    :raises ConfigurationError: the address is none, or the library is missing.
    :raises CannotStart: the port is taken.
    """
    if address is None:
        return make, ""
    listen = read_listen(address, "--metrics")
    check_library("--metrics")
    listener = open_listener(listen, flag="--metrics")
    url = listen.url(listener.getsockname()[1], "/metrics")
    return partial(_made, make, listener, listen), f"; metrics at {url}"


def _made(make: Callable[[], A], listener: socket.socket, listen: Listen) -> A:
    """Called in the process that serves, which may be a child of the one that listens."""
    # Not before: no other command needs it.
    from wsgiproxy.cli.metrics_server import show_metrics

    show_metrics(listener, listen)
    return make()
