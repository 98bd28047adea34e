"""The receiving end: the facts of the original request, put back into the environ.

It removes the forwarding namespace whatever else it does, believes only what the settings
name, and loads nothing that could connect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgiproxy.errors import ProxyError
from wsgiproxy.restorer import Restorer, spawned_secret_file
from wsgiproxy.settings.described import listing
from wsgiproxy.worlds import check_application, wrong_call

if TYPE_CHECKING:
    from typing import Literal

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import MiddlewareOptions

__all__ = ["WSGIProxyMiddleware"]


@listing
class WSGIProxyMiddleware:
    """Restores the original request at the backend, from a signature or trusted peers.

    With ``secret_file``, what a signature of :class:`~wsgiproxy.app.WSGIProxyApp` covers is
    believed, and every other request refused (403). With ``trust_ips``, one family of
    forwarding fields is believed, when the peer is among them. With neither, nothing is. In
    all cases the forwarding fields are gone when the application is called, and what was
    replaced is under ``wsgiproxy.orig``.

    :param application: the WSGI application.
    :param secret_file: path of the key file of the sender.
    :param trust_ips: addresses, networks in CIDR notation, ``unix``, or ``*`` alone.
    :param prefix: value for ``SCRIPT_NAME``.
    :param pop_prefix: what to move from ``PATH_INFO`` to ``SCRIPT_NAME`` (404 if it is not there).
    :param scheme: ``http`` or ``https``.
    :param host: ``host:port``; sets ``HTTP_HOST``, ``SERVER_NAME`` and ``SERVER_PORT``.
    :param domain: the host alone.
    :param port: the port alone.
    :param options: the other rows of :data:`wsgiproxy.settings.MIDDLEWARE`. The counts of
        Werkzeug's ProxyFix are among them.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> from webob import Request
    >>> def hello(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [environ["REMOTE_ADDR"].encode()]
    >>> request = Request.blank("/", {"REMOTE_ADDR": "10.0.0.2"})
    >>> request.headers["X-Forwarded-For"] = "192.0.2.1"
    >>> request.get_response(WSGIProxyMiddleware(hello)).text
    '10.0.0.2'
    >>> request.get_response(WSGIProxyMiddleware(hello, trust_ips="10.0.0.0/8")).text
    '192.0.2.1'
    """

    def __init__(
        self,
        application: WSGIApplication,
        secret_file: str | os.PathLike[str] | None = None,
        trust_ips: str | Iterable[str] | None = None,
        prefix: str | None = None,
        pop_prefix: str | None = None,
        scheme: Literal["http", "https"] | None = None,
        host: str | None = None,
        domain: str | None = None,
        port: int | str | None = None,
        **options: Unpack[MiddlewareOptions],
    ) -> None:
        check_application("application", application, is_async=False)
        self.application = application
        self._restorer = Restorer(
            {
                "secret_file": secret_file,
                "trust_ips": trust_ips,
                "prefix": prefix,
                "pop_prefix": pop_prefix,
                "scheme": scheme,
                "host": host,
                "domain": domain,
                "port": port,
                **options,
            },
            "WSGIProxyMiddleware",
        )

    @classmethod
    def from_env(
        cls, application: WSGIApplication, **options: Unpack[MiddlewareOptions]
    ) -> WSGIProxyMiddleware:
        """For an application that :class:`~wsgiproxy.spawn.SpawningApplication` has started.

        It believes its own parent, and refuses all other requests. The environment variable
        ``WSGIPROXY_SECRET_FILE`` names the file with the keys.

        :param application: the WSGI application.
        :param options: rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
        :raises ConfigurationError: there is no such variable: no spawner has started this process.
        """
        return cls(application, spawned_secret_file(), **options)

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333); the environ is copied, and the caller's left alone.

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        answer = self._restorer.answer(environ)
        if answer is not None:
            start_response("200 OK", answer.headers)
            return [answer.body]
        try:
            restored = self._restorer.restored(environ)
        except ProxyError as error:
            self._restorer.refusals.log(error)
            # WebOb is seldom needed here, and loads many modules.
            from wsgiproxy.wsgi.errorpage import error_page

            return error_page(error)(environ, start_response)
        return self.application(restored, start_response)
