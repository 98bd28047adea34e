"""The receiving end at an ASGI backend: the facts of the original request, put back into the scope.

It decides nothing by itself: the rules are those of
:class:`~wsgiproxy.middleware.WSGIProxyMiddleware`. It loads nothing that could connect.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from wsgiproxy.asgi.body import Body, Message, Receive, Scope, Send, read_whole
from wsgiproxy.asgi.served import Served
from wsgiproxy.doctor.endpoint import ENVIRON_KEY
from wsgiproxy.errors import ConfigurationError, ProxyError
from wsgiproxy.replay import MemoryReplay
from wsgiproxy.restorer import Restorer, spawned_secret_file
from wsgiproxy.sansio.environ.scope_environ import OWN_MEMBERS, environ_of, scope_of
from wsgiproxy.sansio.errorpage import error_page
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY
from wsgiproxy.sansio.message import Headers
from wsgiproxy.settings.described import listing
from wsgiproxy.signature import Nonce
from wsgiproxy.worlds import check_application

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Unpack

    from wsgiproxy.settings.options import MiddlewareOptions

    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["ASGIProxyMiddleware"]

_T = TypeVar("_T")

# RFC 6455, 7.4.1: a policy is violated. Before the handshake is accepted, servers answer 403.
_CLOSED_BY_POLICY = 1008


@listing
class ASGIProxyMiddleware(Served):
    """Restores the original request at an ASGI backend, from a signature or trusted peers.

    It believes what :class:`~wsgiproxy.WSGIProxyMiddleware` believes, under the same settings, for
    ``http`` and ``websocket``; other scopes pass as they are. With ``secret_file``, what a
    signature of :class:`~wsgiproxy.WSGIProxyApp` covers is believed, and every other request
    refused (403). With ``trust_ips``, one family of forwarding fields is believed, when the peer is
    among them. With neither, nothing is. In all cases the forwarding fields are gone when the
    application is called.

    The application gets a new scope, with the client's ``scheme``, ``client``, ``server``,
    ``root_path``, ``path``, ``raw_path``, ``query_string`` and ``host`` field; ``path`` includes
    ``root_path``. In ``scope["wsgiproxy"]`` are the carried keys, ``verified`` (the id of the key
    that signed), ``traversal_path`` and ``traversal_query_string``, and in ``orig`` what was
    replaced or removed.

    A WebSocket handshake that is refused is closed with 1008 before it is accepted, or gets the
    error page where the server has the extension ``websocket.http.response``. A body that is
    covered by the signature is read first, after the signature was verified. The event loop is not
    blocked, except by a look at the key file, which is read again when it has changed. A store
    in ``replay`` other than ``"memory"`` may block: it is called in the default executor.

    :param app: the ASGI application.
    :param secret_file: path of the key file of the sender.
    :param trust_ips: addresses, networks in CIDR notation, ``unix``, or ``*`` alone.
    :param prefix: value for ``root_path``.
    :param pop_prefix: a prefix of the path that is to become part of ``root_path`` (404 if it is
        not there).
    :param scheme: ``http`` or ``https``; for WebSocket it stands for ``ws`` and ``wss``.
    :param host: ``host:port``; sets the ``host`` field and ``server``.
    :param domain: the host alone.
    :param port: the port alone.
    :param options: the other rows of :data:`wsgiproxy.settings.MIDDLEWARE`. The counts of
        Werkzeug's ProxyFix are among them.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> import asyncio
    >>> async def hello(scope, receive, send):
    ...     print(scope["client"], scope["headers"])
    >>> scope = {
    ...     "type": "http", "method": "GET", "path": "/", "query_string": b"",
    ...     "client": ("10.0.0.2", 4711), "headers": [(b"x-forwarded-for", b"192.0.2.1")],
    ... }
    >>> asyncio.run(ASGIProxyMiddleware(hello)(scope, print, print))
    ('10.0.0.2', 4711) []
    >>> asyncio.run(ASGIProxyMiddleware(hello, trust_ips="10.0.0.0/8")(scope, print, print))
    ('192.0.2.1', 0) []
    """

    def __init__(
        self,
        app: Application,
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
        super().__init__()
        check_application("app", app, is_async=True)
        self.app = app
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
            "ASGIProxyMiddleware",
        )
        for name in self._restorer.accepted & OWN_MEMBERS:
            raise ConfigurationError(
                f"accept_keys={name!r}: expected a key that has no meaning of its own in"
                ' scope["wsgiproxy"]'
            )
        replay = options.get("replay")
        self._blocks = replay not in (None, "memory") and not isinstance(replay, MemoryReplay)

    @classmethod
    def from_env(
        cls, app: Application, **options: Unpack[MiddlewareOptions]
    ) -> ASGIProxyMiddleware:
        """For an application that :class:`~wsgiproxy.spawn.SpawningApplication` has started.

        It believes its own parent, and refuses all other requests. The environment variable
        ``WSGIPROXY_SECRET_FILE`` names the file with the keys.

        :param app: the ASGI application.
        :param options: rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
        :raises ConfigurationError: there is no such variable: no spawner has started this process.
        """
        return cls(app, spawned_secret_file(), **options)

    async def _serving(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope (ASGI 3); the scope is copied, and the caller's left alone."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            environ = environ_of(scope)
            if ENVIRON_KEY in environ and scope["type"] == "http":
                answer = await self._waited(partial(self._restorer.answer, environ))
                if answer is not None:
                    await _send_page(200, answer.headers, answer.body, send)
                    return
            restored, receive = await self._restored(scope, environ, receive)
            new_scope = scope_of(scope, environ, restored)
        except ProxyError as error:
            self._restorer.refusals.log(error)
            with contextlib.suppress(OSError):  # the client has left
                await _refuse(error, scope, send)
            return
        await self.app(new_scope, receive, send)

    async def _waited(self, call: Callable[[], _T]) -> _T:
        """The result of a call that asks the store of nonces."""
        if not self._blocks:
            return call()
        # A server has loaded it; here it would bring the sockets.
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def _restored(
        self, scope: Scope, environ: dict[str, Any], receive: Receive
    ) -> tuple[dict[str, Any], Receive]:
        """The environ that the rules make, and where the body is to be received from."""
        steps = self._restorer.steps(environ)
        answer: object = None
        while True:
            try:
                wish = steps.send(answer)
            except StopIteration as end:
                return end.value, receive
            if isinstance(wish, Nonce):
                answer = await self._waited(wish.is_new)
            elif scope["type"] == "http":
                answer = body = await read_whole(Body(receive), LARGEST_BODY)
                receive = _again(body, receive)
            else:
                answer = b""  # a handshake has none


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body, and then goes on with what follows."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


async def _refuse(error: ProxyError, scope: Scope, send: Send) -> None:
    is_websocket = scope["type"] == "websocket"
    if is_websocket and "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": _CLOSED_BY_POLICY, "reason": error.public})
        return
    headers = scope.get("headers") or ()
    accepted = [value.decode("latin-1") for name, value in headers if name == b"accept"]
    accept = ", ".join(accepted) if accepted else None
    page = error_page(error, scope.get("method", "GET"), accept)
    kind = "websocket.http.response" if is_websocket else "http.response"
    await _send_page(page.status, page.headers, page.body, send, kind)


async def _send_page(
    status: int, headers: Headers, body: bytes, send: Send, kind: str = "http.response"
) -> None:
    lines = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers]
    await send({"type": f"{kind}.start", "status": status, "headers": lines})
    await send({"type": f"{kind}.body", "body": body})
