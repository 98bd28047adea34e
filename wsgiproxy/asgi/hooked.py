"""Hooks under ASGI: the steps of their chain, each awaited in the task of the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import closing
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi import balanced
from wsgiproxy.asgi.body import Body, Receive, Scope, Send, until_gone
from wsgiproxy.errors import ClientGone
from wsgiproxy.hooks import body as bodies
from wsgiproxy.hooks.body import Changes
from wsgiproxy.hooks.exchange import Changed, Exchange, Made, Reading, report, report_beside
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.steps import fetched, sent
from wsgiproxy.sansio import hooks
from wsgiproxy.sansio.message import Headers, Inbound, ResponseHead
from wsgiproxy.sansio.message import Request as Outgoing
from wsgiproxy.sansio.pipeline import Outgoing as Going
from wsgiproxy.sansio.pipeline import Policy, cleaned_lines, outgoing

if TYPE_CHECKING:
    from wsgiproxy.asgi.gateway import ASGIGateway
    from wsgiproxy.observe.accesslog import Record
    from wsgiproxy.transport.base import AsyncReply

__all__ = ["exchange"]

Handshake = Callable[[Outgoing], Outgoing]


async def exchange(
    gateway: ASGIGateway,
    scope: Scope,
    receive: Receive,
    send: Send | None,
    inbound: Inbound,
    record: Record,
    handshake: Handshake | None,
) -> tuple[ResponseHead, AsyncReply | None]:
    """As :meth:`.ASGIGateway.exchange`, with the hooks of the gateway around it."""
    steps = _Steps(gateway, scope, receive, send, inbound, record, handshake)
    try:
        lines = gateway.policy.visible(cleaned_lines(inbound.headers, gateway.policy))
        request = steps.keep(Request.served(inbound, lines, scope=scope))
        return steps.answer(await _driven(hooks.run(gateway.links, request, report), steps))
    finally:
        steps.close()


async def _driven(script: hooks.Script, steps: _Steps) -> Any:
    """What a script ends with; what it waits for is awaited."""
    result: Any = None
    error: Exception | None = None
    try:
        while True:
            step = script.send(result) if error is None else script.throw(error)
            result = error = None
            try:
                result = await steps.do(step)
            except Exception as failure:
                error = failure
    except StopIteration as end:
        return end.value
    finally:
        script.close()


class _Steps(Exchange):
    """What is done for the hooks of one request."""

    def __init__(
        self,
        gateway: ASGIGateway,
        scope: Scope,
        receive: Receive,
        send: Send | None,
        inbound: Inbound,
        record: Record,
        handshake: Handshake | None,
    ) -> None:
        super().__init__(inbound, commands=gateway.policy.passes_commands)
        self._gateway = gateway
        self._ends = scope, receive, send
        self._record = record
        self._handshake = handshake

    async def do(self, step: Any) -> Any:
        """The result of one step."""
        if isinstance(step, hooks.Send):
            return await self._send(step.request)
        if isinstance(step, hooks.Read):
            return await self._read(step.message, step.limit)
        if isinstance(step, hooks.Fetch):
            origin, request, content = fetched(self.keep(step.request))
            blocks = None if content is None else _each(content)
            reply = await self._gateway.fetch(self._ends[0], origin, request, blocks)
            return self.fetched(reply, request.method)
        if isinstance(step, hooks.Call):
            rest = step.rest

            async def forward(request: Request) -> Any:
                return await _driven(rest(request), self)

            return await step.hook(step.request, forward)
        if isinstance(step, hooks.Wait):
            return await self._wait(step.seconds)
        if isinstance(step, hooks.InThread):
            return await asyncio.to_thread(step.call)
        assert isinstance(step, hooks.Begin)
        beside = _Beside(self._gateway, {}, _none, None, self.inbound, self._record, None)
        return self._gateway.beside.begin(beside.run(step), step.name)

    async def _wait(self, seconds: float) -> None:
        receive = self._ends[1]
        if self.has_body or not seconds:  # what is received may belong to its body
            await asyncio.sleep(seconds)
            return
        watch = asyncio.ensure_future(until_gone(receive))
        try:
            done, _ = await asyncio.wait([watch], timeout=seconds)
        finally:
            watch.cancel()
        if done:
            raise ClientGone("the client left while a hook waited")

    async def _send(self, request: Request) -> Response:
        inbound, lines, content, changes, is_clean = sent(request, self.inbound)
        gateway = self._gateway

        def made(policy: Policy) -> Going:
            going = outgoing(inbound, policy, lines, is_clean=is_clean)
            if self._handshake is None:
                return going
            return going._replace(request=self._handshake(going.request))

        framed = partial(self._framed, request, content, changes)
        sending = partial(gateway.send, *self._ends, inbound, record=self._record)
        if gateway.upstreams is not None:
            head, reply = await balanced.exchange(
                gateway.upstreams,
                *(inbound, sending, made, framed, request.upstream),
                is_counted=self.holds_answer,
            )
        else:
            self.check_upstream(request)
            going = made(gateway.policy)
            blocks, final = await framed(going.request)
            head, reply = await sending(going, final, blocks)
        return self.received(head, reply, is_fit=True)

    async def _framed(
        self,
        request: Request,
        content: Iterator[bytes] | None,
        changes: Changes | None,
        final: Outgoing,
    ) -> tuple[AsyncIterator[bytes] | None, Outgoing]:
        """The body to send, which hooks may have set, and the request with its final framing."""
        if content is not None:
            return (_each(content) if final.content_length or final.chunked else None), final
        if not self.has_body:
            return None, final
        blocks, final = await self._own_body(final)
        if blocks is None:  # HTTP/2 may announce a body that is empty
            request.body = b""
            request.body.is_same = True
            return None, final
        return (blocks if changes is None else _through(blocks, changes)), final

    async def _own_body(self, request: Outgoing) -> tuple[Body | None, Outgoing]:
        self.begin_body()
        if not self.has_body:
            return None, request
        return await self._gateway.body(self._ends[1], self.inbound, request)

    async def _read(self, message: Any, limit: int) -> bytes:
        body: bodies.Body = message.body
        if message.kind == "response":
            self.check(message)
            if message.is_switch:
                raise hooks.HookFailed("reads a response 101, which has no body")
        reading = Reading(message, limit)
        blocks: AsyncIterator[bytes] | None = body.source
        if body.content is not None:
            blocks = _each(body.blocks())
        elif message.kind == "request":
            blocks, _ = await self._own_body(Outgoing(message.method, "", []))
        if blocks is not None:
            async for block in blocks:
                reading.add(block)
        return reading.end()

    def answer(self, response: Response) -> tuple[ResponseHead, AsyncReply | None]:
        """The head for the client and the reply, which is the caller's to close."""
        return self.answer_by(response, Made, _Changed)


