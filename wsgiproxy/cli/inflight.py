"""The number of exchanges in progress, logged when the server begins to end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.signals import at_first_signal
from wsgiproxy.wsgi.gateway import call_counted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["InFlight", "counted"]

_log = logging.getLogger("wsgiproxy.cli")


class InFlight:
    """A WSGI application that counts its exchanges in progress."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        # A set, since adding and removing are one step each for the interpreter.
        self._open: set[object] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        each = object()
        self._open.add(each)
        leave = partial(self._open.discard, each)
        return call_counted(self._application, environ, start_response, leave)

    def log(self) -> None:
        """Log the number of exchanges in progress, unless it is 0."""
        number = len(self._open)
        if number:
            what = "1 request is" if number == 1 else f"{number} requests are"
            _log.warning(
                "ending: %s in progress, with %s s to finish; Ctrl-C again waits for nothing",
                what,
                GRACE,
            )


def counted(make: Callable[[], WSGIApplication]) -> WSGIApplication:
    """Make an application that logs its exchanges in progress at the first signal."""
    application = InFlight(make())
    at_first_signal(application.log)
    return application
