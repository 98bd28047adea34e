"""``wsgiproxy run MODULE:APP``: the other end of ``wsgiproxy serve -- ...``."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli import options
from wsgiproxy.cli.listen import CannotStart, Listen
from wsgiproxy.cli.log import log_to_stderr
from wsgiproxy.cli.servers import Plan, run_waitress
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to", "handed_over", "load"]

_LISTEN_FD = 3  # sd_listen_fds(3)

_EPILOG = """\
example:
  wsgiproxy serve --prefix /app -- wsgiproxy run mysite.wsgi:application

The application sees scheme, host, address, prefix and path as the client asked for them; all
requests that its parent has not signed get 403. In code, the same is
WSGIProxyMiddleware.from_env(application).
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "run",
        help="serve a WSGI application that `serve --` has started",
        description="Serve a WSGI application behind `wsgiproxy serve --`, whose word it takes "
        "for what the client asked for.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
    """The application that ``module:name`` or ``module:factory()`` stands for.

    :raises ConfigurationError: it stands for none.

    >>> load("wsgiref.simple_server:demo_app").__name__
    'demo_app'
    """
    module, _, name = place.partition(":")
    calls = name.endswith("()")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module)
        for part in name.removesuffix("()").split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name not in _parents(module):
            raise  # something that the module itself imports
        raise ConfigurationError(
            f"{place!r}: expected MODULE:NAME, such as mysite.wsgi:application ({error})"
        ) from error
    application = found() if calls else found
    if not callable(application):
        raise ConfigurationError(f"{place!r}: expected a WSGI application, not {application!r}")
    return application  # type: ignore[no-any-return]  # whoever types it means one


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: number + 1]) for number in range(len(parts))}


def handed_over() -> socket.socket:
    """The listening socket that our parent has handed over (sd_listen_fds(3)).

    :raises CannotStart: there is none.
    """
    if os.environ.get("LISTEN_FDS") != "1" or os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise CannotStart(
            "nobody has handed a socket over; start it by `wsgiproxy serve -- wsgiproxy run ...`"
        )
    return socket.socket(fileno=_LISTEN_FD)


def _run(arguments: argparse.Namespace) -> int:
    threads = options.read_threads(arguments.threads)
    settings = options.given_settings(arguments, options.RUN)
    listener = handed_over()
    log_to_stderr(access_log=False)
    application = load(arguments.application)
    make = partial(WSGIProxyMiddleware.from_env, application, **settings)
    plan = Plan(make, Listen("", 0), threads, lambda port: None)
    return run_waitress(plan, listener)
