"""The browser proxy: its clients, its destinations, plain requests and tunnels.

It never follows a redirect, announces no client, and connects to no address that it has not judged.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wsgiproxy.errors import (
    Forbidden,
    MethodNotAllowed,
    NotForProxy,
    NotSupported,
    ProxyAuthenticationRequired,
    ProxyError,
    Unavailable,
)
from wsgiproxy.forward.passwords import PasswordFile
from wsgiproxy.guard import Guard
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.observe.warn import warn_of_wildcards
from wsgiproxy.sansio.fields.forwarded import trust
from wsgiproxy.sansio.message import Origin, bracketed
from wsgiproxy.sansio.policy.forward import (
    ForwardPolicy,
    absolute_changes,
    basic_credentials,
    requested,
    tunnel_authority,
)
from wsgiproxy.sansio.websocket import PROTOCOL
from wsgiproxy.settings import FORWARD_TRANSPORT, resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport import PooledTransport
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.client import client_socket
from wsgiproxy.wsgi.gateway import Gateway, error_response
from wsgiproxy.wsgi.stream import call_counted
from wsgiproxy.wsgi.tunnels import ClientTunnels
from wsgiproxy.wsgi.upgrade import Upgrades

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import ForwardOptions

__all__ = ["ForwardProxy"]

_log = logging.getLogger("wsgiproxy.forward")

# The clients that may use it by default: those of this machine.
_LOOPBACK = ("127.0.0.0/8", "::1")
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@listing
class ForwardProxy(Hookable):
    """A WSGI application that is the proxy of a browser.

    Absolute-form requests go to the host that they name, with its name as Host, and ``CONNECT``
    opens a tunnel, where the server gives the client's socket: with
    :class:`wsgiproxy.server.Handler`, gunicorn and Werkzeug. By default it serves
    clients of this machine, and reaches public addresses at the ports 80 and 443.

    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
    :param options: the rows of :data:`wsgiproxy.settings.FORWARD` and
        :data:`~wsgiproxy.settings.FORWARD_TRANSPORT`; strings are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> from webob import Request
    >>> proxy = ForwardProxy(deny=["ads.example"])
    >>> request = Request.blank("/", environ={"REMOTE_ADDR": "127.0.0.1",
    ...     "REQUEST_URI": "http://169.254.169.254/latest/meta-data/"})
    >>> request.get_response(proxy).status
    '403 Forbidden'
    """

    def __init__(self, *, hooks: Iterable[Hook] = (), **options: Unpack[ForwardOptions]) -> None:
        self._take_hooks(hooks)
        settings = resolve(PARTS["ForwardProxy"], options)
        credentials = settings["credentials"]
        self._is_right: Callable[[str, str, str], object] | None = None
        if callable(credentials):
            self._is_right = lambda user, password, address: credentials(user, password)
        elif credentials is not None:
            self._is_right = PasswordFile(credentials)
        clients = settings["allow_clients"]
        if clients is None:
            clients = _LOOPBACK if credentials is None else ("*",)
        elif credentials is None:
            warn_of_wildcards("allow_clients", clients, "any client may use this proxy")
        self._is_client = trust(clients, "allow_clients", any_peer=True)
        self.guard = Guard(**{name: settings[name] for name in ("allow", "deny", "ports")})
        self._connects = settings["connect"]
        self._timeout = settings["connect_timeout"]
        transport_options = {row.name: settings[row.name] for row in FORWARD_TRANSPORT}
        self.transport = PooledTransport(guard=self.guard, **transport_options)
        policy = ForwardPolicy(settings["via"] or f"wsgiproxy-{secrets.token_hex(4)}")
        self._tunnels = ClientTunnels(settings["tunnel_idle"])
        self._gateway = Gateway(
            policy,
            self.transport,
            max_body=settings["max_body"],
            upgrades=Upgrades((PROTOCOL,), self._tunnels),
            hooks=self._hooks,
        )
        self.max_connections: int = settings["max_connections"]
        self._changed = threading.Condition()
        self._in_flight = 0

    def _use_hooks(self) -> None:
        self._gateway.hooks = self._hooks

    @property
    def in_flight(self) -> int:
        """Exchanges and tunnels that are not over."""
        return self._in_flight

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        if environ.get("REQUEST_METHOD") == "CONNECT":
            return self._tunnelled(environ, start_response)
        wrong: ProxyError | None = None
        try:
            absolute, changes = absolute_changes(environ)
            environ = {**environ, **changes}  # the log names the destination of what is refused
            if absolute.scheme != "http":
                raise NotForProxy("https in plain text: a browser asks for a tunnel")
        except ProxyError as error:
            wrong = error
        try:
            self._admit(environ)
            if wrong is not None:
                raise wrong
            self._enter()
        except ProxyError as error:
            return error_response(error, environ, start_response, Record(environ))
        return call_counted(self._gateway, environ, start_response, self._leave)

    def _admit(self, environ: WSGIEnvironment) -> None:
        """Check that this client may use the proxy.

        :raises Forbidden: its address is not among ``allow_clients``.
        :raises ProxyAuthenticationRequired: its credentials are missing or wrong.
        """
        if not self._is_client(environ.get("REMOTE_ADDR") or ""):
            raise Forbidden(f"client {environ.get('REMOTE_ADDR')!r} is not among allow_clients")
        if self._is_right is None:
            return
        credentials = basic_credentials(environ.get("HTTP_PROXY_AUTHORIZATION", ""))
        if credentials is None:
            raise ProxyAuthenticationRequired("no credentials")
        try:
            is_right = self._is_right(*credentials, environ.get("REMOTE_ADDR") or "")
        except ProxyError:
            raise
        except Exception as error:  # a function of the user's, whose database may be down
            _log.exception("credentials= has failed")
            raise Unavailable(f"credentials= has failed: {type(error).__name__}") from error
        if not is_right:
            raise ProxyAuthenticationRequired(f"wrong credentials of {credentials[0][:100]!r}")

    def _enter(self) -> None:
        with self._changed:
            if self._in_flight >= self.max_connections:
                raise Unavailable(f"max_connections={self.max_connections} are open")
            self._in_flight += 1

    def _leave(self) -> None:
        with self._changed:
            self._in_flight -= 1

    # Tunnels

    def _tunnelled(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one CONNECT (RFC 9110, 9.3.6), from its beginning to its end."""
        try:
            raw = requested(environ)
        except ProxyError as error:
            return error_response(error, environ, start_response, Record(environ))
        # For the log: no server has a path for it.
        environ = {**environ, "SCRIPT_NAME": "", "PATH_INFO": raw}
        record = Record(environ)
        try:
            self._admit(environ)
            if not self._connects:
                raise MethodNotAllowed("connect=False: no tunnels")
            if client_socket(environ) is None:
                raise NotSupported("the server does not give the client's socket")
            host, port = tunnel_authority(raw)
            record.origin = Origin("https", host, port)
            with contextlib.ExitStack() as stack:
                self._enter()
                stack.callback(self._leave)
                since = self._tunnels.times_closed  # also while it connects
                upstream = stack.enter_context(self.guard.connect(host, port, self._timeout))
                authority = f"{bracketed(host)}:{port}"
                _log.info("tunnel to %s", authority, extra={"tunnel": authority})
                self._tunnels.serve(environ, upstream, record, 200, head=_ESTABLISHED, since=since)
        except ProxyError as error:
            return error_response(error, environ, start_response, record)
        start_response("200 Connection established", [])
        return []

    def close(self) -> None:
        """End all tunnels and WebSockets, and close the connections that are kept."""
        self._tunnels.close()
        self._gateway.beside.close()
        self.transport.close()
