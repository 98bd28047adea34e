"""A proxy to whatever URL its clients ask for, as an ASGI application.

It never follows a redirect, announces no client, and connects to no address that it has not judged.
"""

from __future__ import annotations

import secrets
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.answers import send_error
from wsgiproxy.asgi.beside import BesideTasks
from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.asgi.gateway import ASGIGateway
from wsgiproxy.asgi.other_scopes import serve_other
from wsgiproxy.asgi.served import Served
from wsgiproxy.errors import Forbidden, NotForProxy, ProxyError, Unavailable
from wsgiproxy.guard import Guard
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record, asked_in_scope
from wsgiproxy.observe.warn import warn_of_wildcards
from wsgiproxy.sansio.fields.forwarded import trust
from wsgiproxy.sansio.policy.forward import ForwardPolicy, UrlPathPolicy, asked_scope
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.forward import URL_FORWARD_TRANSPORT
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport.aio.transport import AsyncPooledTransport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import UrlForwardOptions

__all__ = ["ASGIForwardProxy"]

# The clients that may use it by default: those of this machine.
_LOOPBACK = ("127.0.0.0/8", "::1")


@listing
class ASGIForwardProxy(Served, Hookable):
    """An ASGI application that sends a request to the URL that stands in its path.

    ``/https://example.com/a?b`` below its mount is ``https://example.com/a?b``; redirections lead
    to the proxy again. Where the server hands absolute-form over, plain http is proxied for
    browsers, too. By default it serves clients of this machine, and reaches public addresses at
    the ports 80 and 443. To a browser all destinations and the application around it are one
    origin: logins, cookies and forwarding fields end here, both ways, but a script of a destination
    can act for the users of that origin.

    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
    :param options: the rows of :data:`wsgiproxy.settings.URL_FORWARD`, and those of
        :data:`~wsgiproxy.settings.TRANSPORT` but ``guard`` and ``parent_proxy``.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> import asyncio
    >>> proxy = ASGIForwardProxy(deny=["ads.example"])
    >>> url = "/http://169.254.169.254/latest/meta-data/"
    >>> scope = {"type": "http", "method": "GET", "path": url, "raw_path": url.encode(),
    ...     "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 5)}
    >>> async def send(message):
    ...     print(message.get("status"))
    >>> async def receive():
    ...     return {"type": "http.request"}
    >>> asyncio.run(proxy(scope, receive, send))
    403
    None
    """

    _is_async = True

    def __init__(self, *, hooks: Iterable[Hook] = (), **options: Unpack[UrlForwardOptions]) -> None:
        self._take_hooks(hooks)
        settings = resolve(PARTS["ASGIForwardProxy"], options)
        clients = settings["allow_clients"]
        if clients is None:
            clients = _LOOPBACK
        warn_of_wildcards("allow_clients", clients, "any client may use this proxy")
        self._is_client = trust(clients, "allow_clients", any_peer=True)
        self.guard = Guard(**{name: settings[name] for name in ("allow", "deny", "ports")})
        theirs = {row.name: settings[row.name] for row in URL_FORWARD_TRANSPORT}
        self.transport = AsyncPooledTransport(guard=self.guard, **theirs)
        self._pseudonym = settings["via"] or f"wsgiproxy-{secrets.token_hex(4)}"
        self._max_body: int | None = settings["max_body"]
        self.max_connections: int = settings["max_connections"]
        self._in_flight = 0
        self._beside = BesideTasks()
        Served.__init__(self)

    @property
    def in_flight(self) -> int:
        """Exchanges that are not over."""
        return self._in_flight

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            return self._proxied(scope, receive, send)
        return serve_other(scope, receive, send, self.aclose)

    async def _proxied(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._admit(scope)
            asked, mount = asked_scope(scope)
            if mount is None and asked["scheme"] != "http":
                raise NotForProxy("https in plain text: a browser asks for a tunnel")
        except ProxyError as error:
            await send_error(error, scope, send, Record(scope, None, asked_in_scope))
            return
        self._in_flight += 1
        try:
            await self._gateway(mount)(asked, receive, send)
        finally:
            self._in_flight -= 1

    def _admit(self, scope: Scope) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        if not self._is_client(address):
            raise Forbidden(f"client {address!r} is not among allow_clients")
        if self._in_flight >= self.max_connections:
            raise Unavailable(f"max_connections={self.max_connections} are open")

    def _gateway(self, mount: str | None) -> ASGIGateway:
        policy = ForwardPolicy(self._pseudonym)
        if mount is not None:
            policy = UrlPathPolicy(self._pseudonym, mount)
        return ASGIGateway(
            policy,
            self.transport,
            max_body=self._max_body,
            hooks=self._hooks,
            beside=self._beside,
        )

    def close(self) -> None:
        """End what hooks run beside requests, and close the connections that are kept.

        To be called in the event loop that has served them.
        """
        self._beside.close()
        self.transport.close()

    async def aclose(self) -> None:
        """As :meth:`close`, and wait for the end of what hooks run beside requests."""
        self.close()
        await self._beside.aclose()
