"""``[server:main] use = egg:wsgiproxy``: the server of Paste with our handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paste import httpserver

from wsgiproxy.server.handler import Handler
from wsgiproxy.settings import SERVER, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIApplication

__all__ = ["server_runner"]


def server_runner(
    wsgi_app: WSGIApplication, global_conf: Mapping[str, str] | None, **kwargs: Any
) -> None:
    """Serve an application until the process ends (Paste Deploy's ``paste.server_runner``).

    :param kwargs: the rows of :data:`wsgiproxy.settings.SERVER`, and all options of
        ``egg:Paste#http``; strings are converted.
    :raises ConfigurationError: naming the option, its value and what was expected.
    """
    ours = {row.name: kwargs.pop(row.name) for row in SERVER if row.name in kwargs}
    handler = type("Handler", (Handler,), resolve(SERVER, ours))
    httpserver.server_runner(wsgi_app, global_conf or {}, handler=handler, **kwargs)
