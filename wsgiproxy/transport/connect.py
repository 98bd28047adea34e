"""Opening connections: TCP, Unix sockets, TLS, a parent proxy. The only importer of urllib3.

Environment variables (``http_proxy`` and its kind), netrc and the like are not read.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from http.client import HTTPException
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers

from wsgiproxy.errors import (
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    DestinationForbidden,
)
from wsgiproxy.sansio.extras import extra
from wsgiproxy.sansio.href import without_password
from wsgiproxy.sansio.message import Origin

if TYPE_CHECKING:
    from wsgiproxy.guard import Guard

__all__ = ["Dialler", "failures", "unix_address"]

_PARENT_PORTS = {"http": 3128, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


class _Parent(NamedTuple):
    """A proxy through which to connect."""

    scheme: str
    host: str
    port: int
    username: str | None
    password: str | None


def _parent(address: str) -> _Parent:
    """Read the address of a parent.

    :raises ConfigurationError: not the address of a proxy, or PySocks is missing.
    """
    try:
        url = urlsplit(address)
        usual = _PARENT_PORTS[url.scheme]
        port = url.port or usual
        host = url.hostname
    except (KeyError, ValueError):
        host = None
    shown = without_password(address)
    if not host:
        raise ConfigurationError(
            f"parent_proxy={shown!r}: expected http://[user:password@]host:port"
            " or socks5h://host:port"
        )
    if url.scheme != "http" and find_spec("socks") is None:
        raise ConfigurationError(
            f"parent_proxy={shown!r}: expected the package PySocks to be installed:"
            f" {extra('socks')}"
        )
    username = None if url.username is None else unquote(url.username)
    password = None if url.password is None else unquote(url.password)
    return _Parent(url.scheme, host, port, username, password)


def tls_context(
    verify: bool, ca_file: str | None, client_cert: str | None, client_key: str | None
) -> ssl.SSLContext:
    """The TLS side of a transport: TLS 1.2 or later, verified unless told otherwise.

    :raises ConfigurationError: a file is not there or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"ca_file={ca_file!r}: expected a PEM file of certificates ({error})"
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        try:
            context.load_cert_chain(client_cert, client_key)
        except OSError as error:
            raise ConfigurationError(
                f"client_cert={client_cert!r}: expected a PEM file with certificate and key"
                f" ({error})"
            ) from error
    return context


class Dialler:
    """Opens connections with one TLS identity.

    :param parent_proxy: ``http://[user:password@]host:port`` (by CONNECT) or ``socks5h://…``.
    :param guard: decides where to connect to, and connects; None for anywhere.
    :raises ConfigurationError: a bad address or file, or a guard beside a parent.
    """

    def __init__(
        self,
        *,
        verify: bool = True,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        parent_proxy: str | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._identity = (verify, ca_file, client_cert, client_key)
        self._tls: ssl.SSLContext | None = None
        if ca_file or client_cert:
            self._tls = tls_context(*self._identity)  # bad files fail now, not later
        self.parent = _parent(parent_proxy) if parent_proxy else None
        if guard is not None and self.parent is not None:
            raise ConfigurationError(
                f"guard={guard!r}: expected no parent_proxy beside it, since that looks names up"
                " again, and connects to what it finds"
            )
        self.guard = guard

    def check(self, origin: Origin) -> None:
        """Ask the guard, if there is one, whether the origin may be talked to; no look-up.

        :raises DestinationForbidden: it may not.
        """
        if self.guard is None:
            return
        if origin.unix:
            raise DestinationForbidden(
                f"{_where(origin)} is refused: a guard knows addresses alone"
            )
        self.guard.check(origin.host, origin.port)

    def dial(self, origin: Origin, timeout: float) -> socket.socket:
        """Connect, and do the TLS handshake for https.

        :param timeout: seconds for each address that the name has.
        :raises DestinationForbidden: the guard refuses it.
        :raises ConnectFailed: there is no connection; nothing was sent.
        :raises UpstreamTimeout: there was none in time.
        """
        self.check(origin)
        with failures(origin, timeout):
            if origin.unix:
                return _dial_unix(origin.unix, timeout)
            return self._dial_tcp(origin, timeout)

    def tunnel(self, origin: Origin, timeout: float) -> socket.socket:
        """Connect through the parent proxy, and leave the TLS handshake to the caller.

        :raises ConnectFailed: there is no connection; nothing was sent.
        :raises UpstreamTimeout: there was none in time.
        """
        with failures(origin, timeout):
            return self._dial_tcp(origin._replace(scheme="http"), timeout)

    def context(self) -> ssl.SSLContext:
        """The TLS side of its connections."""
        if self._tls is None:
            # Loading the system's authorities takes 20 ms, for nothing if all is http.
            self._tls = tls_context(*self._identity)
        return self._tls

    def _dial_tcp(self, origin: Origin, timeout: float) -> socket.socket:
        connection = self._connection(origin, timeout)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        sock = connection.sock
        assert sock is not None
        if isinstance(sock, ssl.SSLSocket):
            # A close without close_notify is a cut, not an end (RFC 9112, 9.8).
            sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]  # typeshed lacks it
        connection.sock = None
        return sock

    def _connection(self, origin: Origin, timeout: float) -> HTTPConnection:
        options: dict[str, Any] = {"timeout": timeout}
        if origin.scheme == "https":
            options["ssl_context"] = self.context()
            options["server_hostname"] = origin.host
        if self.guard is not None:
            guarded = _GuardedHTTPS if origin.scheme == "https" else _Guarded
            return guarded(self.guard, origin, **options)
        kind = HTTPSConnection if origin.scheme == "https" else HTTPConnection
        parent = self.parent
        if parent is None:
            return kind(origin.host, origin.port, **options)
        if parent.scheme != "http":
            return _socks_connection(parent, origin, options)
        # Always a tunnel: the bytes of the request are the same with and without a parent.
        connection = kind(parent.host, parent.port, **options)
        credentials = f"{parent.username}:{parent.password or ''}" if parent.username else None
        headers = make_headers(proxy_basic_auth=credentials)
        connection.set_tunnel(origin.host, origin.port, headers=headers)
        return connection


