"""Several upstreams: which one gets a request, and what happens to a request that failed at one.

Which one is chosen is decided in :mod:`wsgiproxy.sansio.balance`; here is the lock around it.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.errors import Busy, Unavailable
from wsgiproxy.observe.watched import UPSTREAMS
from wsgiproxy.sansio.balance import Balancer, Budget, Health, Member, Outcome
from wsgiproxy.sansio.fields.forwarded import Public, direct, public, trust
from wsgiproxy.sansio.hooks import HookFailed
from wsgiproxy.sansio.href import Base, parse_href
from wsgiproxy.sansio.message import Inbound, Origin
from wsgiproxy.sansio.pipeline import Outgoing, Policy
from wsgiproxy.sansio.upstreams import Address, Targets, read_addresses
from wsgiproxy.transport.attendant import Attendant
from wsgiproxy.transport.room import Room
from wsgiproxy.transport.stickiness import Sticky
from wsgiproxy.transport.threads.transport import PooledTransport

if TYPE_CHECKING:
    from wsgiproxy.transport.base import Transport

__all__ = ["Upstream", "Upstreams"]

_GOOD = Outcome.GOOD
_log = logging.getLogger("wsgiproxy.error")


class Upstream(NamedTuple):
    """One of several upstreams, as a request is sent there.

    :param base: what its address says.
    :param policy: what makes the request for it.
    :param origin: where to connect, if that is not what the policy says: an address of its name.
    """

    base: Base
    policy: Policy
    origin: Origin | None = None

    def going(self, made: Callable[[Policy], Outgoing]) -> Outgoing:
        """The request for it.

        :param made: what a policy makes of a request.
        """
        found = made(self.policy)
        return found if self.origin is None else found._replace(origin=self.origin)


class Upstreams:
    """The upstreams of one proxy, for threads and event loops alike.

    :param targets: what ``href`` says.
    :param policy_for: makes the policy for one address.
    :param settings: the rows of :data:`wsgiproxy.settings.BALANCE`, and ``trusted_proxies``.
    :param sticky: knows the cookies of ``balance="sticky"``; None for another policy.
    :param make_transport: makes what the checks of ``check_path`` are sent with.
    :param reads_whole_bodies: bodies are read before anything is sent, as a signature covers them.
    :raises ConfigurationError: a policy that does not exist.
    """

    def __init__(
        self,
        targets: Targets,
        policy_for: Callable[[Base], Policy],
        settings: Mapping[str, Any],
        sticky: Sticky | None = None,
        make_transport: Callable[[], Transport] = PooledTransport,
        *,
        reads_whole_bodies: bool = False,
    ) -> None:
        self.targets, self.settings, self.sticky = targets, settings, sticky
        self.reads_whole_bodies = reads_whole_bodies
        self._policy_for = policy_for
        self._trusts = trust(settings["trusted_proxies"])
        self._lock = threading.Lock()
        self._upstreams: dict[str, Upstream] = {}
        self._balancer = self._make_balancer([("http://upstream", 1)])
        #: Whether the addresses are known.
        self.is_known = False
        self._given: Any = None
        self._budget = Budget()
        self.retries: int = settings["retries"]
        self.retry_statuses = frozenset(settings["retry_statuses"])
        #: Whether an upstream keeps the sessions that it has given.
        self.gives_sessions: bool = settings["balance"].startswith("session:")
        #: As :attr:`.Balancer.wants`.
        self.wants = self._balancer.wants
        #: How many requests clients have, and those that wait.
        self.room = Room(settings["max_in_flight_per_client"], settings["queue_size"])
        self.counts_clients = self.room.limit is not None
        #: What is the same for all of them, such as what is kept from hooks.
        self.policy = policy_for(targets.base or parse_href("http://upstream"))
        self._attendant = Attendant(self, make_transport)
        #: Whether there is nothing to do before a request.
        self.is_settled = bool(targets.addresses) and not self._attendant.is_needed
        if targets.addresses:
            self.use(targets.addresses)
        _all.add(self)
        UPSTREAMS.add(self)

    def _make_balancer(self, members: list[tuple[str, int]]) -> Balancer:
        settings = self.settings
        return Balancer(
            settings["balance"],
            members,
            health=Health(max_fails=settings["max_fails"]),
            max_in_flight=settings["max_in_flight"],
            random=Random(),  # processes begin with different ones
        )

    @property
    def name(self) -> str:
        """What gives the addresses, where they are not known beforehand."""
        lookup = self.targets.lookup
        return repr(self.targets.source) if lookup is None else f"dns:{lookup.name}"

    @property
    def members(self) -> tuple[Member, ...]:
        """What is known of each upstream: its address, state and requests in progress."""
        return self._balancer.members if self.is_known else ()

    def use(self, addresses: tuple[Address, ...], origins: Mapping[str, Origin] = {}) -> None:
        """Use these upstreams from now on; what is known of those that stay is kept.

        :param origins: where to connect for an address, if it is not what that says.
        """
        members = [(each.text, each.weight) for each in addresses]
        known = self._upstreams
        found = {
            text: known.get(text) or Upstream(base, self._policy_for(base), origins.get(text))
            for text, base, _ in addresses
        }
        with self._lock:
            self._upstreams = found
            if self.is_known:
                self._balancer.update(members)
            else:
                self._balancer = self._make_balancer(members)
                self.is_known = True

    def is_ready(self) -> bool:
        """Whether the addresses are known; else :meth:`look_up` is to be called, which waits.

        :raises Unavailable: a function gives none.
        """
        self._attendant.attend()
        if self.targets.source is not None:
            self._ask(self.targets.source)
        return self.is_known

    def _ask(self, source: Callable[[], Any]) -> None:
        try:
            given = list(source())
            if given != self._given or not self.is_known:
                self.use(read_addresses(given))
                self._given = given
        except Exception as error:
            raise Unavailable(f"{self.name} gives no upstreams: {error!r}") from error

    def look_up(self) -> None:
        """Wait for the addresses of a name that has not been looked up yet.

        :raises Unavailable: there are none.
        """
        if self.targets.lookup is not None and not self.is_known:
            self._attendant.look_up_now()
        if not self.is_known:
            raise Unavailable(f"no upstream of {self.name} is known")

    def places(self) -> list[tuple[Member, Upstream]]:
        """Each upstream, and what is known of it."""
        with self._lock:
            return [(each, self._upstreams[each.key]) for each in self.members]

    def close(self) -> None:
        """End the checks; the next request begins them again."""
        self._attendant.close()

    # -- one request

    def public(self, inbound: Inbound) -> Public:
        """The address under which the client knows us."""
        if self._trusts(inbound.peer):
            return public(inbound, self._trusts)
        peer, port = inbound.peer, inbound.server_port
        return direct(inbound.scheme, inbound.host, inbound.script_name, peer, port)

    def may_retry(self) -> bool:
        """Whether there may be one more retry, as a share of all requests."""
        with self._lock:
            return self._budget.take(monotonic())

    def client_of(self, inbound: Inbound) -> str:
        """The client's address, as a trusted peer states it."""
        if self._trusts(inbound.peer):
            return public(inbound, self._trusts).client
        return inbound.peer

    def choose(self, value: str, tried: Sequence[Member]) -> tuple[Member, Upstream] | None:
        """The upstream for a request, counted in; None if there is none, or no room."""
        now = monotonic()
        with self._lock:
            if self.retries and not tried:
                self._budget.request(now)
            member = self._balancer.choose(now, value, tried)
            return None if member is None else (member, self._upstreams[member.key])

    def named(self, text: str) -> tuple[Member, Upstream] | None:
        """The upstream with an address, counted in; None if it has no room.

        :raises HookFailed: there is none.
        """
        limit = self.settings["max_in_flight"]
        with self._lock:
            for member in self._balancer.members:
                if member.key == text:
                    if limit is not None and member.in_flight >= limit:
                        return None
                    self._balancer.begin(member)
                    return member, self._upstreams[text]
            known = ", ".join(self._upstreams)
        raise HookFailed(f"request.upstream={text!r}: expected one of {known}")

    def end(self, member: Member, outcome: Outcome) -> None:
        """A request at an upstream is over."""
        if outcome is _GOOD and not member.fails:  # nothing to learn, and so no time to tell
            with self._lock:
                self._balancer.end(member, 0.0, outcome)
        else:
            self._learn(member, outcome)
        if self.room.waiting:
            self.room.let_one_in()

    def _learn(self, member: Member, outcome: Outcome) -> None:
        with self._lock:
            before = member.stage
            self._balancer.end(member, monotonic(), outcome)
            after = member.stage
        if before is not after:
            self._note(member)

    def answered(self, member: Member) -> None:
        """A good answer has begun, though its body may follow for hours."""
        with self._lock:
            self._balancer.answered(member, monotonic())
        self._note(member)

    def rest(self, member: Member, seconds: float) -> None:
        """Leave an upstream out for as long as it wants."""
        with self._lock:
            self._balancer.rest(member, monotonic() + seconds)

    def checked(self, member: Member, is_good: bool) -> None:
        """The result of an active check."""
        with self._lock:
            before = member.state
            self._balancer.checked(member, monotonic(), is_good)
        if before != member.state:
            self._note(member)

    def remember(self, session: str, member: Member) -> None:
        """An upstream has given a session, and keeps it."""
        with self._lock:
            self._balancer.remember(session, member)

    def no_room(self, tried: Sequence[Member]) -> Unavailable:
        """What a request gets for which there is none."""
        if not self.members:
            return Unavailable("no upstream is known")
        with self._lock:
            after = self._balancer.retry_after(monotonic())
        error = Busy(f"no upstream has room for a request ({len(tried)} of them failed with it)")
        if after is not None:
            error.retry_after = max(1, min(int(after) + 1, 3600))
        return error

    @staticmethod
    def _note(member: Member) -> None:
        level = logging.INFO if member.state == "up" else logging.WARNING
        _log.log(level, "upstream %s is %s", member.key, member.state)

    def forget(self) -> None:
        """The requests in progress are those of the parent process."""
        self._lock = threading.Lock()
        self._attendant.forget()
        self.room.forget()
        self._balancer.forget()


_all: weakref.WeakSet[Upstreams] = weakref.WeakSet()


def _forget_all() -> None:
    for upstreams in list(_all):
        upstreams.forget()


os.register_at_fork(after_in_child=_forget_all)
