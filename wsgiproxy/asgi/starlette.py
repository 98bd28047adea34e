"""Inside an endpoint of Starlette or FastAPI: a response that streams, and routes of one's own.

It alone loads Starlette, and FastAPI for :func:`api_router`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketState

from wsgiproxy.asgi.answers import error_of, relay, start_message, to_client
from wsgiproxy.asgi.app import ASGIProxyApp
from wsgiproxy.asgi.body import Message, Receive, Scope, Send
from wsgiproxy.asgi.broken import break_off
from wsgiproxy.asgi.gateway import end_exchange
from wsgiproxy.asgi.websocket import refuse_websocket
from wsgiproxy.errors import ClientGone, ProxyError, WebSocketNotCarried
from wsgiproxy.observe.accesslog import Record, asked_in_scope
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.sansio.environ.scope_environ import mounted
from wsgiproxy.sansio.message import ResponseHead
from wsgiproxy.sansio.methods import REGISTERED
from wsgiproxy.transport.base import AsyncReply

if TYPE_CHECKING:
    from fastapi import APIRouter

    from wsgiproxy.asgi.spawning import ASGISpawningApplication

__all__ = ["ProxyResponse", "api_router", "proxied", "proxied_websocket"]


class _Blocks:
    """The body of an answer, as an iterator that ends the exchange.

    It does so with its last block, when it is closed, and when nothing refers to it any more: an
    endpoint may drop a response, and may hand its body to another one.
    """

    _is_ended = True

    def __init__(self, reply: AsyncReply | None, status: int, record: Record) -> None:
        self._reply, self._status, self._record = reply, status, record
        self._whole = b"" if reply is None else reply.whole
        #: Whether it streams, and nothing of it has arrived yet.
        self.is_awaited = reply is not None and self._whole is None and not reply.received
        self._loop = asyncio.get_running_loop()
        self._is_ended = False

    def __aiter__(self) -> _Blocks:
        return self

    async def __anext__(self) -> bytes:
        """The next block, as it arrives.

        :raises ProxyError: the answer breaks off, or was given up before.
        """
        if self._whole:
            block, self._whole = self._whole, b""
            return block
        if self._is_ended and not self._is_complete:
            raise ClientGone("the answer was given up before its end")
        try:
            if self._is_ended or self._reply is None or self._whole is not None:
                raise StopAsyncIteration
            return await anext(self._reply)
        except StopAsyncIteration:
            self.close()
            raise
        except ProxyError as error:
            if not isinstance(error, ClientGone):
                log_failure(error, self._record)
            self.close(error)
            raise

    @property
    def _is_complete(self) -> bool:
        return self._reply is None or self._reply.complete

    def close(self, error: ProxyError | None = None) -> None:
        """Give up the rest, and write the record; more than once does no harm.

        :param error: why; None if all has been sent.
        """
        if not self._is_ended:
            self._is_ended = True
            if error is not None:
                self._record.fail(error)
            end_exchange(self._reply, self._status, self._record)

    def __del__(self) -> None:
        # The garbage collector may run in any thread.
        if not self._is_ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(end_exchange, self._reply, self._status, self._record)


class ProxyResponse(StreamingResponse):
    """The answer of an upstream: a response of Starlette, which streams.

    Its ``headers``, ``body_iterator`` and ``background`` may be changed before it is returned.
    Where the body is changed, its length and what was computed from it have to go:
    ``del response.headers["content-length"]``.
    """

    def __init__(self, head: ResponseHead, reply: AsyncReply | None, record: Record) -> None:
        self._blocks = _Blocks(reply, head.status, record)
        super().__init__(self._blocks, head.status)
        self.raw_headers = start_message(head.status, head.headers)["headers"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        :raises Exception: the answer breaks off; the server then breaks the connection.
        """
        blocks = self._blocks
        start = {"type": "http.response.start", "status": self.status_code}
        sending = to_client(send)
        try:
            await sending({**start, "headers": self.raw_headers})
            body = _bytes(self.body_iterator, self.charset)
            await relay(body, sending, greets=blocks.is_awaited)
        except ClientGone as error:
            blocks.close(error)
        except Exception as error:  # what changes the body may raise anything
            await break_off(send, error)
        finally:
            blocks.close()
        if self.background is not None:
            await self.background()


async def _bytes(blocks: Any, charset: str) -> AsyncIterator[bytes]:
    async for block in blocks:
        yield block.encode(charset) if isinstance(block, str) else bytes(block)


async def proxied(
    request: Request, app: ASGIProxyApp | ASGISpawningApplication, path: str | None = None
) -> Response:
    """The answer of *app* to a request, from within an endpoint of one's own.

    The login, the limits and whatever else the endpoint needs come before it; the upstream learns
    where it is mounted, as if it were mounted there.

    :param request: the request of the endpoint, whose body may have been read by
        ``await request.body()``; or one with a changed scope:
        ``Request({**request.scope, "headers": headers}, request.receive)``.
    :param app: the proxy, or the process that is started when it is asked.
    :param path: the end of the request's path that goes upstream, such as the parameter of a
        route ``/tool/{path:path}``; what is before it is the mount. None for the whole path
        below the mount of the application itself.
    :returns: a :class:`ProxyResponse`, or an error page.
    :raises ValueError: the path of the request does not end with *path*.
    :raises RuntimeError: the body has been read by ``request.stream()`` or ``request.form()``,
        which keep nothing of it.
    :raises TypeError: *app* is neither an :class:`.ASGIProxyApp` nor an
        :class:`.ASGISpawningApplication`.
    """
    _check_app(app)
    scope, receive = mounted(request.scope, path), _receive_of(request)
    record = Record(scope, None, asked_in_scope)
    try:
        if isinstance(app, ASGIProxyApp):
            head, reply = await app.gateway.exchange(scope, receive, None, record)
        else:
            head, reply = await app.exchange(scope, receive, record)
    except ProxyError as error:
        return _page(app, error, scope, record)
    except BaseException:
        record.end(ClientGone.status)
        raise
    return ProxyResponse(head, reply, record)


