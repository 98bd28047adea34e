"""Asking a process that listens whether it is ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.target import decoded
from wsgiproxy.wsgi.gateway import Gateway

if TYPE_CHECKING:
    from wsgiproxy.spawn.instance import Instance

__all__ = ["Check", "readiness"]

# Seconds for one answer; a start has many of them.
_PATIENCE = 2.0

#: Asks, and gives what is missing; empty if nothing is.
Check = Callable[[Gateway, "Instance"], str]


def _address(origin: Origin) -> str:
    return f"unix:{origin.unix}" if origin.unix else f"http://{origin.authority}"


def readiness(ready: Any, statuses: frozenset[int], host: str = "localhost") -> Check:
    """A check from the settings ``ready`` and ``ready_statuses``.

    :param ready: a path to ask for, a function of the address, or None: whoever listens is
        ready.
    :param host: the Host to ask for.
    """
    if ready is None:
        return lambda gateway, run: ""
    if callable(ready):
        return lambda gateway, run: _called(ready, _address(run.socket.origin))
    return lambda gateway, run: _asked(gateway, ready, statuses, host)


def _called(ready: Callable[[str], object], address: str) -> str:
    try:
        return "" if ready(address) else "ready() says no"
    except Exception as error:  # somebody else's function
        return f"ready() raised {type(error).__name__}: {error}"


def _asked(gateway: Gateway, target: str, statuses: frozenset[int], host: str) -> str:
    path, mark, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": target,
        "SCRIPT_NAME": "",
        "PATH_INFO": decoded(path),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "wsgiproxy",
        "wsgi.url_scheme": "http",
        "webob.client.timeout": _PATIENCE,
    }
    record = Record(environ)
    record.discard()
    try:
        head, reply = gateway.exchange(environ, record)
    except ProxyError as error:
        return f"{target} gives no answer: {error}"
    if reply is not None:
        reply.close()
    return "" if head.status in statuses else f"{target} answers {head.status}"
