"""The browser proxy: its clients, its destinations, plain requests and tunnels.

It never follows a redirect, announces no client, and connects to no address that it has not judged.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from wsgiproxy.errors import (
    ClientGone,
    Forbidden,
    MethodNotAllowed,
    NotForProxy,
    NotSupported,
    ProxyAuthenticationRequired,
    ProxyError,
    Unavailable,
    UpstreamLost,
    UpstreamTimeout,
)
from wsgiproxy.forward.passwords import PasswordFile
from wsgiproxy.guard import Guard
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
from wsgiproxy.settings import FORWARD_TRANSPORT, resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.threads.tunnel import Tunnel
from wsgiproxy.wsgi.client import client_socket
from wsgiproxy.wsgi.gateway import Gateway, call_counted, error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import ForwardOptions

__all__ = ["ForwardProxy"]

_log = logging.getLogger("wsgiproxy.forward")

# The clients that may use it by default: those of this machine.
_LOOPBACK = ("127.0.0.0/8", "::1")
# Seconds for closed tunnels to end.
_LAST_WAIT = 2.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@listing
class ForwardProxy:
    """A WSGI application that is the proxy of a browser.

    Absolute-form requests go to the host that they name, with its name as Host, and ``CONNECT``
    opens a tunnel, where the server gives the client's socket: with
    :class:`wsgiproxy.server.Handler`, gunicorn and Werkzeug. By default it serves
    clients of this machine, and reaches public addresses at the ports 80 and 443.

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

    def __init__(self, **options: Unpack[ForwardOptions]) -> None:
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
        self._idle = settings["tunnel_idle"]
        transport_options = {row.name: settings[row.name] for row in FORWARD_TRANSPORT}
        self.transport = PooledTransport(guard=self.guard, **transport_options)
        policy = ForwardPolicy(settings["via"] or f"wsgiproxy-{secrets.token_hex(4)}")
        self._gateway = Gateway(policy, self.transport, max_body=settings["max_body"])
        self.max_connections: int = settings["max_connections"]
        self._changed = threading.Condition()
        self._in_flight = self._closed = 0
        self._tunnels: set[Tunnel] = set()

    @property
    def in_flight(self) -> int:
        """Exchanges and tunnels that are not over."""
        return self._in_flight

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
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
            client = client_socket(environ)
            if client is None or hasattr(client, "pending"):
                raise NotSupported("the server does not give the client's socket, or only by TLS")
            host, port = tunnel_authority(raw)
            record.origin = Origin("https", host, port)
            with contextlib.ExitStack() as stack:
                self._enter()
                stack.callback(self._leave)
                closed = self._closed
                upstream = stack.enter_context(self.guard.connect(host, port, self._timeout))
                tunnel = Tunnel(client, upstream, _early(environ, client))
                stack.enter_context(self._registered(tunnel))
                if closed == self._closed:  # else the proxy was closed while it connected
                    self._pass(client, tunnel, record)
        except ProxyError as error:
            return error_response(error, environ, start_response, record)
        # The client's socket is shut down: the response of the server reaches no client.
        start_response("200 Connection established", [])
        return []

    @contextlib.contextmanager
    def _registered(self, tunnel: Tunnel) -> Iterator[None]:
        """Register a tunnel, which :meth:`close` ends; close it at the end of the block."""
        self._tunnels.add(tunnel)
        try:
            yield
        finally:
            tunnel.close()
            with self._changed:
                self._tunnels.discard(tunnel)
                self._changed.notify_all()

    def _pass(self, client: socket.socket, tunnel: Tunnel, record: Record) -> None:
        """Pass bytes in both directions until both have ended."""
        authority = record.origin and f"{bracketed(record.origin.host)}:{record.origin.port}"
        _log.info("tunnel to %s", authority, extra={"tunnel": authority})
        try:
            client.settimeout(self._timeout)
            client.sendall(_ESTABLISHED)
            tunnel.run(self._idle)
            if tunnel.was_silent:
                record.fail(UpstreamTimeout(f"nothing has passed for tunnel_idle={self._idle:g} s"))
        except OSError as error:
            kind = UpstreamLost if tunnel.upstream_broke else ClientGone
            record.fail(kind(str(error)))
        finally:
            record.end(200, tunnel.received)

    def close(self) -> None:
        """End all tunnels, and close the connections that are kept."""
        self._closed += 1
        for tunnel in list(self._tunnels):
            tunnel.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._tunnels, _LAST_WAIT)
        self.transport.close()


def _early(environ: WSGIEnvironment, client: socket.socket) -> bytes:
    """The bytes behind the head of a CONNECT that the server has read already."""
    unread = environ.get("wsgiproxy.unread")
    if unread is not None:
        return bytes(unread)
    body = environ.get("wsgi.input")
    # gunicorn's body is behind a buffer of its own, in which the bytes stay.
    buffer = getattr(getattr(getattr(body, "reader", None), "unreader", None), "buf", None)
    if buffer is not None:
        return bytes(buffer.getvalue())
    peek = getattr(body, "peek", None)
    if peek is not None:
        # Werkzeug's is a buffered file, which returns the bytes that are there without waiting.
        client.settimeout(0)
        with contextlib.suppress(OSError, ValueError):
            return bytes(peek())
    return b""
