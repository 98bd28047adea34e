"""What an edge does for the hooks of one request, as far as it is the same for both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from wsgiproxy.errors import BadResponse, ContentTooLarge
from wsgiproxy.hooks.body import Body, Changes
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.steps import head_of
from wsgiproxy.sansio.grammar import NO_CONTENT
from wsgiproxy.sansio.hooks import HookFailed
from wsgiproxy.sansio.message import Headers, Inbound, ResponseHead

__all__ = ["MOST_BESIDE", "Changed", "Exchange", "Made", "Reading", "report", "report_beside"]

#: How many generators run beside the requests of one application at most: each may wait for an
#: upstream that is silent, in a thread and with a connection of its own.
MOST_BESIDE = 32

_log = logging.getLogger("wsgiproxy.error")


def report(fault: HookFailed) -> None:
    """Log the failure of a hook that changes nothing for the client any more."""
    _log.warning("%s", fault)


def report_beside(error: Exception, hook: str) -> None:
    """Log what has ended a generator beside a request, which has gone on without it."""
    if not isinstance(error, HookFailed):
        error = HookFailed(f"beside the request: {type(error).__name__}: {error}", hook)
    report(error.named(hook))


class Exchange:
    """What the hooks of one request have received so far, and may still do.

    :param inbound: what the client has sent.
    :param commands: as of :func:`~wsgiproxy.sansio.fields.connection.for_client`.
    """

    def __init__(self, inbound: Inbound, *, commands: bool) -> None:
        self.inbound = inbound
        #: Whether the client sends a body, as far as its head tells.
        self.has_body = inbound.chunked or bool(inbound.content_length)
        self._commands = commands
        self._is_sent = False
        self._is_over = False
        self._replies: list[Any] = []
        # Whose bodies hooks may have set, and are closed in the end.
        self._messages: list[Any] = []

    def keep(self, message: Any) -> Any:
        """Note a message, whose body is closed in the end if a hook has set it; the message."""
        self._messages.append(message)
        return message

    @staticmethod
    def check_upstream(request: Request) -> None:
        """Check that no upstream is chosen where there is but one.

        :raises HookFailed: one is.
        """
        if request.upstream:
            raise HookFailed(
                f"request.upstream={request.upstream!r}: expected an href with several addresses"
            )

    def begin_body(self) -> None:
        """The client's own body is read now, which can be done once.

        :raises HookFailed: it has been.
        """
        if self._is_sent:
            raise HookFailed("the body of the request has gone; read it to send it twice")
        self._is_sent = self.has_body

    @property
    def holds_answer(self) -> bool:
        """Whether the body of an answer to the client's request is still to be read, and counts."""
        return any(getattr(reply, "is_open", False) for reply in self._replies)

    def received(self, head: ResponseHead, reply: Any, *, is_fit: bool = False) -> Response:
        """A response of the upstream, as hooks see it; see :meth:`.Response.received`."""
        if reply is not None:
            self._replies.append(reply)
            if self._is_over:  # of a thread or a task that a hook has left behind
                reply.close()
                raise HookFailed("asks for something after its end")
        response = Response.received(head, reply, is_fit=is_fit)
        self._messages.append(response)
        return response

    def fetched(self, reply: Any, method: str) -> Response:
        """The response to a request of a hook's own.

        :param method: of that request.
        """
        head = reply.head
        if method == "HEAD" or head.status in NO_CONTENT:  # RFC 9112, 6.3: there is no body
            reply.close()
            reply = None
        return self.received(head, reply)

    def check(self, response: Response) -> None:
        """Check that a response is one of this request.

        :raises HookFailed: it belongs to another one.
        """
        source = response.source
        if source is None:
            return
        for each in self._replies:
            if source is each:
                return
        raise HookFailed("a response that belongs to another request", response.holder)

    def head(self, response: Response) -> tuple[ResponseHead, bool]:
        """The head for the client, and whether a body follows; see :func:`head_of`.

        :raises HookFailed: its body cannot be sent.
        """
        self.check(response)
        body = response.seen_body
        if body is not None and body.source is not None and not response.is_switch:
            source = body.source
            body.spend()
            if source.whole is not None and body.changes:
                changes = Changes(body.changes, body.owner)
                data = changes.block(source.whole) + changes.end()
                if body.is_changed:
                    response.body = data
                body.changes = []
                # Its functions have been called behind the check of the head.
                if wrong := response.what_is_wrong():
                    raise HookFailed(wrong, body.owner)
        return head_of(response, self.inbound.method, commands=self._commands)

    def passed_on(self, reply: Any) -> Any:
        """The reply of a response that goes to the client, and is then the caller's to close."""
        if reply is not None:
            self._replies.remove(reply)
        return reply

    def answer_by(
        self, response: Response, made: Callable[[Body], Any], changed: Callable[..., Any]
    ) -> tuple[ResponseHead, Any]:
        """The head for the client and the reply, which is the caller's to close; None for none.

        :param made: makes the reply of a body that a hook has set.
        :param changed: makes the reply of an upstream's, with the changes of its body.
        """
        self.keep(response)
        head, has_body = self.head(response)
        if not has_body:
            return head, None
        body = response.seen_body
        if body is not None and body.content is not None:
            return head, self._ending(made(body))
        reply = self.passed_on(response.reply if body is None else body.source)
        if reply is None or response.is_switch:
            return head, reply
        changes = Changes(()) if body is None else Changes(body.changes, body.owner)
        if changes or self._left_open():
            reply = self._ending(changed(reply, changes))
        return head, reply

    def _left_open(self) -> list[Body]:
        """The bodies that hooks have set, and that can be closed."""
        bodies = [each.seen_body for each in self._messages if each.seen_body is not None]
        return [body for body in bodies if body.can_close]

    def _ending(self, reply: Any) -> Any:
        """The reply, at whose end all bodies are closed: until then a request may be sent."""
        if reply.whole is None:  # one that is there as a whole is not closed by the edges
            reply.bodies = self._left_open()
            self._messages.clear()
        return reply

    def close(self) -> None:
        """Close what hooks have received or set and not passed on."""
        self._is_over = True
        for reply in self._replies:
            reply.close()
        _close(self._left_open())


