"""``--inspect`` and ``--record``: the page of the inspector, and a file of what has passed."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from wsgiproxy.cli.listen import CannotStart, Listen, kinds, open_listener
from wsgiproxy.cli.options import add_rows, flag, given_settings, read_listen
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.settings.inspect import INSPECT

__all__ = ["FLAGS", "Inspection", "add_inspect", "inspected", "port_taken", "read_inspection"]

A = TypeVar("A")

#: The rows of the inspector, as they are named on the command line and in a file.
FLAGS = tuple(replace(row, name=f"inspect_{row.name}") for row in INSPECT)
# Where the page is, if its port is free.
_DEFAULT = "127.0.0.1:4040"


class Inspection(NamedTuple):
    """What is to be inspected.

    :param listener: the socket of the page; None for no page.
    :param url: of the page.
    :param token: what its path has to begin with.
    :param record: the path of an archive; empty for none.
    :param settings: the rows of the inspector.
    :param title: what the page calls it.
    """

    listener: socket.socket | None
    url: str
    token: str
    record: str
    settings: Mapping[str, Any]
    title: str

    @property
    def note(self) -> str:
        """What the command says of it."""
        lines = [f"Inspect it at {self.url}"] * bool(self.url)
        lines += [f"Recorded to {self.record}"] * bool(self.record)
        return "\n".join(lines)


def add_inspect(parser: argparse.ArgumentParser, *, is_always_on: bool = False) -> None:
    """Add the flags.

    :param is_always_on: the page is there without ``--inspect``.
    """
    group = parser.add_argument_group("look on")
    if is_always_on:
        parser.set_defaults(inspect=True)
    else:
        group.add_argument(
            "--inspect",
            action="store_const",
            const=True,
            help="show every exchange on a page of its own, as it happens, and send requests again;"
            " the address, with its token, is printed",
        )
    group.add_argument(
        "--inspect-at",
        metavar="HOST:PORT",
        help=f"{'the inspector' if is_always_on else 'the same'} at this loopback address"
        f" (default: {_DEFAULT}, or a free port)",
    )
    group.add_argument(
        "--record",
        metavar="FILE.har",
        help="write every exchange to this HTTP archive, which `wsgiproxy replay` serves",
    )
    add_rows(group, FLAGS)


def read_inspection(arguments: argparse.Namespace, title: str) -> Inspection | None:
    """What was typed; None for nothing to inspect. The port of the page is taken.

    :raises ConfigurationError: a bad value, or flags that have no effect.
    :raises CannotStart: the port that was typed is taken.
    """
    shows = arguments.inspect or arguments.inspect_at
    record = arguments.record or ""
    settings = given_settings(arguments, (("", FLAGS),))
    if not shows and not record:
        if settings:
            row = next(row for row in FLAGS if row.name in settings)
            raise ConfigurationError(f"{flag(row)}: expected --inspect or --record beside it")
        return None
    named = {name.removeprefix("inspect_"): value for name, value in settings.items()}
    if not shows:
        return Inspection(None, "", "", record, named, title)
    listener, listen = _opened(arguments.inspect_at)
    token = secrets.token_urlsafe(32)
    url = listen.url(listener.getsockname()[1], f"/{token}/")
    return Inspection(listener, url, token, record, named, title)


def _opened(typed: str | None) -> tuple[socket.socket, Listen]:
    listen = read_listen(typed or _DEFAULT, "--inspect-at")
    if kinds(listen) != {"loopback"}:
        raise ConfigurationError(
            f"--inspect-at {typed!r}: expected a loopback address, since the page shows everything;"
            " reach it from elsewhere by ssh -L"
        )
    try:
        return open_listener(listen, flag="--inspect-at"), listen
    except CannotStart:
        if typed:
            raise
        free = listen._replace(port=0)
        return open_listener(free, flag="--inspect-at"), free


def inspected(make: Callable[[], A], inspection: Inspection | None) -> Callable[[], A]:
    """What makes an application that is inspected, in the process that serves."""
    return make if inspection is None else partial(_made, make, inspection)


@contextlib.contextmanager
def port_taken(inspection: Inspection | None) -> Iterator[None]:
    """A block that serves; if it cannot start, the port of the page is given up."""
    try:
        yield
    except CannotStart:
        if inspection is not None and inspection.listener is not None:
            inspection.listener.close()
        raise


def _made(make: Callable[[], A], inspection: Inspection) -> A:
    # Not before: no other command needs them.
    from multiprocessing.util import Finalize

    from wsgiproxy.inspector import Inspector

    application: Any = Inspector(make(), listen=None, title=inspection.title, **inspection.settings)
    if inspection.listener is not None:
        application.show(inspection.listener, inspection.token)
    if inspection.record:
        recorder = application.record(inspection.record)
        # Also at the end of a child process, which has no atexit.
        Finalize(None, recorder.close, exitpriority=1)
    return application  # type: ignore[no-any-return]
