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
from wsgiproxy.cli.servers import THREADS, Service, default_server
from wsgiproxy.cli.systemd import handed_over
from wsgiproxy.cli.waitress_server import run_waitress
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.extras import extra
from wsgiproxy.worlds import is_asgi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to", "load"]

_EXPECTED = "expected MODULE:NAME, such as mysite.wsgi:application"
# MODULE:NAME, MODULE:NAME.NAME or MODULE:NAME().
_PLACE = re.compile(r"[^\s:.]+(?:\.[^\s:.]+)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\(\))?")

_EPILOG = """\
example:
  wsgiproxy serve --prefix /app -- wsgiproxy run mysite.wsgi:application

The application sees scheme, host, address, prefix and path as the client asked
for them; requests that its parent has not signed get 403. In code, the same is
WSGIProxyMiddleware.from_env(application), or ASGIProxyMiddleware.

A WSGI application is served by waitress, an ASGI application by uvicorn, which
the extra asgi installs.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "run",
        help="serve a WSGI or ASGI application that `serve --` has started",
        description="Serve an application behind `wsgiproxy serve --`, which it believes.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "application", metavar="MODULE:NAME", help="the application; NAME() calls a factory"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        help=f"requests at the same time (default: {THREADS}); uvicorn has no use for it",
    )
    parser.add_argument(
        "--server",
        choices=("uvicorn", "waitress"),
        help="the server to use (default: the one that takes the application)",
    )
    options.add_settings(parser, options.RUN)
    parser.set_defaults(run=_run)


def load(place: str) -> Any:
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
        raise ConfigurationError(
            f"{place!r}: expected a WSGI or ASGI application, not {application!r}"
        )
    return application


def _split(place: str) -> tuple[str, str]:
    if not _PLACE.fullmatch(place):
        raise ConfigurationError(f"{place!r}: {_EXPECTED}")
    module, _, name = place.partition(":")
    return module, name


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: number + 1]) for number in range(len(parts))}


def _run(arguments: argparse.Namespace) -> int:
    place = arguments.application
    _split(place)
    threads = options.read_threads(arguments.threads or str(THREADS))
    settings = options.given_settings(arguments, options.RUN)
    try:
        listener = handed_over()
    except CannotStart as error:
        raise CannotStart(f"{error}; try: wsgiproxy serve -- wsgiproxy run {place}") from error
    with listener:
        log_to_stderr(LogStyle(access=False))
        application = load(place)
        if is_asgi(application):
            _check_server(place, "an ASGI", arguments.server, "uvicorn")
            return _run_asgi(application, settings, listener)
        _check_server(place, "a WSGI", arguments.server, "waitress")
        # The inner one of two middlewares would find no signature.
        if not isinstance(application, WSGIProxyMiddleware):
            application = WSGIProxyMiddleware.from_env(application, **settings)
        return run_waitress(
            Service(
                lambda: application,
                Listen("", 0),
                threads,
                lambda port: None,
                silence=0.0,  # its one client ends it, and sends nothing then
                inherited=listener,
            )
        )


def _check_server(place: str, kind: str, named: str | None, takes: str) -> None:
    """Check that the server which takes an application is there, and no other one is named.

    :raises ConfigurationError: naming the one to take.
    """
    if named not in (None, takes):
        raise ConfigurationError(
            f"--server {named}: {place!r} is {kind} application; expected --server {takes}, or none"
        )
    if takes == "uvicorn" and default_server() != "uvicorn":
        raise ConfigurationError(f"{place!r} is {kind} application: {extra('asgi')}")


def _run_asgi(application: Any, settings: Mapping[str, Any], listener: socket.socket) -> int:
    from wsgiproxy.asgi import ASGIProxyMiddleware
    from wsgiproxy.cli.uvicorn_server import run_uvicorn

    if not isinstance(application, ASGIProxyMiddleware):
        application = ASGIProxyMiddleware.from_env(application, **settings)
    # The parent, its one client, has the limits.
    service: Service[Any] = Service(
        lambda: application,
        Listen("", 0),
        0,
        lambda port: None,
        max_message=sys.maxsize,
        deflate=True,
        silence=0.0,
        inherited=listener,
    )
    return run_uvicorn(service, lifespan="auto")
