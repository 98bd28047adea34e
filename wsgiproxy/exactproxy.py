"""The exact proxy: the request that the environ describes, to where it says, nothing added."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgiproxy.errors import NotForProxy, ProxyError
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.policy.exact import ExactPolicy
from wsgiproxy.sansio.policy.forward import absolute_changes
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport import PooledTransport
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.gateway import Gateway, error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import TransportOptions

__all__ = [
    "ExactProxy",
    "Gateway",
    "filter_paste_httpserver_proxy",
    "filter_paste_httpserver_proxy_environ",
    "proxy_exact_request",
]


@listing
class ExactProxy(Hookable):
    """:func:`~wsgiproxy.proxy_exact_request` with settings, and connections of its own.

    :param max_body: largest request body in bytes; None for no limit (413 beyond it).
    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
    :param options: the rows of :data:`wsgiproxy.settings.TRANSPORT`, such as ``guard``, where
        users choose the destination.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> from webob import Request
    >>> proxy = ExactProxy(guard=True)
    >>> Request.blank("http://127.0.0.1/admin").get_response(proxy).status
    '403 Forbidden'
    """

    def __init__(
        self,
        *,
        max_body: int | str | None = None,
        hooks: Iterable[Hook] = (),
        **options: Unpack[TransportOptions],
    ) -> None:
        self._take_hooks(hooks)
        limit = resolve(PARTS["ExactProxy"], {"max_body": max_body, **options})["max_body"]
        self.transport = PooledTransport(**options)
        self._gateway = Gateway(_policy(), self.transport, max_body=limit, hooks=self._hooks)

    def _use_hooks(self) -> None:
        self._gateway.hooks = self._hooks

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
        return self._gateway(environ, start_response)

    def close(self) -> None:
        """End the WebSockets, and close the connections that are kept; it can still be used."""
        self._gateway.beside.close()
        self._gateway.upgrades.close()
        self.transport.close()


def filter_paste_httpserver_proxy_environ(environ: WSGIEnvironment) -> None:
    """Let *environ* describe what was asked of a proxy: in place, as in 0.2.

    An absolute-form request is then one to the host that it names, whatever the server has made
    of it: Paste 3 calls that host ``dummyhttp:``, and every other request one to ``dummy``. What
    is not asked of a proxy stays as it is.

    :raises BadRequest: its target has a userinfo, or no proper host.

    >>> environ = {"paste.httpserver.proxy.host": "dummyhttp:", "SERVER_NAME": "0.0.0.0",
    ...     "PATH_INFO": "//example.com:8080/foo", "QUERY_STRING": ""}
    >>> filter_paste_httpserver_proxy_environ(environ)
    >>> environ["SERVER_NAME"], environ["SERVER_PORT"], environ["PATH_INFO"]
    ('example.com', '8080', '/foo')
    """
    try:
        _, changes = absolute_changes(environ)
    except NotForProxy:
        return
    environ.update(changes)


def filter_paste_httpserver_proxy(app: WSGIApplication) -> WSGIApplication:
    """Let *app* see what was asked of a proxy; the caller's environ stays as it is.

    It guards nothing: its clients reach whatever this machine reaches. For a proxy that
    others may use see :class:`wsgiproxy.forward.ForwardProxy`.

    :param app: such as :func:`.proxy_exact_request`.

    >>> app = filter_paste_httpserver_proxy(proxy_exact_request)
    """

    def filtered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ = dict(environ)
        try:
            filter_paste_httpserver_proxy_environ(environ)
        except ProxyError as error:
            return error_response(error, environ, start_response, Record(environ))
        return app(environ, start_response)

    return filtered


def _policy() -> ExactPolicy:
    return ExactPolicy(f"wsgiproxy-{secrets.token_hex(4)}")


_exact: Gateway | None = None


def proxy_exact_request(
    environ: WSGIEnvironment, start_response: StartResponse | None = None, *more: object
) -> Iterable[bytes]:
    """Send the request that *environ* describes to ``SERVER_NAME:SERVER_PORT``, nothing added.

    It is a WSGI application, and so an HTTP client for WebOb, which honours
    ``webob.client.timeout`` (seconds):

    >>> from webob import Request
    >>> request = Request.blank("http://127.0.0.1:1/nothing-listens")
    >>> request.get_response(proxy_exact_request).status
    '502 Bad Gateway'

    :raises TypeError: it was called as an ASGI application.
    """
    if start_response is None or more:
        raise wrong_call(proxy_exact_request, environ, start_response, *more)
    global _exact
    if _exact is None:
        _exact = Gateway(_policy())
    return _exact(environ, start_response)
