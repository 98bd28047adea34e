"""The check whether an instance that accepts connections is ready."""

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

__all__ = ["Check", "address", "readiness"]

# Seconds for one response; there are many requests during a start.
_TIMEOUT = 2.0

#: Returns why an instance is not ready; empty if it is.
Check = Callable[[Gateway, "Instance"], str]


def address(origin: Origin) -> str:
    """The address of an instance, as people write it."""
    return f"unix:{origin.unix}" if origin.unix else f"http://{origin.authority}"


def readiness(ready: Any, host: str) -> Check:
    """A check from the setting ``ready``.

    :param ready: a path that has to be answered with 2xx or 3xx, a function of the address, or
        None: an instance that accepts connections is ready.
    :param host: the Host of the requests.
    """
    if ready is None:
        return lambda gateway, instance: ""
    if callable(ready):
        return lambda gateway, instance: _call(ready, address(instance.socket.origin))
    return lambda gateway, instance: _request(gateway, ready, host)


def _call(ready: Callable[[str], object], url: str) -> str:
    try:
        return "" if ready(url) else "ready() says no"
    except Exception as error:  # a function of the program
        return f"ready() raised {type(error).__name__}: {error}"


def _request(gateway: Gateway, target: str, host: str) -> str:
    path, _, query = target.partition("?")
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
        "webob.client.timeout": _TIMEOUT,
    }
    record = Record(environ)
    record.discard()
    try:
        head, reply = gateway.exchange(environ, record)
    except ProxyError as error:
        return f"{target} gives no answer: {error}"
    if reply is not None:
        reply.close()
    return "" if 200 <= head.status < 400 else f"{target} answers {head.status}"
