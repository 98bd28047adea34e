"""Hooks under WSGI: the steps of their chain, one after the other, in the thread of the request."""

from __future__ import annotations

import time
from _thread import TIMEOUT_MAX
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ClientGone
from wsgiproxy.hooks.body import Body, Changes
from wsgiproxy.hooks.exchange import Changed, Exchange, Made, Reading, report, report_beside
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.steps import fetched, sent
from wsgiproxy.sansio.hooks import (
    Begin,
    Call,
    Fetch,
    HookFailed,
    InThread,
    Read,
    Script,
    Send,
    Wait,
    run,
)
from wsgiproxy.sansio.message import Inbound, ResponseHead
from wsgiproxy.sansio.message import Request as Outgoing
from wsgiproxy.sansio.pipeline import cleaned_lines, outgoing
from wsgiproxy.sansio.target import decoded
from wsgiproxy.wsgi import balanced
from wsgiproxy.wsgi.client import ClientWatch, reset

if TYPE_CHECKING:
    from threading import Event

    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.observe.accesslog import Record
    from wsgiproxy.transport import Reply
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["exchange"]

# Seconds after which a wait looks whether the client has left, as the transport does.
_SLICE = 0.5


def exchange(
    gateway: Gateway, environ: WSGIEnvironment, inbound: Inbound, record: Record
) -> tuple[ResponseHead, Reply | None]:
    """As :meth:`.Gateway.exchange`, with the hooks of the gateway around it."""
    steps = _Steps(gateway, environ, inbound, record)
    try:
        lines = gateway.policy.visible(cleaned_lines(inbound.headers, gateway.policy))
        request = steps.keep(Request.served(inbound, lines, environ=environ))
        return steps.answer(_driven(run(gateway.links, request, report), steps))
    finally:
        steps.close()


def _driven(script: Script, steps: _Steps) -> Any:
    """What a script ends with; what it waits for is done."""
    result: Any = None
    error: Exception | None = None
    try:
        while True:
            step = script.send(result) if error is None else script.throw(error)
            result = error = None
            try:
                result = steps.do(step)
            except Exception as failure:
                error = failure
    except StopIteration as end:
        return end.value
    finally:
        script.close()


