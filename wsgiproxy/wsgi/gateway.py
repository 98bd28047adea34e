"""The WSGI edge: environ in, ``start_response`` and an iterable out.

It decides nothing about headers; the rules are in :mod:`wsgiproxy.sansio`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from wsgiproxy.errors import (
    BadRequest,
    ClientGone,
    ContentTooLarge,
    LoopDetected,
    ProxyError,
    WebSocketNotCarried,
)
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.fields.max_forwards import is_final_recipient
from wsgiproxy.sansio.message import ALLOWED, BLOCK, Inbound, Request, ResponseHead
from wsgiproxy.sansio.pipeline import Policy, client_response, outgoing, whole_target
from wsgiproxy.transport import Call, PooledTransport, Timeouts, Transport, is_own_request
from wsgiproxy.wsgi.client import ClientWatch, looks_at_blocks
from wsgiproxy.wsgi.errorpage import error_page
from wsgiproxy.wsgi.input import blocks_of, read

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.signature import Signer
    from wsgiproxy.transport import Reply

__all__ = ["Gateway", "Stream", "error_response", "call_counted", "log_failure"]

_log = logging.getLogger("wsgiproxy.error")
_NO_WEBSOCKET = (
    "A WebSocket handshake was refused (501), and so are all others: WebSocket is not carried yet."
    " A page that needs one may stay empty"
)


class Gateway:
    """A WSGI application that sends requests on as a policy decides.

    :param policy: the rules of one kind of proxy.
    :param transport: what sends; a :class:`~wsgiproxy.transport.PooledTransport` of its own
        if none is given.
    :param max_body: largest request body in bytes; None for no limit (413 beyond it).
    :param signer: puts the signature on what is sent (stage 4); None for none.
    """

    def __init__(
        self,
        policy: Policy,
        transport: Transport | None = None,
        *,
        max_body: int | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.policy = policy
        self.transport: Transport = transport or PooledTransport()
        self.max_body = max_body
        self.signer = signer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333). The environ is read and never changed."""
        record = Record(environ)
        try:
            head, reply = self.exchange(environ, record)
        except ProxyError as error:
            return error_response(error, environ, start_response, record)
        except Exception as error:  # the last line: ours or the server's mistake
            _log.exception("unexpected failure before the answer")
            unexpected = ProxyError(f"unexpected {type(error).__name__}")
            return error_response(unexpected, environ, start_response, record)
        status, whole = f"{head.status} {head.reason}", b"" if reply is None else reply.whole
        if reply is None or whole is not None:
            try:
                start_response(status, head.headers)
            finally:
                record.end(head.status, len(whole or b""))
            return [whole] if whole else []
        stream = Stream(reply, head.status, record, pulses=looks_at_blocks(environ))
        try:
            start_response(status, head.headers)
        except BaseException:
            stream.close()
            raise
        return stream

    def exchange(
        self, environ: WSGIEnvironment, record: Record
    ) -> tuple[ResponseHead, Reply | None]:
        """Send one request, and begin its answer.

        :param record: what is noted of it.
        :returns: the head for the client; and the reply whose body follows, which is to be
            closed, or None if there is no body.
        :raises ProxyError: there is no answer.
        """
        inbound = environs.read(environ)
        if self.policy.is_known_by_port:
            _check_own(inbound)
        if inbound.method == "OPTIONS" and is_final_recipient(inbound):
            return ResponseHead(204, "No Content", [("Allow", ", ".join(ALLOWED))]), None
        origin, request, context, facts = outgoing(inbound, self.policy)
        record.origin = origin
        body, request = self._body(environ, inbound, request)
        if self.signer is not None and facts is not None:
            body, request = self.signer.seal(environ, facts, origin.scheme, request, body)
        reply = self.transport.send(
            origin,
            request,
            body,
            call=Call(
                _timeouts(environ) if "webob.client.timeout" in environ else None,
                ClientWatch(environ),
                _early_hints(environ) if "wsgi.early_hints" in environ else None,
            ),
        )
        record.reused = reply.reused
        try:
            head, has_body = client_response(inbound.method, reply.head, self.policy, context)
        except BaseException:
            reply.close()
            raise
        if not has_body:
            reply.close()
            return head, None
        return head, reply

    def _body(
        self, environ: WSGIEnvironment, inbound: Inbound, request: Request
    ) -> tuple[Iterator[bytes] | None, Request]:
        """The blocks of the request body, and the request with its final framing."""
        length, limit = inbound.content_length, self.max_body
        if inbound.chunked:
            blocks = _blocks_to_end(environ, limit)
            if "HTTP_TRANSFER_ENCODING" in environ:
                return blocks, request
            # HTTP/2 does not say beforehand whether there is a body.
            first = next(blocks, b"")
            if not first:
                return None, request._replace(chunked=False)
            return _chain(first, blocks), request
        if not length:
            return None, request
        if limit is not None and length > limit:
            raise ContentTooLarge(f"a body of {length} bytes, over max_body={limit}")
        return blocks_of(environ, length), request