def _close(bodies: list[Body]) -> None:
    for body in bodies:
        fault = body.close()
        if fault is not None:
            report(fault)


class Reading:
    """The body of a message, as it is read for a hook.

    :param limit: bytes.
    """

    def __init__(self, message: Any, limit: int) -> None:
        self._message = message
        self._limit = limit
        self._blocks: list[bytes] = []
        self._total = 0
        self._body: Body = message.body
        if self._body.content is None:
            self._body.spend()  # what is read in part alone is not to be sent

    def add(self, block: bytes) -> None:
        """Take a block.

        :raises ContentTooLarge: the body of a request is larger than the limit.
        :raises BadResponse: that of a response is.
        """
        self._blocks.append(block)
        self._total += len(block)
        if self._total > self._limit:
            kind = BadResponse if self._message.kind == "response" else ContentTooLarge
            raise kind(f"a body of more than the {self._limit} bytes that a hook reads")

    def end(self) -> bytes:
        """The whole body, which is from now on that of the message."""
        data, body = b"".join(self._blocks), self._body
        if body.source is None and body.content is None and self._message.kind == "response":
            return data  # to HEAD, or a 304: its length is that of another
        is_changed = body.is_changed
        if body.changes and body.content is None:
            changes = Changes(body.changes, body.owner)
            data = changes.block(data) + changes.end()
        self._message.body = data
        self._message.body.is_same = not is_changed
        return data


class Changed:
    """The reply of an upstream whose blocks pass through functions of hooks.

    :param reply: of either edge.
    """

    def __init__(self, reply: Any, changes: Changes) -> None:
        self._reply = reply
        self._changes: Changes | None = changes
        self._idle = changes.idle(monotonic())
        self.head: ResponseHead = reply.head
        self.reused: bool = reply.reused
        self.whole: bytes | None = None
        #: Bytes for the client so far.
        self.received = 0
        #: What is closed with it.
        self.bodies: list[Body] = []

    @property
    def complete(self) -> bool:
        """Whether all has arrived, and gone through."""
        return self._reply.complete and self._changes is None

    def close(self) -> None:
        """Give up the rest."""
        self._reply.close()
        _close(self.bodies)


class Made:
    """The body of a response that a hook has made, as a reply for either edge.

    :param body: that was set.
    """

    trailers: Headers = []
    reused = False

    def __init__(self, body: Body) -> None:
        self.head = ResponseHead(200, "", [])
        self.whole = body.whole()
        self.received = 0 if self.whole is None else len(self.whole)
        self.complete = self.whole is not None
        #: What is closed with it, the body among them.
        self.bodies: list[Body] = []
        self._blocks = body.blocks()

    def __iter__(self) -> Made:
        return self

    def __aiter__(self) -> Made:
        return self

    def __next__(self) -> bytes:
        """The next block."""
        block = next(self._blocks, b"")
        if not block:
            self.complete = True
            raise StopIteration
        self.received += len(block)
        return block

    async def __anext__(self) -> bytes:
        """The same for an event loop, in which it must not wait for anything."""
        for block in self:
            return block
        raise StopAsyncIteration

    def pulse(self, seconds: float = 0.5) -> None:
        """It is never silent for long."""

    def close(self) -> None:
        """Give up the rest."""
        _close(self.bodies)
