"""``wsgiproxy run MODULE:APP``: the other end of ``wsgiproxy serve -- ...``."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli import options
from wsgiproxy.cli.listen import CannotStart, Listen
from wsgiproxy.cli.log import LogStyle, log_to_stderr
from wsgiproxy.cli.servers import Service, run_waitress
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.secretloader import SECRET_FILE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to", "handed_over", "load"]

_LISTEN_FD = 3  # sd_listen_fds(3)

_EXPECTED = "expected MODULE:NAME, such as mysite.wsgi:application"
# MODULE:NAME, MODULE:NAME.NAME or MODULE:NAME().
_PLACE = re.compile(r"[^\s:.]+(?:\.[^\s:.]+)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\(\))?")

_EPILOG = """\
example:
  wsgiproxy serve --prefix /app -- wsgiproxy run mysite.wsgi:application

The application sees scheme, host, address, prefix and path as the client asked
for them; requests that its parent has not signed get 403. In code, the same is
WSGIProxyMiddleware.from_env(application).
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "run",
        help="serve a WSGI application that `serve --` has started",
        description="Serve a WSGI application behind `wsgiproxy serve --`, which it believes.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "application", metavar="MODULE:NAME", help="the application; NAME() calls a factory"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        default="8",
        help="requests at the same time (default: %(default)s)",
    )
    options.add_settings(parser, options.RUN)
    parser.set_defaults(run=_run)


def load(place: str) -> WSGIApplication:
    """The application of the name ``module:name`` or ``module:factory()``.

    :raises ConfigurationError: there is no such application.

    >>> load("wsgiref.simple_server:demo_app").__name__
    'demo_app'
    """
    module, name = _split(place)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        loaded: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in _parents(module):
            raise  # a module that this one imports
        raise ConfigurationError(f"{place!r}: {_EXPECTED} ({error})") from error
    try:
        for part in name.removesuffix("()").split("."):
            loaded = getattr(loaded, part)
    except AttributeError as error:
        raise ConfigurationError(f"{place!r}: {_EXPECTED} ({error})") from error
    application = loaded() if name.endswith("()") else loaded
    if not callable(application):
        raise ConfigurationError(f"{place!r}: expected a WSGI application, not {application!r}")
    return application  # type: ignore[no-any-return]  # checked as far as possible


def _split(place: str) -> tuple[str, str]:
    if not _PLACE.fullmatch(place):
        raise ConfigurationError(f"{place!r}: {_EXPECTED}")
    module, _, name = place.partition(":")
    return module, name


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: number + 1]) for number in range(len(parts))}


def handed_over() -> socket.socket:
    """The listening socket that the parent has handed over (sd_listen_fds(3)).

    :raises CannotStart: there is none.
    """
    # A program in between, such as `uv run`, has a number of its own in LISTEN_PID.
    ours = os.environ.get("LISTEN_PID") == str(os.getpid()) or SECRET_FILE in os.environ
    listener = _listener(_LISTEN_FD) if os.environ.get("LISTEN_FDS") == "1" and ours else None
    if listener is None:
        raise CannotStart("no socket was handed over")
    for name in ("LISTEN_FDS", "LISTEN_PID"):  # not for children
        os.environ.pop(name, None)
    listener.set_inheritable(False)
    return listener


def _listener(number: int) -> socket.socket | None:
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return None
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return sock
    sock.detach()
    return None


def _run(arguments: argparse.Namespace) -> int:
    place = arguments.application
    _split(place)
    threads = options.read_threads(arguments.threads)
    settings = options.given_settings(arguments, options.RUN)
    try:
        listener = handed_over()
    except CannotStart as error:
        raise CannotStart(f"{error}; try: wsgiproxy serve -- wsgiproxy run {place}") from error
    with listener:
        log_to_stderr(LogStyle(access=False))
        application = load(place)
        # The inner one of two middlewares would find no signature.
        if not isinstance(application, WSGIProxyMiddleware):
            application = WSGIProxyMiddleware.from_env(application, **settings)
        return run_waitress(
            Service(lambda: application, Listen("", 0), threads, lambda port: None), listener
        )
