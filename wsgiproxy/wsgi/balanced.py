"""Several upstreams under WSGI: one request, sent until one of them answers it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ClientGone, ProxyError
from wsgiproxy.transport.turn import LOWEST_RETRIED, Turn, close, reframed
from wsgiproxy.wsgi.client import ClientWatch

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.observe.accesslog import Record
    from wsgiproxy.sansio.message import Inbound, Request, ResponseHead
    from wsgiproxy.sansio.pipeline import Outgoing
    from wsgiproxy.transport import Reply
    from wsgiproxy.transport.upstreams import Upstream, Upstreams
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["exchange"]

# Seconds after which one that waits for room looks whether its client has left.
_SLICE = 0.5

#: What a policy makes of the request; and its body, read once, with the request as it is framed.
Made = Callable[[Any], "Outgoing"]
Framed = Callable[["Request"], "tuple[Iterator[bytes] | None, Request]"]
Sending = Callable[..., "tuple[ResponseHead, Reply | None]"]


def exchange(
    gateway: Gateway,
    upstreams: Upstreams,
    environ: WSGIEnvironment,
    inbound: Inbound,
    record: Record,
    made: Made,
    framed: Framed,
    wanted: str = "",
    *,
    is_counted: bool = False,
) -> tuple[ResponseHead, Reply | None]:
    """As :meth:`.Gateway.send`, to one of several upstreams.

    :param wanted: the address of the upstream that a hook has chosen.
    :param is_counted: as for :class:`.Turn`.
    """
    if not upstreams.is_settled and not upstreams.is_ready():
        upstreams.look_up()
    turn = Turn(upstreams, inbound, wanted, is_counted=is_counted)
    try:
        upstream = turn.choose() or _wait_for_room(turn, upstreams, environ)
        sending = partial(gateway.send, environ, record=record)
        return _answered(turn, upstream, sending, made, framed)
    except BaseException:
        turn.end()
        raise


def _answered(
    turn: Turn, upstream: Upstream, send: Sending, made: Made, framed: Framed
) -> tuple[ResponseHead, Reply | None]:
    """The first answer that is one for the client."""
    going = upstream.going(made)
    blocks, request = framed(going.request)
    body = None if blocks is None else turn.kept(blocks)
    while True:
        try:
            head, reply = send(going, request, body)
        except ProxyError as error:
            other = turn.choose() if turn.failed(error, body) else None
            if other is None:
                raise
        else:
            other = turn.after(head, body) if head.status >= LOWEST_RETRIED else None
            if other is None:
                return turn.answered(head, reply)
            close(reply)
        going = other.going(made)
        request = reframed(going.request, request)


def _wait_for_room(turn: Turn, upstreams: Upstreams, environ: WSGIEnvironment) -> Upstream:
    event = threading.Event()
    has_gone = ClientWatch(environ)
    limit = monotonic() + turn.begin_waiting()
    room = upstreams.room
    place = room.queue(event.set)
    try:
        while (found := turn.choose()) is None:
            room.let_one_in(behind=place)
            while not event.wait(min(_SLICE, max(limit - monotonic(), 0))):
                if monotonic() >= limit:
                    raise turn.no_room()
                if has_gone():
                    raise ClientGone("the client left while it waited for room")
            event.clear()
            room.listen(place)
        return found
    finally:
        room.unqueue(place)
