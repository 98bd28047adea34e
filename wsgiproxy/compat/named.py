"""The client of a proxy, by its name."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from wsgiproxy.compat.client import HttpClient
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_once

__all__ = ["UnknownClient", "client_for"]


class UnknownClient(ConfigurationError, ImportError):
    """There is no client of that name, or its library is not installed."""


_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def client_for(client: Any, options: dict[str, Any]) -> Any:
    """The client that *client* names, or is.

    :raises UnknownClient: there is none.
    """
    if client is None or client == "httplib":
        return HttpClient(**options)
    if callable(client):
        if options:
            warn_once(f"options for a client that is made already: {', '.join(options)}")
        return client
    expected = "expected httplib, urllib3, requests, the X of a module wsgiproxy.X_client, or a"
    if not isinstance(client, str) or not _NAME.fullmatch(client):
        raise UnknownClient(f"client={client!r}: {expected} callable")
    try:
        module = import_module(f"wsgiproxy.{client}_client")
    except ImportError as error:
        raise UnknownClient(f"client={client!r}: {expected} callable ({error})") from error
    return module.HttpClient(**options)
