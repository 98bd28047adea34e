"""The options of the browser proxy, one row each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wsgiproxy.settings.convert import boolean, count, path, port, seconds, words
from wsgiproxy.settings.rows import APP, BOOLEAN, COUNT, NETWORKS, SECONDS, TRANSPORT
from wsgiproxy.settings.setting import Setting
from wsgiproxy.settings.spawn import SPAWNED_TRANSPORT

__all__ = ["FORWARD", "FORWARD_TRANSPORT", "URL_FORWARD", "URL_FORWARD_TRANSPORT"]


def _ports(value: object) -> tuple[int, ...] | str:
    """Port numbers, or ``*`` for all of them."""
    if value == "*":
        return "*"
    if isinstance(value, str):
        value = words(value)
    numbers = list(value) if isinstance(value, Iterable) else [value]
    if not numbers:
        raise ValueError(value)
    return tuple(int(port(number)) for number in numbers)


def _credentials(value: object) -> Any:
    """The path of a file, or a function of user and password."""
    return value if callable(value) else path(value)


_DESTINATIONS = "hosts, addresses, networks or *, each with or without :port"
_DESTINATION = "HOST[:PORT]"

#: Of the browser proxy, beside those of :data:`FORWARD_TRANSPORT`.
FORWARD = (
    Setting(
        "allow_clients",
        words,
        None,
        f"{NETWORKS}; or '*'",
        "clients that may use it; if not given, those of this machine, or all with credentials",
        flag="--allow-client",
        metavar="NETWORK",
    ),
    Setting(
        "allow",
        words,
        (),
        _DESTINATIONS,
        "destinations that are not public, or other ports",
        metavar=_DESTINATION,
    ),
    Setting(
        "deny",
        words,
        (),
        _DESTINATIONS,
        "destinations to refuse, whatever allow says",
        metavar=_DESTINATION,
    ),
    Setting(
        "ports",
        _ports,
        (80, 443),
        "port numbers, or * for all",
        "ports (default: 80 443)",
        metavar="PORTS",
    ),
    Setting(
        "credentials",
        _credentials,
        None,
        "the path of a htpasswd file (bcrypt), or a function of user and password",
        "who may use it, by name and password",
        metavar="FILE",
    ),
    Setting("connect", boolean, True, BOOLEAN, "open tunnels (CONNECT), which https needs"),
    Setting("max_connections", count, 500, COUNT, "exchanges and tunnels at the same time"),
    Setting(
        "tunnel_idle",
        seconds,
        600.0,
        SECONDS,
        "seconds until a silent tunnel is closed",
        ("connect",),
    ),
    *(row for row in APP if row.name in ("via", "max_body")),
)
#: Rows of :data:`TRANSPORT` for requests in plain text to any number of destinations.
FORWARD_TRANSPORT = SPAWNED_TRANSPORT

#: Of :class:`~wsgiproxy.asgi.ASGIForwardProxy`, which opens no tunnels and asks for no password.
URL_FORWARD = tuple(
    row for row in FORWARD if row.name not in ("credentials", "connect", "tunnel_idle")
)
#: Rows of :data:`TRANSPORT` beside them: the guard is its own, and a parent would look names up.
URL_FORWARD_TRANSPORT = tuple(row for row in TRANSPORT if row.name not in ("guard", "parent_proxy"))
