"""The reverse proxy: everything goes to one ``href``, which learns what the client asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.reverse import Href, ReverseProxy
from wsgiproxy.settings.described import listing
from wsgiproxy.transport import PooledTransport, Transport
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.beside import BesideThreads
from wsgiproxy.wsgi.gateway import Gateway
from wsgiproxy.wsgi.upgrade import Upgrades

if TYPE_CHECKING:
    import os

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.hooks import Hook
    from wsgiproxy.sansio.pipeline import Policy
    from wsgiproxy.settings.options import AppOptions
    from wsgiproxy.transport.upstreams import Upstreams

__all__ = ["WSGIProxyApp"]


@listing
class WSGIProxyApp(ReverseProxy[Transport, Gateway, Upgrades]):
    """A WSGI application that is another web application, somewhere else.

    :param href: the upstream: ``http://host[:port][/path][?query]``, https, or
        ``unix:/path/of.sock[:/path]``. Several of them in a list, each alone or in a pair with its
        weight, ``dns:name:port``, or a function that returns such a list: see ``balance``. It may
        be reassigned at any time.
    :param secret_file: path of a key file (``wsgiproxy keygen``); requests are then signed, and
        :class:`~wsgiproxy.middleware.WSGIProxyMiddleware` with the same file restores them.
    :param string_keys: environ keys to carry to the backend: native strings.
    :param unicode_keys: the same for text.
    :param json_keys: the same for what JSON can hold.
    :param pickle_keys: the same for anything else; an error without ``allow_pickle=True``.
    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
    :param transport: another transport than a pool of its own.
    :param options: the rows of :data:`wsgiproxy.settings.APP`,
        :data:`~wsgiproxy.settings.SIGNING` and :data:`~wsgiproxy.settings.TRANSPORT`; strings
        are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> app = WSGIProxyApp("http://127.0.0.1:8000/base", preserve_host=True)
    >>> app.href_netloc, app.href_path
    ('127.0.0.1:8000', '/base')
    """

    _is_async = False

    def __init__(
        self,
        href: Href,
        secret_file: str | os.PathLike[str] | None = None,
        string_keys: Iterable[str] | None = None,
        unicode_keys: Iterable[str] | None = None,
        json_keys: Iterable[str] | None = None,
        pickle_keys: Iterable[str] | None = None,
        *,
        hooks: Iterable[Hook] = (),
        transport: Transport | None = None,
        **options: Unpack[AppOptions],
    ) -> None:
        positional = {
            "secret_file": secret_file,
            "string_keys": string_keys,
            "unicode_keys": unicode_keys,
            "json_keys": json_keys,
            "pickle_keys": pickle_keys,
        }
        self._beside = BesideThreads()
        super().__init__(href, {**options, **positional}, transport, hooks)

    def _make_transport(self, options: Mapping[str, Any]) -> Transport:
        return PooledTransport(**options)

    def _make_upgrades(self, settings: Mapping[str, Any]) -> Upgrades:
        return Upgrades.configured(settings)

    def _make_gateway(self, policy: Policy, upstreams: Upstreams | None) -> Gateway:
        return Gateway(
            policy,
            self.transport,
            max_body=self._options["max_body"],
            signer=self._signer,
            upgrades=self._upgrades,
            hooks=self._hooks,
            beside=self._beside,
            upstreams=upstreams,
        )

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
        return self.gateway(environ, start_response)

    def close(self) -> None:
        """End the WebSockets, and close the connections that are kept.

        Those of a transport that was given to us stay. The application can still be used.
        """
        self._beside.close()
        self._upgrades.close()
        if self._upstreams is not None:
            self._upstreams.close()
        if self._owns_transport and isinstance(self.transport, PooledTransport):
            self.transport.close()
