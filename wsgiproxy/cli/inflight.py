"""The number of exchanges in progress, logged when the server begins to end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.signals import at_first_signal
from wsgiproxy.wsgi.stream import call_counted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["counted", "log_in_progress"]


def log_in_progress(number: int, grace: float) -> None:
    """Say how many exchanges the end of the server waits for, *grace* seconds long."""
    if number:
        what = "1 request is" if number == 1 else f"{number} requests are"
        logging.getLogger("wsgiproxy.cli").warning(
            "ending: %s in progress, with %g s to finish; Ctrl-C again waits for nothing",
            what,
            grace,
        )


def counted(make: Callable[[], WSGIApplication], grace: float = GRACE) -> WSGIApplication:
    """Make an application that logs the number of its exchanges in progress at the first signal."""
    application = make()
    # A set, since adding and removing are one step each for the interpreter.
    exchanges: set[object] = set()

    def count(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchange = object()
        exchanges.add(exchange)
        leave = partial(exchanges.discard, exchange)
        return call_counted(application, environ, start_response, leave)

    at_first_signal(lambda: log_in_progress(len(exchanges), grace))
    return count
