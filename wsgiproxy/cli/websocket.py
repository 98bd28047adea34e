"""What each server carries of WebSocket, and which flags mean something with it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from wsgiproxy.cli.options import given_flags
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.extras import extra
from wsgiproxy.settings import TUNNEL, UPGRADE, WEBSOCKET
from wsgiproxy.settings.parts import PARTS

__all__ = ["check_flags", "limits", "settings_of", "without_effect"]

# Name of the server -> its rows; none where it gives the proxy no socket.
_ROWS = {
    "uvicorn": (*UPGRADE, *WEBSOCKET),
    "gunicorn": (*UPGRADE, *TUNNEL),
    "waitress": (),
    "granian": (),
}
_ALL = (*UPGRADE, *TUNNEL, *WEBSOCKET)


def check_flags(arguments: argparse.Namespace, server: str) -> None:
    """Check that no flag was typed that has no effect with *server*.

    :raises ConfigurationError: one was.
    """
    for row in _ALL:
        for flag in given_flags(arguments, (row,)):
            why = without_effect(row.name, server)
            if why:
                names = " or ".join(name for name, rows in _ROWS.items() if row in rows)
                raise ConfigurationError(f"{flag}: expected --server {names}; {why}")
            if server == "uvicorn" and find_spec("websockets") is None:
                raise ConfigurationError(
                    f"{flag}: the package websockets is not installed; try: {extra('asgi')}"
                )


def without_effect(name: str, server: str) -> str:
    """Why an option has no effect with *server*; empty if it has one.

    >>> without_effect("tunnel_idle", "uvicorn"), without_effect("via", "waitress")
    ('uvicorn has no use for it', '')
    """
    if name not in {row.name for row in _ALL if row not in _ROWS[server]}:
        return ""
    return f"{server} {'has no use for it' if _ROWS[server] else 'carries no WebSocket'}"


def settings_of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of *settings* that a class knows: WSGI and ASGI have some of their own.

    >>> settings_of("WSGIProxyApp", {"tunnel_idle": 60.0, "max_message": 1000})
    {'tunnel_idle': 60.0}
    """
    known = {row.name for row in PARTS[name]}
    return {name: value for name, value in settings.items() if name in known}


def limits(server: str, threads: int, typed: str | None) -> str:
    """A server, and what it cannot carry.

    :param typed: the number of threads on the command line.

    >>> limits("waitress", 8, None)
    'waitress, 8 threads: 8 exchanges at once, no WebSocket'
    >>> limits("gunicorn", 8, None)
    'gunicorn, 8 threads: 8 exchanges or WebSockets at once'
    >>> limits("uvicorn", 2, "2")
    'uvicorn, which has no use for --threads'
    """
    if server == "uvicorn":
        how = "uvicorn, which has no use for --threads" if typed else "uvicorn"
        lacks = find_spec("websockets") is None
        return f"{how}: no WebSocket without the package websockets" if lacks else how
    many, s = ("1 exchange", "") if threads == 1 else (f"{threads} exchanges", "s")
    carries = f" or WebSocket{s} at once" if _ROWS[server] else " at once, no WebSocket"
    return f"{server}, {threads} thread{s}: {many}{carries}"
