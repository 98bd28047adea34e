"""One request among several upstreams, from the first that is chosen to the end of its answer."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import (
    ConnectFailed,
    ConnectTimeout,
    ProxyError,
    TooManyRequests,
)
from wsgiproxy.sansio.balance import Outcome
from wsgiproxy.sansio.clients import client_key
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.fields.retry_after import retry_after
from wsgiproxy.sansio.message import BLOCK, Inbound, Request, ResponseHead
from wsgiproxy.sansio.methods import IDEMPOTENT
from wsgiproxy.transport.counted import CountedReply
from wsgiproxy.transport.rewindable import Rewindable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsgiproxy.sansio.balance import Member
    from wsgiproxy.transport.upstreams import Upstream, Upstreams

__all__ = ["LOWEST_RETRIED", "Turn", "close", "reframed"]

#: The lowest status after which another upstream may be asked, as the setting has it.
LOWEST_RETRIED = 400

# Bytes of a body that are kept where a request may be sent again after a failure, or where it is
# read before anything is sent.
_KEPT = LARGEST_BODY
# Upstreams that do not even refuse a connection, after which no other one is asked: each of them
# takes seconds, and where so many are silent it is the network.
_PATIENCE = 3
_GATEWAY_ERRORS = frozenset([502, 503, 504])
_REFUSALS = frozenset([503, 529])
_TOO_MANY = 429
_GOOD = Outcome.GOOD


def close(reply: Any) -> None:
    """Give up the rest of an answer, if it has one."""
    if reply is not None:
        reply.close()


def reframed(request: Request, before: Request) -> Request:
    """A request for another upstream, with the framing of the one that was sent before."""
    return request._replace(content_length=before.content_length, chunked=before.chunked)


class Turn:
    """One request: which upstream gets it, and whether another one does after that.

    :param upstreams: those of the proxy.
    :param inbound: the request of the client.
    :param wanted: the address of the upstream that a hook has chosen; empty for none.
    :param is_counted: whether the client's request is counted already, as a hook sends it again
        while it holds the answer.
    """

    # What most requests never change: each has a turn, and so there is little to set.
    _has_entered = _is_counted = False
    _named = _value = ""
    _member: Member | None = None
    _patience = _PATIENCE
    _retried = 0
    _tried: Sequence[Member] = ()

    def __init__(
        self,
        upstreams: Upstreams,
        inbound: Inbound,
        wanted: str = "",
        *,
        is_counted: bool = False,
    ) -> None:
        self._upstreams = upstreams
        self._inbound = inbound
        if wanted:
            self._named = wanted
        if is_counted:
            self._is_counted = True
        if upstreams.wants is not None:
            self._value = self._wanted(upstreams.wants)

    def _wanted(self, wants: str) -> str:
        if wants == "client":
            return self._upstreams.client_of(self._inbound)
        if wants == "sticky":
            assert self._upstreams.sticky is not None
            return self._upstreams.sticky.key(self._inbound.headers, self._upstreams.members)
        return value_of(self._inbound.headers, wants)

    # -- choosing

    def choose(self) -> Upstream | None:
        """The upstream to ask; None if none has room for it now.

        :raises ProxyError: there is none.
        """
        upstreams = self._upstreams
        if upstreams.counts_clients and not self._is_counted and not self._has_entered:
            if not upstreams.room.enter(client_key(upstreams.client_of(self._inbound))):
                return None
            self._has_entered = True
        if self._named:
            found = None if self._tried else upstreams.named(self._named)
        else:
            found = upstreams.choose(self._value, self._tried)
        if found is None:
            return None
        self._member, upstream = found
        return upstream

    def begin_waiting(self) -> float:
        """Seconds for which a request may wait for room.

        :raises ProxyError: it may not, or no room will come.
        """
        settings = self._upstreams.settings
        if not settings["queue_size"]:
            raise self.no_room()
        return float(settings["queue_timeout"])

    def no_room(self) -> ProxyError:
        """What the client gets if there is no room."""
        upstreams = self._upstreams
        if upstreams.counts_clients and not self._is_counted and not self._has_entered:
            return TooManyRequests(f"client {upstreams.client_of(self._inbound)}")
        return upstreams.no_room(self._tried)

    def kept(self, body: Any) -> Rewindable:
        """The body, so that it can be sent again."""
        is_kept = self._upstreams.retries or self._upstreams.reads_whole_bodies
        return Rewindable(body, _KEPT if is_kept else BLOCK)

    # -- how it went

    def failed(self, error: ProxyError, body: Rewindable | None) -> bool:
        """Whether another upstream may be asked after a failure."""
        is_theirs = error.side == "upstream"
        member = self._member
        self._end(Outcome.FAILED if is_theirs else Outcome.NEUTRAL)
        if not is_theirs or member is None:
            return False
        self._patience -= isinstance(error, ConnectTimeout)
        if not self._patience:
            return False
        reached_it = not isinstance(error, (ConnectFailed, ConnectTimeout))  # and may be served
        is_repeatable = self._inbound.method in IDEMPOTENT
        if reached_it and not (is_repeatable and self._may_retry()):
            return False
        return self._again(member, body)

    def after(self, head: ResponseHead, body: Rewindable | None) -> Upstream | None:
        """The upstream that is asked because of what this one has answered; None for none."""
        member = self._member
        if head.status not in self._upstreams.retry_statuses or member is None:
            return None
        seconds = retry_after(head.headers, time.time())
        if seconds:
            self._upstreams.rest(member, seconds)
        # Others, such as 500 or 504, may come after the request has had its effect.
        has_refused = head.status < 500 or head.status in _REFUSALS
        if not has_refused and self._inbound.method not in IDEMPOTENT:
            return None
        if not self._may_retry() or not self._again(member, body):
            return None
        other = self.choose()
        if other is not None:
            self._upstreams.end(member, self._outcome(head.status))
        return other

    def _may_retry(self) -> bool:
        are_tried = len(self._tried) + 1 >= len(self._upstreams.members)
        upstreams = self._upstreams
        if self._retried >= upstreams.retries or are_tried or not upstreams.may_retry():
            return False
        self._retried += 1
        return True

    def _again(self, member: Member, body: Rewindable | None) -> bool:
        if body is not None and not body.rewind():
            return False
        self._tried = [*self._tried, member]
        return True

    @staticmethod
    def _outcome(status: int) -> Outcome:
        if status in _GATEWAY_ERRORS:
            return Outcome.FAILED
        return Outcome.NEUTRAL if status == _TOO_MANY else Outcome.GOOD

    def answered(self, head: ResponseHead, reply: Any) -> tuple[ResponseHead, Any]:
        """The answer for the client; the upstream is done with it when that is closed."""
        upstreams, member = self._upstreams, self._member
        assert member is not None
        if upstreams.sticky is not None:
            if self._value != member.key:
                try:
                    head = self._with_cookie(head, member)
                except BaseException:  # such as a file of keys that has gone
                    close(reply)
                    raise
        elif upstreams.gives_sessions:
            session = value_of(head.headers, upstreams.wants or "")
            if session:
                upstreams.remember(session, member)
        outcome = _GOOD if head.status < 429 else self._outcome(head.status)
        if reply is None or reply.whole is not None:
            self._member = None
            upstreams.end(member, outcome)
            if self._has_entered:
                self.end()
            return head, reply
        if member.fails and outcome is _GOOD:
            upstreams.answered(member)
        return head, CountedReply(reply, partial(self.end, outcome))

    def _with_cookie(self, head: ResponseHead, member: Member) -> ResponseHead:
        assert self._upstreams.sticky is not None
        public = self._upstreams.public(self._inbound)
        cookie = self._upstreams.sticky.cookie(
            member.key, secure=public.scheme == "https", path=public.prefix
        )
        return head._replace(headers=[*head.headers, ("Set-Cookie", cookie)])

    def _end(self, outcome: Outcome) -> None:
        member, self._member = self._member, None
        if member is not None:
            self._upstreams.end(member, outcome)

    def end(self, outcome: Outcome = Outcome.NEUTRAL) -> None:
        """It is over."""
        self._end(outcome)
        if self._has_entered:
            self._has_entered = False
            upstreams = self._upstreams
            upstreams.room.leave(client_key(upstreams.client_of(self._inbound)))
