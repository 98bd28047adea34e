"""The messages of an answer: its beginning, its body as it arrives, and the pages of errors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.body import Message, Scope, Send
from wsgiproxy.errors import ClientGone, ProxyError, UpstreamLost
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.sansio.errorpage import Page, error_page, load_pages
from wsgiproxy.sansio.fields.trailers import announced_trailers, trailers_for_client
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, ResponseHead

if TYPE_CHECKING:
    from wsgiproxy.transport.base import AsyncReply

__all__ = [
    "TRAILERS",
    "early_hints",
    "error_of",
    "page_of",
    "relay",
    "send_error",
    "send_error_page",
    "send_streaming",
    "send_whole",
    "start_message",
    "to_client",
]

#: The extension of servers that send trailers, and the type of its message.
TRAILERS = "http.response.trailers"

load_pages()


@remembered
def _wire_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def start_message(status: int, headers: Headers) -> dict[str, Any]:
    """The message that begins an answer."""
    name_of = _wire_name
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name_of(name), value.encode("latin-1")) for name, value in headers],
    }


def to_client(send: Send) -> Send:
    """*send*, of which a failure means that the client has left (ASGI 2.4).

    What reads the body may fail in the same way, and must not be taken for that.
    """

    async def sending(message: Message) -> None:
        try:
            await send(message)
        except OSError as error:
            raise ClientGone(f"sending the answer: {error}") from error

    return sending


async def relay(blocks: AsyncIterator[bytes], send: Send, *, greets: bool) -> None:
    """Send a body, as it arrives.

    :param greets: nothing of it has arrived yet.
    """
    if greets:
        # Servers that send the head with the first block, whatever it holds, send it now: the
        # upstream may say nothing more for minutes.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
    async for block in blocks:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def error_of(error: ProxyError, scope: Scope, record: Record) -> Page:
    """An error page in the form that the client accepts; nothing about the inside."""
    log_failure(error, record)
    record.fail(error)
    page = page_of(error, scope)
    record.end(error.status, sent=len(page.body))
    return page


def page_of(error: ProxyError, scope: Scope) -> Page:
    """The same without a word in the log."""
    # Servers say names in lower case, middlewares say them as they like.
    found = [value for name, value in scope["headers"] if name.lower() == b"accept"]
    accept = b", ".join(found).decode("latin-1") if found else None
    return error_page(error, scope["method"], accept)


async def send_error(error: ProxyError, scope: Scope, send: Send, record: Record) -> None:
    """Send an error page, unless the client has left."""
    page = error_of(error, scope, record)
    await send_whole(page.status, page.headers, page.body, send)


async def send_error_page(error: ProxyError, scope: Scope, send: Send) -> int:
    """The same without a word in the log; the bytes of its body."""
    page = page_of(error, scope)
    await send_whole(page.status, page.headers, page.body, send)
    return len(page.body)


async def send_whole(status: int, headers: Headers, body: bytes, send: Send) -> None:
    """A whole answer of our own, if the client is still there."""
    with contextlib.suppress(OSError):
        await send(start_message(status, headers))
        await send({"type": "http.response.body", "body": body})


def early_hints(scope: Scope, send: Send) -> Callable[[ResponseHead], Awaitable[None]] | None:
    """What passes 103 on to the client (RFC 8297), where the server offers that."""
    if "http.response.early_hint" not in (scope.get("extensions") or ()):
        return None

    async def on_interim(head: ResponseHead) -> None:
        links = [value.encode("latin-1") for name, value in head.headers if name.lower() == "link"]
        if head.status == 103 and links:
            try:
                await send({"type": "http.response.early_hint", "links": links})
            except OSError as error:
                raise ClientGone(f"sending early hints: {error}") from error

    return on_interim


async def send_streaming(
    head: ResponseHead, reply: AsyncReply, send: Send, *, has_trailers: bool
) -> None:
    """The answer as it arrives, with the fields behind its body, if it has announced any.

    :param has_trailers: the server can send them.
    """
    announced = announced_trailers(reply.head.headers) if has_trailers else None
    send = to_client(send)
    start = start_message(head.status, head.headers)
    await send({**start, "trailers": True} if announced else start)
    if reply.whole is None:
        try:
            await relay(reply, send, greets=not reply.received)
        except OSError as error:  # of a transport that is not ours
            raise UpstreamLost(f"reading the body: {error}") from error
    else:
        await send({"type": "http.response.body", "body": reply.whole})
    if announced:
        found = trailers_for_client(reply.trailers, announced)
        await send({"type": TRAILERS, "headers": start_message(0, found)["headers"]})