class _Beside(_Steps):
    """What is done for a generator beside the request, in a task of its own."""

    async def run(self, begin: hooks.Begin) -> None:
        """Run it to its end."""
        try:
            with closing(self):
                await _driven(begin.script, self)
        except Exception as error:
            report_beside(error, begin.name)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _none() -> MutableMapping[str, Any]:
    """In place of ``receive``: nothing beside a request reads from its client."""
    raise AssertionError("beside a request")


async def _each(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def _through(blocks: AsyncIterator[bytes], changes: Changes) -> AsyncIterator[bytes]:
    """Blocks of a request's body, changed by hooks."""
    async for block in blocks:
        if changed := changes.block(block):
            yield changed
    if last := changes.end():
        yield last


class _Changed(Changed):
    """The same in an event loop."""

    #: No hook could change those of the upstream.
    trailers: Headers = []

    def __aiter__(self) -> _Changed:
        return self

    async def __anext__(self) -> bytes:
        """The next block, changed; never empty."""
        idle = self._idle
        while (changes := self._changes) is not None:
            if idle is not None:
                self._reply.pulse(idle.left(monotonic()))
            found: bytes | None = await anext(self._reply, None)
            if found is None:
                block = changes.end()
                self._changes = None
            elif idle is None:
                block = changes.block(found)
            else:
                block = idle.passed(found, changes, monotonic())
            if block:
                self.received += len(block)
                return block
        raise StopAsyncIteration

    def pulse(self, seconds: float) -> None:
        """It gives no empty blocks."""
