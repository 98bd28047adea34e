"""What the reverse proxies for WSGI and ASGI have in common: one ``href``, and its settings."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.warn import warn_of_wildcards
from wsgiproxy.sansio.balance.policies import parse_policy
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.href import Base, parse_href
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.sansio.upstreams import Source, Targets, read_href
from wsgiproxy.settings import APP, BALANCE, TRANSPORT, resolve
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.signature import configured_signer
from wsgiproxy.transport.stickiness import Sticky
from wsgiproxy.transport.threads.transport import PooledTransport
from wsgiproxy.transport.upstreams import Upstreams
from wsgiproxy.worlds import check_transport

if TYPE_CHECKING:
    from wsgiproxy.sansio.balance import Member
    from wsgiproxy.sansio.pipeline import Policy

__all__ = ["Href", "ReverseProxy"]

#: What ``href`` takes: an address, several in one text or in a list, or a function.
Href = str | Iterable[str | tuple[str, int]] | Source

T = TypeVar("T")
G = TypeVar("G")
U = TypeVar("U")


class ReverseProxy(Hookable, Generic[T, G, U]):
    """One ``href``, which may be reassigned, and the gateway that leads there.

    A class of its own says how a transport (``_make_transport``) and a gateway (``_make_gateway``)
    are made in its world.

    :param options: all settings, those with None left out.
    :param transport: another transport than one of its own.
    :raises ConfigurationError: naming the setting, its value and what was expected.
    """

    transport: T
    #: What leads to the present ``href``.
    gateway: G

    def __init__(
        self,
        href: Href,
        options: Mapping[str, Any],
        transport: T | None,
        hooks: Iterable[Hook] = (),
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        values = resolve(PARTS[type(self)._part()], given)
        self._options = {row.name: values[row.name] for row in (*APP, *BALANCE)}
        self._signer = configured_signer(values)
        self._pseudonym = self._options["via"] or f"wsgiproxy-{secrets.token_hex(4)}"
        names = {row.name for row in TRANSPORT}
        theirs = {name: value for name, value in options.items() if name in names}
        if transport is not None and theirs:
            raise ConfigurationError(
                f"transport={transport!r}: expected no settings of a transport beside it,"
                f" but there is {', '.join(theirs)}"
            )
        if transport is not None:
            check_transport(transport, is_async=self._is_async)
        self._take_hooks(hooks)
        self._upgrades = self._make_upgrades(values)
        self._owns_transport = transport is None
        self.transport = self._make_transport(theirs) if transport is None else transport
        # Checks are sent from a thread, with the same limits and certificates.
        self._make_checker = partial(PooledTransport, **theirs)
        self._upstreams: Upstreams | None = None
        self._sticky = self._make_sticky()
        self.href = href
        warn_of_wildcards("trusted_proxies", values["trusted_proxies"])

    @classmethod
    def _part(cls) -> str:
        return next(each.__name__ for each in cls.__mro__ if each.__name__ in PARTS)

    def _make_transport(self, options: Mapping[str, Any]) -> T:
        raise NotImplementedError

    def _make_upgrades(self, settings: Mapping[str, Any]) -> U:
        """What serves requests for other protocols, whatever ``href`` is."""
        raise NotImplementedError

    def _make_gateway(self, policy: Policy, upstreams: Upstreams | None) -> G:
        raise NotImplementedError

    def _make_sticky(self) -> Sticky | None:
        """What knows the cookies of balance="sticky".

        :raises ConfigurationError: there is no key to make them with.
        """
        if self._options["balance"] != "sticky":
            return None
        if self._signer is None:
            raise ConfigurationError("balance='sticky': expected secret_file, for its cookies")
        return Sticky(self._signer.keys)

    def _make_upstreams(self, targets: Targets) -> Upstreams | None:
        """The upstreams; None where all there is to know is one address."""
        options = self._options
        wants_counts = ("check_path", "max_in_flight", "max_in_flight_per_client")
        if len(targets.addresses) == 1 and all(options[name] is None for name in wants_counts):
            parse_policy(options["balance"])
            return None
        names = () if self._sticky is None else (self._sticky.name,)
        options = {**options, "suppress_cookies": (*options["suppress_cookies"], *names)}

        def policy_for(base: Base) -> ReversePolicy:
            return ReversePolicy(base, options, self._pseudonym)

        return Upstreams(
            targets,
            policy_for,
            options,
            self._sticky,
            self._make_checker,
            reads_whole_bodies=self._signer is not None and self._signer.covers_body,
        )

    @property
    def href(self) -> Href:
        """The address of the upstream, or those of several, as it was given.

        Assigning another one moves the proxy there.
        """
        return self._href

    @href.setter
    def href(self, href: Href) -> None:
        targets = read_href(href)
        upstreams = self._make_upstreams(targets)
        if upstreams is not None:
            policy = upstreams.policy
        else:
            policy = ReversePolicy(targets.addresses[0].base, self._options, self._pseudonym)
        before, self._upstreams = self._upstreams, upstreams
        # One assignment: a request in another thread sees the old target or the new one.
        self.gateway = self._make_gateway(policy, upstreams)
        self._base = targets.base or parse_href("http://upstream")
        self._href = href
        if before is not None:
            before.close()

    @property
    def upstreams(self) -> tuple[Member, ...]:
        """What is known of each of several upstreams; empty where there is but one address."""
        return () if self._upstreams is None else self._upstreams.members

    @property
    def href_scheme(self) -> str:
        """``http`` or ``https``; this and the following are those of the first upstream."""
        return self._base.origin.scheme

    @property
    def href_netloc(self) -> str:
        """``host:port``, the port always given."""
        origin = self._base.origin
        return f"{bracketed(origin.host)}:{origin.port}"

    @property
    def href_path(self) -> str:
        """The base path, without a slash at its end."""
        return self._base.path

    @property
    def href_query(self) -> str:
        """The query that is sent before the client's."""
        return self._base.query

    href_fragment = ""

    def _use_hooks(self) -> None:
        self.href = self._href

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._href!r})"
