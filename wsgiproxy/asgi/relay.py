"""One WebSocket, from the message that accepts it to the end of both connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.client_events import LEFT, ClientEvents
from wsgiproxy.asgi.last_words import LAST_WAIT, delivered
from wsgiproxy.asgi.message_hooks import checked, closing, is_larger
from wsgiproxy.errors import ClientGone, ProxyError, UpstreamLost
from wsgiproxy.sansio.websocket import close_code, close_reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from wsgiproxy.asgi.body import Receive, Send
    from wsgiproxy.asgi.frames import UpstreamEnd
    from wsgiproxy.asgi.message_hooks import Hook, Message

__all__ = ["Relay"]

_log = logging.getLogger("wsgiproxy.error")

# Codes of the end (RFC 6455, 7.4.1, and IANA's registry).
_NORMAL, _GOING_AWAY, _LOST, _TOO_BIG, _FAILED, _RESTART = 1000, 1001, 1006, 1009, 1011, 1012
# Seconds for a client that reads slowly to take what came before the end; its upstream is free.
_SLOW_WAIT = 10.0
# Messages of a hook after which all others have their turn: neither end need ever wait for room.
_TURN = 64


class Relay:
    """Messages both ways, until one end closes; the other one is then closed for the same reason.

    :param receive: of the client, whose WebSocket is accepted.
    :param send: of the client.
    :param upstream: the other end.
    :param max_message: bytes.
    :param ping_interval: seconds between two pings to the upstream; 0 for none.
    :param lifetime: seconds after which both are closed; None for no limit.
    :param from_client: changes the messages of the client.
    :param from_upstream: changes those of the upstream.
    :ivar error: why it ended, if not in order.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        upstream: UpstreamEnd,
        *,
        max_message: int,
        ping_interval: float,
        lifetime: float | None,
        from_client: Hook | None,
        from_upstream: Hook | None,
    ) -> None:
        self._receive = receive
        self._send = send
        self._upstream = upstream
        self._max_message = max_message
        self._ping_interval = ping_interval
        self._lifetime = lifetime
        self._from_client = from_client
        self._from_upstream = from_upstream
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # For a hook, and while the upstream takes nothing.
        self._events = ClientEvents(receive, self._client_left)
        # Done when the client has left, or we end it ourselves.
        self._over: asyncio.Future[None] = self._loop.create_future()
        # Done when the client has left, or may not be waited for.
        self._gone: asyncio.Future[None] = self._loop.create_future()
        # Tells the client the end.
        self._telling: asyncio.Task[None] | None = None
        # The code and the reason with which the client has closed.
        self._client_close: tuple[int, str] | None = None
        # What both ends are told when we end it ourselves.
        self._ending: tuple[int, str] | None = None
        self.received = 0
        self.error: ProxyError | None = None

    async def run(self) -> None:
        """Pass messages until the end."""
        loop = self._loop
        tasks = [loop.create_task(self._up()), loop.create_task(self._down())]
        if self._ping_interval:
            self._timer = loop.call_later(self._ping_interval, self._ping)
        life = None
        if self._lifetime is not None:
            life = loop.call_later(self._lifetime, self._end, _RESTART)
        try:
            await self._passed(*tasks)
            await self._close()
        finally:
            for timer in (self._timer, life):
                if timer is not None:
                    timer.cancel()
            self._upstream.abort()
            left = [*tasks, *filter(None, [self._telling]), *self._events.reading()]
            for task in left:
                task.cancel()
            # A hook may take its time to be cancelled, and is then left to itself.
            await asyncio.wait(left, timeout=LAST_WAIT)

    async def _passed(self, up: asyncio.Task[None], down: asyncio.Task[None]) -> None:
        """Wait until one end has closed, and for what is still under way."""
        await asyncio.wait([down, self._over], return_when=asyncio.FIRST_COMPLETED)
        if self._over.done():
            if self._client_close is not None and self._client_close[0] != _LOST:
                await delivered(up, self._events, self._upstream, lambda: self._ending is not None)
            # The one from the client may wait for it, and for ever, unless it has left.
            last = [down] if self._ending is not None else [up, down]
            await asyncio.wait(last, timeout=LAST_WAIT)
            down.cancel()

    async def _close(self) -> None:
        """Close each end as the other one has closed, or as we have to."""
        upstream = self._upstream
        if self._client_close is not None:
            code, reason = self._client_close
        elif isinstance(self.error, ClientGone):
            code, reason = _LOST, ""
        else:
            code, reason = self._ending or upstream.closed or (_NORMAL, "")
            if code == _LOST:
                self._note(UpstreamLost("the upstream was lost in the middle of a WebSocket"))
            # A server for ASGI cannot close without a code.
            told = close_code(code, lost=_FAILED) or _NORMAL
            event = {"type": "websocket.close", "code": told, "reason": close_reason(reason)}
            self._telling = self._loop.create_task(self._tell_close(event))
        # 1012 is of a server that ends: to the upstream, its client goes away.
        code = _GOING_AWAY if code == _RESTART else code
        await upstream.close(close_code(code, lost=_GOING_AWAY), close_reason(reason))
        if self._telling is None:
            return
        if self._ending is not None:
            await asyncio.wait([self._telling], timeout=LAST_WAIT)
            return
        if self._from_client is not None:
            self._events.look()  # the hook may read no more
        waits = self._telling, self._gone
        await asyncio.wait(waits, timeout=_SLOW_WAIT, return_when=asyncio.FIRST_COMPLETED)

    async def _tell_close(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # it has left
            await self._send(event)

    # From the upstream

    async def _down(self) -> None:
        """Send messages to the client while there are any."""
        hook, number = self._from_upstream, 0
        try:
            if hook is None:
                await self._pass_down()
                return
            async with closing(hook(self._upstream_messages())) as messages:
                async for message in messages:
                    number += 1
                    await self._tell(checked(message))
                    if not number % _TURN:
                        await asyncio.sleep(0)
            if self._upstream.closed is None:
                self._end(_NORMAL)
        except _SendFailed as error:
            self._note(ClientGone(f"sending a message: {error.__cause__!r}"))
            self._end_waits()
        except Exception:
            self._failed(hook)

    async def _pass_down(self) -> None:
        """Send the messages of the upstream as they are; no coroutine but *send* for each."""
        upstream, send, over = self._upstream, self._send, self._over
        while not over.done():
            message = upstream.taken()
            if message is None:
                if upstream.closed is not None:
                    return
                await upstream.change()
                continue
            self.received += len(message)
            kind = "text" if isinstance(message, str) else "bytes"
            try:
                await send({"type": "websocket.send", kind: message})
            except Exception as error:  # OSError in ASGI 2.4; servers raise what they like
                raise _SendFailed from error

    async def _upstream_messages(self) -> AsyncIterator[Message]:
        upstream = self._upstream
        while not self._over.done():
            message = upstream.taken()
            if message is not None:
                self.received += len(message)
                yield message
            elif upstream.closed is not None:
                return
            else:
                await upstream.change()

    async def _tell(self, message: Message) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: message})
        except Exception as error:  # OSError in ASGI 2.4; servers raise what they like
            raise _SendFailed from error

    # From the client

    async def _up(self) -> None:
        """Send messages to the upstream until the client leaves."""
        hook, upstream, number = self._from_client, self._upstream, 0
        try:
            if hook is None:
                await self._pass_up()
                return
            self._events.look()
            async with closing(hook(self._client_messages())) as messages:
                async for message in messages:
                    number += 1
                    if upstream.send(checked(message)):
                        await upstream.room()
                    if not number % _TURN:
                        await asyncio.sleep(0)
                    if upstream.is_over:  # the hook might go on for ever
                        return
            if self._client_close is None:
                self._end(_NORMAL)
        except Exception:
            self._failed(hook)

    async def _pass_up(self) -> None:
        """Send the messages of the client as they are; no coroutine but *receive* for each."""
        receive, send, events = self._receive, self._upstream.send, self._events
        while self._ending is None:
            try:
                event = await (events.next() if events.is_ahead else receive())
            except Exception:  # servers raise what they like
                event = LEFT
            message = self._message(event)
            if message is None:
                return
            if send(message):
                events.look()  # it may leave meanwhile
                await self._upstream.room()

    async def _client_messages(self) -> AsyncIterator[Message]:
        events = self._events
        while self._ending is None:
            message = self._message(await events.next())
            if message is None:
                return
            events.look()  # a hook may take its time, and the client leave meanwhile
            yield message

    def _message(self, event: Mapping[str, Any]) -> Message | None:
        """The message of an event; None for the last one."""
        if event["type"] == "websocket.disconnect":
            self._client_left(event)
            return None
        text = event.get("text")
        # uvicorn gives a bytearray.
        message: Message = text if text is not None else bytes(event.get("bytes") or b"")
        # No character has more than four bytes.
        if 4 * len(message) > self._max_message and is_larger(message, self._max_message):
            self._end(_TOO_BIG)
            return None
        return message

    def _client_left(self, event: Mapping[str, Any]) -> None:
        self._client_close = event.get("code") or 1005, event.get("reason") or ""
        self._end_waits(is_gone=True)

    # By ourselves

    def end_soon(self) -> None:
        """Close both ends, since this one is needed elsewhere; any thread may call it."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._end, _RESTART)

    def _end(self, code: int, reason: str = "") -> None:
        """Close both ends."""
        self._ending = self._ending or (code, reason)
        self._end_waits(is_gone=True)

    def _end_waits(self, *, is_gone: bool = False) -> None:
        if is_gone and not self._gone.done():
            self._gone.set_result(None)
        if not self._over.done():
            self._over.set_result(None)
        self._upstream.wake()

    def _failed(self, hook: Hook | None) -> None:
        what = "passing WebSocket messages" if hook is None else "a hook of WebSocket messages"
        _log.exception("%s has failed", what)
        self._note(ProxyError(f"{what} has failed"))
        self._end(_FAILED)

    def _note(self, error: ProxyError) -> None:
        self.error = self.error or error

    def _ping(self) -> None:
        if self._upstream.ping():
            self._timer = self._loop.call_later(self._ping_interval, self._ping)


class _SendFailed(Exception):
    """The client has left, and so its server takes no message."""