class _Steps(Exchange):
    """What is done for the hooks of one request."""

    def __init__(
        self, gateway: Gateway, environ: WSGIEnvironment, inbound: Inbound, record: Record
    ) -> None:
        super().__init__(inbound, commands=gateway.policy.passes_commands)
        self._gateway = gateway
        self._environ = environ
        self._record = record

    def do(self, step: Any) -> Any:
        """The result of one step."""
        if isinstance(step, Send):
            return self._send(step.request)
        if isinstance(step, Read):
            return self._read(step.message, step.limit)
        if isinstance(step, Fetch):
            origin, request, blocks = fetched(self.keep(step.request))
            reply = self._gateway.fetch(self._environ, origin, request, blocks)
            return self.fetched(reply, request.method)
        if isinstance(step, Call):
            return step.hook(step.request, lambda request: _driven(step.rest(request), self))
        if isinstance(step, Wait):
            return self._wait(step.seconds)
        if isinstance(step, InThread):
            return step.call()
        assert isinstance(step, Begin)
        beside = _Beside(self._gateway, self.inbound, self._record, step)
        return self._gateway.beside.begin(beside.run, step.name)

    def _wait(self, seconds: float) -> None:
        has_gone = ClientWatch(self._environ)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
            if has_gone():
                raise ClientGone("the client left while a hook waited")

    def _send(self, request: Request) -> Response:
        inbound, lines, content, changes, is_clean = sent(request, self.inbound)
        made = partial(outgoing, inbound, lines=lines, is_clean=is_clean)
        framed = partial(self._framed, content, changes)
        gateway, environ, record = self._gateway, self._environ, self._record
        if not is_clean and not request.has_own_target:
            # What is signed is what hooks have made of it.
            path, query = decoded(inbound.path), inbound.query[1:]
            environ = {**environ, "PATH_INFO": path, "QUERY_STRING": query}
        if gateway.upstreams is not None:
            head, reply = balanced.exchange(
                gateway,
                gateway.upstreams,
                *(environ, inbound, record, made, framed, request.upstream),
                is_counted=self.holds_answer,
            )
        else:
            self.check_upstream(request)
            going = made(gateway.policy)
            blocks, final = framed(going.request)
            head, reply = gateway.send(environ, going, final, blocks, record)
        return self.received(head, reply, is_fit=True)

    def _framed(
        self, content: Iterator[bytes] | None, changes: Changes | None, final: Outgoing
    ) -> tuple[Iterator[bytes] | None, Outgoing]:
        """The body to send, which hooks may have set, and the request with its final framing."""
        if content is not None:
            return (content if final.content_length or final.chunked else None), final
        if not self.has_body:
            return None, final
        blocks, final = self._own_body(final)
        if blocks is None:
            self._is_sent = False  # HTTP/2 may announce a body that is empty
        elif changes is not None:
            blocks = changes.through(blocks)
        return blocks, final

    def _own_body(self, request: Outgoing) -> tuple[Iterator[bytes] | None, Outgoing]:
        self.begin_body()
        return self._gateway.body(self._environ, self.inbound, request)

    def _read(self, message: Any, limit: int) -> bytes:
        body: Body = message.body
        if message.kind == "response":
            self.check(message)
            if message.is_switch:
                raise HookFailed("reads a response 101, which has no body")
        reading = Reading(message, limit)
        blocks: Iterable[bytes] | None = body.source
        if body.content is not None:
            blocks = body.blocks()
        elif message.kind == "request":
            blocks, _ = self._own_body(Outgoing(message.method, "", []))
        for block in blocks or ():
            reading.add(block)
        return reading.end()

    def answer(self, response: Response) -> tuple[ResponseHead, Reply | None]:
        """The head for the client and the reply, which is the caller's to close."""
        if response.is_reset:
            reset(self._environ)
        return self.answer_by(response, Made, _Changed)


class _Closed(BaseException):
    """The application is closed: no hook catches this."""


class _Beside(_Steps):
    """What is done for a generator beside the request, in a thread of its own.

    Without an environ: it has no client that could leave.
    """

    def __init__(self, gateway: Gateway, inbound: Inbound, record: Record, begin: Begin) -> None:
        super().__init__(gateway, {}, inbound, record)
        self._script, self._name = begin
        self._end: Event | None = None

    def run(self, end: Event) -> None:
        """Run it to its end.

        :param end: is set when the application is closed.
        """
        self._end = end
        try:
            with closing(self):
                _driven(self._script, self)
        except _Closed:
            pass
        except Exception as error:
            report_beside(error, self._name)

    def _wait(self, seconds: float) -> None:
        assert self._end is not None
        # As long as threads can wait at all, which is some centuries.
        if self._end.wait(min(seconds, TIMEOUT_MAX)):
            raise _Closed


class _Changed(Changed):
    """The same in a thread."""

    _pulses = False

    def __iter__(self) -> _Changed:
        return self

    def __next__(self) -> bytes:
        """The next block, changed; empty if nothing has become of it."""
        idle = self._idle
        while (changes := self._changes) is not None:
            if idle is not None:
                self._reply.pulse(idle.left(time.monotonic()))
            found: bytes | None = next(self._reply, None)
            if found is None:
                block = changes.end()
                self._changes = None
            elif idle is None:
                block = changes.block(found)
            else:
                block = idle.passed(found, changes, time.monotonic())
                if not found and not block and not self._pulses:
                    continue
            self.received += len(block)
            return block
        raise StopIteration

    def pulse(self, seconds: float = 0.5) -> None:
        """As of the upstream's reply."""
        self._pulses = True
        self._reply.pulse(seconds)
