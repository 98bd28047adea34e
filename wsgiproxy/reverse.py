"""What the reverse proxies for WSGI and ASGI have in common: one ``href``, and its settings."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.hookable import Hookable
from wsgiproxy.observe.warn import warn_of_wildcards
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.settings import APP, TRANSPORT, resolve
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.signature import configured_signer
from wsgiproxy.worlds import check_transport

__all__ = ["ReverseProxy"]

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
        href: str,
        options: Mapping[str, Any],
        transport: T | None,
        hooks: Iterable[Hook] = (),
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        values = resolve(PARTS[type(self)._part()], given)
        self._options = {row.name: values[row.name] for row in APP}
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

    def _make_gateway(self, policy: ReversePolicy) -> G:
        raise NotImplementedError

    @property
    def href(self) -> str:
        """The address of the upstream; assigning another one moves the proxy there."""
        return self._href

    @href.setter
    def href(self, href: str) -> None:
        base = parse_href(href)
        policy = ReversePolicy(base, self._options, self._pseudonym)
        # One assignment: a request in another thread sees the old target or the new one.
        self.gateway = self._make_gateway(policy)
        self._base = base
        self._href = href

    @property
    def href_scheme(self) -> str:
        """``http`` or ``https``."""
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
