"""The reverse proxy as an ASGI application."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.beside import BesideTasks
from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.asgi.gateway import ASGIGateway
from wsgiproxy.asgi.other_scopes import serve_other
from wsgiproxy.asgi.served import Served
from wsgiproxy.asgi.websocket import WebSockets
from wsgiproxy.reverse import Href, ReverseProxy
from wsgiproxy.settings.described import listing
from wsgiproxy.transport.aio.transport import AsyncPooledTransport
from wsgiproxy.transport.base import AsyncTransport

if TYPE_CHECKING:
    import os

    from typing_extensions import Unpack

    from wsgiproxy.asgi.message_hooks import Hook as MessageHook
    from wsgiproxy.hooks import Hook
    from wsgiproxy.sansio.pipeline import Policy
    from wsgiproxy.settings.options import ASGIAppOptions
    from wsgiproxy.transport.upstreams import Upstreams

__all__ = ["ASGIProxyApp"]


@listing
class ASGIProxyApp(Served, ReverseProxy[AsyncTransport, ASGIGateway, WebSockets]):
    """An ASGI application that is another web application, somewhere else.

    It serves scopes of type ``http``, ``websocket`` and ``lifespan``.

    :param href: the upstream: ``http://host[:port][/path][?query]``, https, or
        ``unix:/path/of.sock[:/path]``. Several of them in a list, each alone or in a pair with its
        weight, ``dns:name:port``, or a function that returns such a list: see ``balance``. It may
        be reassigned at any time.
    :param secret_file: path of a key file (``wsgiproxy keygen``); requests are then signed, and
        ``ASGIProxyMiddleware`` or
        :class:`~wsgiproxy.middleware.WSGIProxyMiddleware` with the same file restores them.
    :param string_keys: keys to carry to the backend, which stand in ``scope["wsgiproxy"]`` or
        ``scope["state"]``: native strings.
    :param unicode_keys: the same for text.
    :param json_keys: the same for what JSON can hold.
    :param pickle_keys: the same for anything else; an error without ``allow_pickle=True``.
    :param hooks: functions that change requests and responses, the outermost first; see
        :mod:`wsgiproxy.hooks`.
    :param messages_from_client: changes the messages of WebSockets on their way to the upstream:
        an async generator function that is given an iterator of them, each a str or bytes, and
        yields what is to be sent instead.
    :param messages_from_upstream: the same for the messages of the upstream.
    :param transport: another transport than a pool of its own.
    :param options: the rows of :data:`wsgiproxy.settings.APP`,
        :data:`~wsgiproxy.settings.SIGNING` and :data:`~wsgiproxy.settings.TRANSPORT`; strings
        are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> app = ASGIProxyApp("http://127.0.0.1:8000/base", preserve_host=True)
    >>> app.href_netloc, app.href_path
    ('127.0.0.1:8000', '/base')
    """

    _is_async = True

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
        messages_from_client: MessageHook | None = None,
        messages_from_upstream: MessageHook | None = None,
        transport: AsyncTransport | None = None,
        **options: Unpack[ASGIAppOptions],
    ) -> None:
        positional = {
            "secret_file": secret_file,
            "string_keys": string_keys,
            "unicode_keys": unicode_keys,
            "json_keys": json_keys,
            "pickle_keys": pickle_keys,
        }
        self._message_hooks = messages_from_client, messages_from_upstream
        self._beside = BesideTasks()
        ReverseProxy.__init__(self, href, {**options, **positional}, transport, hooks)
        Served.__init__(self)

    def _make_transport(self, options: Mapping[str, Any]) -> AsyncTransport:
        return AsyncPooledTransport(**options)

    def _make_upgrades(self, settings: Mapping[str, Any]) -> WebSockets:
        return WebSockets(settings, *self._message_hooks)

    def _make_gateway(self, policy: Policy, upstreams: Upstreams | None) -> ASGIGateway:
        return ASGIGateway(
            policy,
            self.transport,
            max_body=self._options["max_body"],
            signer=self._signer,
            websockets=self._upgrades,
            hooks=self._hooks,
            beside=self._beside,
            upstreams=upstreams,
        )

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            return self.gateway(scope, receive, send)
        if scope["type"] == "websocket":
            return self._upgrades.serve(self.gateway, scope, receive, send)
        return serve_other(scope, receive, send, self.aclose)

    def close(self) -> None:
        """End the WebSockets, with 1012, what hooks run beside, and the connections that are kept.

        Those of a transport that was given to us stay. The application can still be used. Where it
        is mounted and gets no lifespan, call it from that of the application around it, in the
        event loop that has served it.
        """
        self._beside.close()
        self._upgrades.close()
        if self._upstreams is not None:
            self._upstreams.close()
        if self._owns_transport and isinstance(self.transport, AsyncPooledTransport):
            self.transport.close()

    async def aclose(self) -> None:
        """As :meth:`close`, and wait for the end of what hooks run beside requests."""
        self.close()
        await self._beside.aclose()