class _Guarded(HTTPConnection):
    """A connection that a guard makes; the names are checked as ever, by the TLS above it."""

    def __init__(self, guard: Guard, origin: Origin, **options: Any) -> None:
        super().__init__(origin.host, origin.port, **options)
        self._connect = partial(guard.connect, origin.host, origin.port, options["timeout"])

    def _new_conn(self) -> socket.socket:
        # What urllib3's own connections through SOCKS replace, too.
        return self._connect()


class _GuardedHTTPS(_Guarded, HTTPSConnection):
    """The same with TLS."""


def _socks_connection(parent: _Parent, origin: Origin, options: dict[str, Any]) -> HTTPConnection:
    import socks
    from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

    fifth = parent.scheme.startswith("socks5")
    settings: Any = {
        "socks_version": socks.PROXY_TYPE_SOCKS5 if fifth else socks.PROXY_TYPE_SOCKS4,
        "proxy_host": parent.host,
        "proxy_port": parent.port,
        "username": parent.username,
        "password": parent.password,
        "rdns": parent.scheme in ("socks5h", "socks4a"),
    }
    kind = SOCKSHTTPSConnection if origin.scheme == "https" else SOCKSConnection
    return kind(settings, origin.host, origin.port, **options)


@contextlib.contextmanager
def failures(origin: Origin, timeout: float) -> Iterator[None]:
    """Failures to connect to *origin*, as errors of ours.

    :param timeout: the limit that the message names.
    :raises ConnectFailed: there is no connection; nothing was sent.
    :raises UpstreamTimeout: there was none in time.
    """
    try:
        yield
    except (exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
        # ValueError: a name that IDNA or the resolver cannot take; HTTPException: a parent
        # that does not speak HTTP.
        kind = ConnectTimeout if _is_timeout(error) else ConnectFailed
        raise kind(f"connecting to {_where(origin)}: {_reason(error, timeout)}") from error


def _is_timeout(error: Exception) -> bool:
    # urllib3 derives NewConnectionError ("refused") from ConnectTimeoutError.
    if isinstance(error, exceptions.NewConnectionError):
        return False
    return isinstance(error, (exceptions.TimeoutError, TimeoutError))


def _began(error: BaseException) -> BaseException:
    """What began a failure; urllib3's own errors say the text of its objects before it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _reason(error: Exception, timeout: float) -> str:
    """What began a failure, with the setting that may help."""
    began = _began(error)
    if _is_timeout(error):
        return f"{began} (connect_timeout={timeout:g} s)"
    if isinstance(began, ssl.SSLCertVerificationError):
        return f"{began}; ca_file names further authorities"
    return str(began)


def _where(origin: Origin) -> str:
    return f"unix:{origin.unix}" if origin.unix else f"{origin.scheme}://{origin.authority}"


def _dial_unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.settimeout(timeout)
        sock.connect(unix_address(path))
        stack.pop_all()
    return sock


def unix_address(path: str) -> str:
    """The address of a Unix socket; ``@name`` is Linux's abstract namespace, as systemd writes it.

    >>> unix_address("/run/app.sock"), unix_address("@app")
    ('/run/app.sock', '\\x00app')
    """
    return "\0" + path[1:] if path.startswith("@") else path
