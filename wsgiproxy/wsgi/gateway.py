"""The WSGI edge: environ in, ``start_response`` and an iterable out.

It decides nothing about headers; the rules are in :mod:`wsgiproxy.sansio`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

from wsgiproxy.errors import (
    BadRequest,
    ClientGone,
    ContentTooLarge,
    LoopDetected,
    ProxyError,
)
from wsgiproxy.hooks.hookable import Chained
from wsgiproxy.observe.accesslog import INSPECTED, Record
from wsgiproxy.observe.failures import log_failure
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.fields.max_forwards import is_final_recipient
from wsgiproxy.sansio.message import ALLOWED, BLOCK, Inbound, Origin, Request, ResponseHead
from wsgiproxy.sansio.pipeline import Outgoing, Policy, client_response, outgoing, whole_target
from wsgiproxy.sansio.websocket import PROTOCOL, SWITCHING
from wsgiproxy.transport import Call, PooledTransport, Timeouts, Transport, is_own_request
from wsgiproxy.transport.inspected import send_seen
from wsgiproxy.wsgi import balanced, hooked
from wsgiproxy.wsgi.beside import BesideThreads
from wsgiproxy.wsgi.client import ClientWatch, looks_at_blocks
from wsgiproxy.wsgi.errorpage import error_page
from wsgiproxy.wsgi.input import blocks_of, read
from wsgiproxy.wsgi.stream import Stream
from wsgiproxy.wsgi.upgrade import Upgrades

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from wsgiproxy.sansio.hooks import Hook
    from wsgiproxy.signature import Signer
    from wsgiproxy.transport import Reply
    from wsgiproxy.transport.base import SwitchedReply
    from wsgiproxy.transport.upstreams import Upstreams

__all__ = ["Gateway", "error_response"]

_log = logging.getLogger("wsgiproxy.error")


class Gateway(Chained):
    """A WSGI application that sends requests on as a policy decides.

    :param policy: the rules of one kind of proxy.
    :param transport: what sends; a :class:`~wsgiproxy.transport.PooledTransport` of its own
        if none is given.
    :param max_body: largest request body in bytes; None for no limit (413 beyond it).
    :param signer: puts the signature on what is sent (stage 4); None for none.
    :param upgrades: the protocols that requests may go over to; None for WebSocket.
    :param hooks: what changes requests and responses, the outermost first, checked.
    :param fetcher: what sends the requests of their own; *transport* if not given.
    :param beside: the threads of what they begin beside requests; some of its own if not given.
    :param upstreams: those among which one is chosen for each request; None for the one that the
        policy names.
    """

    def __init__(
        self,
        policy: Policy,
        transport: Transport | None = None,
        *,
        max_body: int | None = None,
        signer: Signer | None = None,
        upgrades: Upgrades | None = None,
        hooks: Sequence[Hook] = (),
        fetcher: Transport | None = None,
        beside: BesideThreads | None = None,
        upstreams: Upstreams | None = None,
    ) -> None:
        self.policy = policy
        self.upstreams = upstreams
        self.transport: Transport = transport or PooledTransport()
        self.max_body = max_body
        self.signer = signer
        self.hooks = hooks
        self._fetcher = fetcher
        self.beside = BesideThreads() if beside is None else beside
        self.upgrades = Upgrades((PROTOCOL,)) if upgrades is None else upgrades

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333). The environ is read and never changed."""
        record = Record(environ)
        try:
            head, reply = self.exchange(environ, record)
            if head.status == SWITCHING:
                switched = cast("SwitchedReply", reply)
                with closing(switched):
                    status = self.upgrades.pass_bytes(environ, head, switched, record)
        except ProxyError as error:
            return error_response(error, environ, start_response, record)
        except Exception as error:  # the last line: ours or the server's mistake
            _log.exception("unexpected failure before the answer", extra=record.logged)
            unexpected = ProxyError(f"unexpected {type(error).__name__}")
            return error_response(unexpected, environ, start_response, record)
        if head.status == SWITCHING:
            start_response(status, [])
            return []
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
        if (trusts := self.policy.trusts_ids) is not None:
            inbound = record.identify(inbound, trusts)
        if self.policy.is_known_by_port:
            _check_own(inbound)
        if inbound.method == "OPTIONS" and is_final_recipient(inbound):
            return ResponseHead(204, "No Content", [("Allow", ", ".join(ALLOWED))]), None
        if inbound.upgrade:
            inbound = self.upgrades.asked(environ, inbound)
        if self.links:
            return hooked.exchange(self, environ, inbound, record)
        if self.upstreams is not None:
            made, framed = partial(outgoing, inbound), partial(self.body, environ, inbound)
            return balanced.exchange(self, self.upstreams, environ, inbound, record, made, framed)
        going = outgoing(inbound, self.policy)
        body, request = self.body(environ, inbound, going.request)
        return self.send(environ, going, request, body, record)

    def send(
        self,
        environ: WSGIEnvironment,
        going: Outgoing,
        request: Request,
        body: Iterator[bytes] | None,
        record: Record,
    ) -> tuple[ResponseHead, Reply | None]:
        """Stage 4, the transport, and stages 5 to 7.

        :param going: what the policy has made of the client's request.
        :param request: the same request with its final framing.
        :param body: its blocks; None if it has none.
        :returns: as :meth:`exchange`.
        :raises ProxyError: there is no answer.
        """
        origin, _, context, facts = going
        record.origin, record.has_own_upstream = origin, self.policy.has_own_upstreams
        if self.signer is not None and facts is not None:
            body, request = self.signer.seal(environ, facts, origin.scheme, request, body)
        # Early hints are Links that no hook could change.
        hints = _early_hints(environ) if not self.links and "wsgi.early_hints" in environ else None
        limits = _timeouts(environ) if "webob.client.timeout" in environ else None
        seen = environ.get(INSPECTED)
        watch = seen and seen.attempt(origin, request, is_changed=bool(self.links))
        call = Call(limits, ClientWatch(environ), hints, watch)
        if watch is None:
            reply = self.transport.send(origin, request, body, call)
        else:
            reply = send_seen(self.transport, watch, origin, request, body, call)
        record.reused = reply.reused
        try:
            head, has_body = client_response(request, reply.head, self.policy, context)
        except BaseException:
            reply.close()
            raise
        if has_body:
            return head, reply
        reply.close()
        return head, None

    def fetch(
        self,
        environ: WSGIEnvironment,
        origin: Origin,
        request: Request,
        body: Iterator[bytes] | None,
    ) -> Reply:
        """Send a request of a hook's own, with the limits in time of the client's.

        :raises ProxyError: there is no answer.
        """
        limits = _timeouts(environ) if "webob.client.timeout" in environ else None
        transport, seen = self._fetcher or self.transport, environ.get(INSPECTED)
        watch = seen and seen.attempt(origin, request, is_own=True)
        call = Call(limits, ClientWatch(environ), watch=watch)
        if watch is None:
            return transport.send(origin, request, body, call)
        return send_seen(transport, watch, origin, request, body, call)

    def body(
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