class Stream:
    """An answer that is still arriving: an iterable without a length (PEP 3333).

    A class, since the ``finally`` of a generator that was never started does not run.

    :param pulses: give empty blocks while the upstream is silent.
    """

    __slots__ = ("_at_end", "_greeting", "_record", "_reply", "_status")

    def __init__(self, reply: Reply, status: int, record: Record, *, pulses: bool = False) -> None:
        if pulses:
            reply.pulse()
        self._at_end: Callable[[], None] | None = None
        self._reply = reply
        self._status = status
        self._record = record
        # Servers that send the head with the first block, whatever it holds, send it now:
        # the upstream may say nothing more for minutes.
        self._greeting = not reply.received

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        """The next block.

        :raises ProxyError: the answer breaks off; the server then breaks the connection.
        """
        if self._greeting:
            self._greeting = False
            return b""
        try:
            return next(self._reply)
        except ProxyError as error:
            log_failure(error, self._record)
            self._record.fail(error)
            raise

    def at_end(self, callback: Callable[[], None]) -> None:
        """Have *callback* called once, when the stream is closed, after earlier ones."""
        before = self._at_end
        self._at_end = callback if before is None else partial(_both, before, callback)

    def __del__(self) -> None:
        # Dropped by an application that should have closed it: its caller counts those in use.
        if self._at_end is not None:
            self.close()

    def close(self) -> None:
        """Called by the server at the end, whatever the end was."""
        callback, self._at_end = self._at_end, None
        if callback is not None:
            callback()
        self._reply.close()
        if not self._reply.complete:
            self._record.fail(ClientGone("the server closed the answer before its end"))
        self._record.end(self._status, self._reply.received)


def _both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def call_counted(
    application: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    leave: Callable[[], None],
) -> Iterable[bytes]:
    """The answer of *application*, for a caller that counts the exchanges in flight.

    :param leave: called once, at the end of the answer or without one.
    """
    try:
        blocks = application(environ, start_response)
    except BaseException:
        leave()
        raise
    if isinstance(blocks, Stream):
        blocks.at_end(leave)
    else:
        leave()
    return blocks


def _timeouts(environ: WSGIEnvironment) -> Timeouts:
    """WebOb's clients set one number of seconds for all of it."""
    limit = environ["webob.client.timeout"]
    if not isinstance(limit, (int, float)) or not 0 < limit < 1e9:
        raise BadRequest(f"webob.client.timeout={limit!r}: expected seconds above 0")
    return Timeouts(limit, limit, limit)


def _blocks_to_end(environ: WSGIEnvironment, limit: int | None) -> Iterator[bytes]:
    """What ``wsgi.input`` gives until it ends, as ``wsgi.input_terminated`` promises."""
    total = 0
    while block := read(environ, BLOCK):
        total += len(block)
        if limit is not None and total > limit:
            raise ContentTooLarge(f"a body of more than max_body={limit} bytes")
        yield block


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _check_own(inbound: Inbound) -> None:
    """An exact proxy directly under its own server would call itself for ever."""
    port = inbound.peer_port
    # What the server says of its own socket needs no grammar.
    if not port.isascii() or not port.isdigit():
        return
    if is_own_request(inbound.peer, int(port), inbound.method, whole_target(inbound)):
        raise LoopDetected("the request is one that this very process has sent")


def _early_hints(environ: WSGIEnvironment) -> Callable[[ResponseHead], None]:
    """gunicorn passes 103 on to the client (RFC 8297)."""
    send = environ["wsgi.early_hints"]

    def on_interim(head: ResponseHead) -> None:
        links = [field for field in head.headers if field[0].lower() == "link"]
        if head.status == 103 and links:
            try:
                send(links)
            except OSError as error:
                raise ClientGone(f"sending early hints: {error}") from error

    return on_interim


def error_response(
    error: ProxyError, environ: WSGIEnvironment, start_response: StartResponse, record: Record
) -> Iterable[bytes]:
    """An error page in the form that the client accepts; nothing about the inside."""
    log_failure(error, record)
    record.fail(error)
    body: Iterable[bytes] = ()
    try:
        body = error_page(error)(environ, start_response)
    finally:
        record.end(error.status, sent=sum(map(len, body)) if isinstance(body, list) else 0)
    return body


def log_failure(error: ProxyError, record: Record) -> None:
    """Say what was asked for, of which upstream, and why it has failed."""
    if isinstance(error, WebSocketNotCarried):  # once, since pages try again and again
        warn_once(_NO_WEBSOCKET)
    level = logging.INFO if error.side == "client" else logging.WARNING
    # The access log says it too: a handler may want one line for each exchange.
    line, reason = record.failure(error)
    _log.log(level, "%s%s", line, reason, extra={"exchange_failed": reason})