def _page(
    app: ASGIProxyApp | ASGISpawningApplication, error: ProxyError, scope: Scope, record: Record
) -> Response:
    page = None
    if not isinstance(app, ASGIProxyApp):
        page = app.waiting_page(error, scope, record)
    page = page or error_of(error, scope, record)
    response = Response(page.body, page.status)
    response.raw_headers = start_message(page.status, page.headers)["headers"]
    return response


async def proxied_websocket(
    websocket: WebSocket,
    app: ASGIProxyApp | ASGISpawningApplication,
    path: str | None = None,
) -> None:
    """Carry a WebSocket to its end, from within an endpoint of one's own.

    :param websocket: that of the endpoint, which has not been accepted: the upstream decides.
    :param app: the proxy.
    :param path: as in :func:`proxied`.
    :raises ValueError: the path of the handshake does not end with *path*.
    :raises RuntimeError: it has been accepted or closed.
    :raises TypeError: *app* is neither an :class:`.ASGIProxyApp` nor an
        :class:`.ASGISpawningApplication`.
    """
    _check_app(app)
    if websocket.application_state is not WebSocketState.CONNECTING:
        raise RuntimeError(
            "the WebSocket has been accepted or closed; expected neither before"
            " proxied_websocket(), since the upstream decides"
        )
    receive = websocket._receive
    if websocket.client_state is not WebSocketState.CONNECTING:
        receive = _preceded({"type": "websocket.connect"}, receive)
    await app(mounted(websocket.scope, path), receive, websocket._send)


def _receive_of(request: Request) -> Receive:
    """What receives the body, also if the endpoint has read it."""
    body = getattr(request, "_body", None)  # kept by Request.body()
    if body is None:
        if request._stream_consumed:
            raise RuntimeError(
                "the body of the request has been read by stream() or form(), which keep nothing"
                " of it; expected `await request.body()` before them, or none of them"
            )
        return request.receive
    return _preceded({"type": "http.request", "body": body}, request.receive)


def _preceded(event: Message, receive: Receive) -> Receive:
    """What receives *event* first."""
    first = [event]

    async def receiving() -> Message:
        return first.pop() if first else await receive()

    return receiving


def _check_app(app: object) -> None:
    if isinstance(app, ASGIProxyApp):
        return
    # Here, since it loads all that starts processes.
    from wsgiproxy.asgi.spawning import ASGISpawningApplication

    if not isinstance(app, ASGISpawningApplication):
        raise TypeError(
            f"app={app!r}: expected a wsgiproxy.asgi.ASGIProxyApp, or an ASGISpawningApplication"
        )


def api_router(
    app: ASGIProxyApp | ASGISpawningApplication, prefix: str, **options: Any
) -> APIRouter:
    """A router of FastAPI with *app* at *prefix* and everything below it, for all methods.

    Those are the registered ones, also of WebDAV: FastAPI wants a list. WebSockets pass the same
    dependencies. One that takes a ``Request`` cannot judge them, and they are refused with 501; one
    that takes an ``HTTPConnection`` judges both.

    :param prefix: as in ``APIRouter``, such as ``/tool`` or ``/{tenant}/tool``.
    :param options: those of ``APIRouter``, such as ``dependencies=[Depends(login)]``.
    :raises TypeError: *app* is neither an :class:`.ASGIProxyApp` nor an
        :class:`.ASGISpawningApplication`.
    """
    _check_app(app)
    from fastapi import APIRouter

    router = APIRouter(prefix=prefix, **options)

    async def proxy(request: Request) -> Response:
        return await proxied(request, app, request.path_params.get("rest_of_path", ""))

    async def carry(websocket: WebSocket) -> None:
        rest = websocket.path_params.get("rest_of_path", "")
        await proxied_websocket(websocket, app, rest)

    for path in ("", "/{rest_of_path:path}"):
        router.add_api_route(
            path,
            proxy,
            methods=sorted(REGISTERED),
            include_in_schema=False,
            response_model=None,
        )
        router.add_api_websocket_route(path, carry)
        if _takes_request(router.routes[-1].dependant):  # type: ignore[attr-defined]
            del router.routes[-1]
            router.add_websocket_route(prefix + path, _refuse)  # which adds no prefix
    return router


def _takes_request(dependant: Any) -> bool:
    """Whether something that FastAPI calls wants a ``Request``, which a WebSocket has not."""
    if dependant.request_param_name:
        return True
    return any(_takes_request(each) for each in dependant.dependencies)


async def _refuse(websocket: WebSocket) -> None:
    error = WebSocketNotCarried(
        "a dependency of api_router() takes a Request, and cannot judge a WebSocket: expected"
        " starlette.requests.HTTPConnection, which is both"
    )
    await websocket.receive()
    record = Record(websocket.scope, None, asked_in_scope)
    await refuse_websocket(error, websocket.scope, websocket._send, record)
