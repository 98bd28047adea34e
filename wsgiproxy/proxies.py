"""WSGIProxy2's proxies, on our own transport: where to, by which client, what it may ask for."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from wsgiproxy.compat import (
    ClientTransport,
    HttpClient,
    UnknownClient,
    announce,
    client_for,
    frame_what_is_here,
)
from wsgiproxy.compat.asked import WEBOB_ERROR, check_asked, is_relayed
from wsgiproxy.errors import ProxyError
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.policy.wsgiproxy2 import (
    ABSOLUTE_URL_RE,
    Proxied,
    address_of,
    parse_uri,
    rewrite_location,
)
from wsgiproxy.transport import PooledTransport
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.beside import BesideThreads
from wsgiproxy.wsgi.gateway import Gateway, error_response
from wsgiproxy.wsgi.upgrade import Upgrades

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.compat.options import (
        HookedOptions,
        HookedUrllib3Options,
        RequestsOptions,
        Urllib3Options,
    )
    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import TransportOptions

__all__ = [
    "ABSOLUTE_URL_RE",
    "ALLOWED_METHODS",
    "LOW_CHAR_SAFE",
    "WEBOB_ERROR",
    "HostProxy",
    "HttpClient",
    "Proxy",
    "TransparentProxy",
    "UnknownClient",
    "rewrite_location",
]

_NO_UPGRADES = Upgrades()  # the clients hand no connection over
#: Characters that WSGIProxy2 left as they are in a path; kept for programs that read it.
LOW_CHAR_SAFE = "".join(map(chr, range(128)))

#: Methods that a proxy lets pass by default. A program that appends to it means all proxies.
ALLOWED_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]

_base = remembered(limit=256)(parse_uri)


class Proxy:
    """A proxy to ``SERVER_NAME:SERVER_PORT``, with the client's Host.

    Subclasses may override :meth:`extract_uri` and :meth:`process_request`.

    :param client: ``httplib`` or None for our own transport, ``urllib3``, ``requests``, any X
        for the class ``HttpClient`` of a module ``wsgiproxy.X_client``; or a callable of uri,
        method, body (a file) and headers that returns ``(status, location, headers, body)``.
    :param allowed_methods: others get 405; None for all but CONNECT and TRACE.
    :param strip_script_name: leave ``SCRIPT_NAME`` out of the path, and put it into Location.
    :param client_options: for the client.
    :raises ConfigurationError: an unknown client, or a bad option of it.

    >>> Proxy().extract_uri({"SERVER_NAME": "example.com", "SERVER_PORT": "8080"})
    'http://example.com:8080'
    """

    #: environ key -> header to announce it in, after ``HTTP_``.
    header_map: Mapping[str, str] = {
        "HTTP_HOST": "X_FORWARDED_SERVER",
        "SCRIPT_NAME": "X_FORWARDED_SCRIPT_NAME",
        "wsgi.url_scheme": "X_FORWARDED_SCHEME",
        "REMOTE_ADDR": "X_FORWARDED_FOR",
    }

    @overload
    def __init__(
        self,
        client: Literal["httplib"] | None = None,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[TransportOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        client: Literal["urllib3"],
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[Urllib3Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        client: Literal["requests"],
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[RequestsOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        client: Callable[..., Any] | str,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
    ) -> None: ...

    def __init__(
        self,
        client: Any = None,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Any,
    ) -> None:
        self.allowed_methods = allowed_methods
        self.strip_script_name = strip_script_name
        self.http: Callable[..., Any] = client_for(client, client_options)
        self.logger = logging.getLogger(__name__)
        self._pseudonym = f"wsgiproxy-{secrets.token_hex(4)}"

    def extract_uri(self, environ: WSGIEnvironment) -> str:
        """The address of the server for this request, without the request's path.

        :param environ: a copy, which may be changed: its ``HTTP_HOST`` will be Host.
        :raises BadRequest: the environ names none.
        """
        host = environ.get("SERVER_NAME") or environ.get("HTTP_HOST", "")
        scheme = environ.get("wsgi.url_scheme", "http")
        return address_of(scheme, host, environ.get("SERVER_PORT"))

    def process_request(
        self, uri: str, method: str, headers: dict[str, str], environ: WSGIEnvironment
    ) -> Any:
        """Send one request.

        :param uri: the address, with path and query.
        :param headers: what will be sent; may be changed.
        :param environ: a copy, whose ``wsgi.input`` ends where the body ends.
        :returns: status, Location, headers and body, as the client returned them.
        """
        return self.http(uri, method, environ["wsgi.input"], headers)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse | None = None, *more: object
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        environ = dict(environ)  # subclasses change it, and WebTest keeps its own (its issue 162)
        try:
            exchange = self._exchange(environ)
        except ProxyError as error:
            return error_response(error, environ, start_response, Record(environ))
        except Exception as error:
            self.logger.exception("extract_uri has failed")
            unexpected = ProxyError(f"unexpected {type(error).__name__}")
            return error_response(unexpected, environ, start_response, Record(environ))
        return self._gateway(exchange)(environ, start_response)

    def _gateway(self, exchange: ClientTransport) -> Gateway:
        return Gateway(exchange, exchange, upgrades=_NO_UPGRADES)

    def _exchange(self, environ: WSGIEnvironment) -> ClientTransport:
        check_asked(environ, self.allowed_methods)
        frame_what_is_here(environ)
        announced = announce(self.header_map, environ)
        uri = self.extract_uri(environ)
        host = environ.get("HTTP_HOST") or urlsplit(uri).netloc
        via = self._pseudonym if is_relayed(environ) else ""
        proxied = Proxied(_base(uri), host, announced, bool(self.strip_script_name), via)
        return ClientTransport(
            proxied, uri, environ, self.process_request, client=self.http, log=self.logger
        )

    def close(self) -> None:
        """Close the connections that the client keeps; the proxy can still be used."""
        close = getattr(self.http, "close", None)
        if close is not None:
            close()


class TransparentProxy(Proxy):
    """A proxy to the host that the client asked for (``HTTP_HOST``).

    A client that reaches it reaches all that this machine reaches; for destinations that clients
    choose, see the setting ``guard``, or :class:`wsgiproxy.forward.ForwardProxy`.

    >>> TransparentProxy().extract_uri({"HTTP_HOST": "example.com"})
    'http://example.com:80'
    """

    def extract_uri(self, environ: WSGIEnvironment) -> str:
        """As :meth:`Proxy.extract_uri`."""
        return address_of(environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST", ""))


class HostProxy(Proxy, Hookable):
    """A proxy to one server, whose name will be Host.

    :param uri: its address, such as ``http://127.0.0.1:8000/base``. It may be reassigned.
    :param client: and what follows as for :class:`Proxy`.
    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`. A mapping is for the client ``requests``.
    :raises ConfigurationError: it has no scheme or no host.

    >>> proxy = HostProxy("http://127.0.0.1:8000/base/", client="urllib3")
    >>> proxy.uri, proxy.net_loc
    ('http://127.0.0.1:8000/base', '127.0.0.1:8000')
    """

    @overload
    def __init__(
        self,
        uri: str,
        client: Literal["httplib"] | None = None,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[HookedOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        uri: str,
        client: Literal["urllib3"],
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[HookedUrllib3Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        uri: str,
        client: Literal["requests"],
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Unpack[RequestsOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        uri: str,
        client: Callable[..., Any] | str,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        *,
        hooks: Iterable[Hook] = (),
    ) -> None: ...

    def __init__(
        self,
        uri: str,
        client: Any = None,
        allowed_methods: Container[str] | None = ALLOWED_METHODS,
        strip_script_name: bool = True,
        **client_options: Any,
    ) -> None:
        self.uri = uri
        if not isinstance(client_options.get("hooks"), Mapping):  # those of requests
            self._take_hooks(client_options.pop("hooks", ()))
        self._beside = BesideThreads()
        self._fetcher = PooledTransport(**(client_options if client in (None, "httplib") else {}))
        super().__init__(client, allowed_methods, strip_script_name, **client_options)

    @property
    def uri(self) -> str:
        """The address of the server; assigning another one moves the proxy there."""
        return self._uri

    @uri.setter
    def uri(self, uri: str) -> None:
        parse_uri(uri)
        self._uri = uri.rstrip("/")
        self.scheme, self.net_loc = urlsplit(self._uri)[:2]

    def extract_uri(self, environ: WSGIEnvironment) -> str:
        """The address of the server, whose name becomes Host."""
        uri = self.uri  # once, since it may be reassigned meanwhile
        environ["HTTP_HOST"] = urlsplit(uri).netloc
        return uri

    def _gateway(self, exchange: ClientTransport) -> Gateway:
        parts: Any = {"hooks": self._hooks, "fetcher": self._fetcher, "beside": self._beside}
        return Gateway(exchange, exchange, upgrades=_NO_UPGRADES, **parts)

    def close(self) -> None:
        """Close the connections that are kept; the proxy can still be used."""
        super().close()
        self._beside.close()
        self._fetcher.close()
