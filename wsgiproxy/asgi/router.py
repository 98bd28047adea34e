"""Applications, upstreams and commands below prefixes and at hosts, as one ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.answers import send_error, send_whole
from wsgiproxy.asgi.app import ASGIProxyApp
from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.asgi.other_scopes import serve_other
from wsgiproxy.asgi.served import Served
from wsgiproxy.asgi.spawning import ASGISpawningApplication
from wsgiproxy.asgi.websocket import refuse_websocket
from wsgiproxy.errors import BadRequest
from wsgiproxy.observe.accesslog import ROUTE, Record, asked_in_scope
from wsgiproxy.routed import Makers, Standing, standing
from wsgiproxy.sansio.environ.asked import asked_by_scope
from wsgiproxy.sansio.environ.scope import native
from wsgiproxy.sansio.mount import is_bare, outside, slash_location
from wsgiproxy.sansio.places import Place

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ASGIRouter", "end"]

_MAKERS = Makers(
    ASGIProxyApp,
    ASGISpawningApplication,
    ("ASGIProxyApp", "ASGISpawningApplication"),
    is_async=True,
)


class ASGIRouter(Served):
    """An ASGI application made of several: :class:`~wsgiproxy.router.Router` for event loops.

    Places decide on WebSockets, too. What was made for an ``href`` or a command ends at
    ``lifespan.shutdown`` or with :meth:`aclose`.

    :param routes: the place, and what stands there.
    :param options: for every application that is made here and knows them; one of a
        :class:`~wsgiproxy.router.Target` counts more.
    :raises ConfigurationError: naming the place, and what was expected there.

    >>> router = ASGIRouter({"/grafana": "http://localhost:3000", "shop.localhost": ["npm", "run"]})
    >>> router
    ASGIRouter('shop.localhost', '/grafana')
    """

    def __init__(self, routes: Mapping[str, object], **options: Any) -> None:
        self._places = standing(routes, options, _MAKERS)
        super().__init__()

    async def _serving(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await serve_other(scope, receive, send, self.aclose)
            return
        host, root, path = asked_by_scope(scope)
        found = self._places.at(host, path, is_text=True)
        if found is None:
            await self._refuse(scope, receive, send)
            return
        place, each = found
        mount = root + place.path
        scope = {**scope, "root_path": mount, ROUTE: each.label}
        bare = each.is_folder and is_bare(scope.get("method", ""), mount, path[len(place.path) :])
        if bare and scope["type"] == "http":
            await _redirect(mount, scope, send)
            return
        await each.application(scope, receive, send)

    def _standing(self, scope: Scope) -> tuple[Place, Standing] | None:
        """What a request is for."""
        host, _, path = asked_by_scope(scope)
        return self._places.at(host, path, is_text=True)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, root, path = asked_by_scope(scope)
        values = [value for name, value in scope["headers"] if name.lower() == b"referer"]
        referer = b", ".join(values).decode("latin-1")
        prefixes = self._places.prefixes(host)
        error = outside(path, prefixes, mount=root, referer=referer, host=host)
        record = Record(scope, None, asked_in_scope)
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            await refuse_websocket(error, scope, send, record)
        else:
            await send_error(error, scope, send, record)

    async def aclose(self) -> None:
        """Close every application that can be closed; commands end."""
        for _, each in self._places.entries:
            await end(each.application)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        places = [place.host + place.prefix or "/" for place, _ in self._places.entries]
        return f"{type(self).__name__}({', '.join(map(repr, places))})"


async def end(application: Any) -> None:
    """Close an application, if it can be closed."""
    close = getattr(application, "aclose", None) or getattr(application, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing


async def _redirect(mount: str, scope: Scope, send: Send) -> None:
    record = Record(scope, None, asked_in_scope)
    try:
        query = (scope.get("query_string") or b"").decode("latin-1")
        location = slash_location(native(mount), query)
    except BadRequest as error:
        await send_error(error, scope, send, record)
        return
    record.end(302)
    await send_whole(302, [("Location", location), ("Content-Length", "0")], b"", send)
