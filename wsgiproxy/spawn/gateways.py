"""The gateway to an instance: its policy, its keys, and verified connections."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.fields.forwarded import trust
from wsgiproxy.sansio.message import Inbound
from wsgiproxy.sansio.policy.spawned import SpawnPolicy
from wsgiproxy.settings import SPAWNED_TRANSPORT
from wsgiproxy.signature import configured_signer, declared_keys
from wsgiproxy.transport import PooledTransport
from wsgiproxy.wsgi.beside import BesideThreads
from wsgiproxy.wsgi.gateway import Gateway
from wsgiproxy.wsgi.upgrade import Upgrades

if TYPE_CHECKING:
    from wsgiproxy.hooks import Hook
    from wsgiproxy.settings.options import LimitOptions
    from wsgiproxy.spawn.instance import Instance

__all__ = ["Gateways", "WSGIGateways"]

G = TypeVar("G")


class Gateways(Generic[G]):
    """Makes a gateway for each instance, with connections of its own.

    Readiness is asked for in a thread, whatever edge serves; a class of its own says what serves
    (``serving``).

    :param settings: the settings of the application.
    :param upgrades: what requests in threads may go over to; by default nothing.
    :raises ConfigurationError: the settings contradict each other.
    """

    def __init__(self, settings: Mapping[str, Any], upgrades: Upgrades | None = None) -> None:
        if settings["sign"] and settings["secret_file"] is None:
            declared_keys(settings)  # each instance will have its own file
        else:
            configured_signer(settings)
        self._settings = settings
        self._trusts_ids = trust(settings["trusted_proxies"]) if settings["request_id"] else None
        self._hooks: tuple[Hook, ...] = ()
        self._upgrades = Upgrades() if upgrades is None else upgrades
        self._transport: PooledTransport | None = None
        self._pseudonym = settings["via"] or f"wsgiproxy-{secrets.token_hex(4)}"
        self._limits: LimitOptions = {  # type: ignore[assignment]  # resolved: all are there
            row.name: settings[row.name] for row in SPAWNED_TRANSPORT
        }

    def probe(self, instance: Instance) -> Gateway:
        """A gateway to *instance* for threads.

        Its connections are checked by the socket of that instance: a request may still be sent
        after its end, when its port may be that of a foreign process.
        """
        settings = self._settings
        self._transport = PooledTransport(connected=instance.socket.check, **self._limits)
        policy = SpawnPolicy(
            instance.socket.origin, settings, self._pseudonym, strips=settings["strip_script_name"]
        )
        # A file that was made for the instance never changes.
        watches = settings["secret_file"] is not None
        signing = {**settings, "secret_file": instance.secret_file}
        signer = configured_signer(signing, watches=watches)
        return Gateway(
            policy,
            self._transport,
            max_body=settings["max_body"],
            signer=signer,
            upgrades=self._upgrades,
        )

    def use_hooks(self, hooks: tuple[Hook, ...]) -> None:
        """Serve requests with these hooks, those of an instance that runs included."""
        self._hooks = hooks

    def identify(self, record: Record, read: Callable[[], Inbound]) -> None:
        """Give a request that reaches no gateway its id, where requests get one.

        :param read: gives the request; one that cannot be read has no id.
        """
        if self._trusts_ids is not None and not record.request_id:
            with suppress(ProxyError):
                record.identify(read(), self._trusts_ids)

    def serving(self, probe: Gateway, instance: Instance) -> G:
        """The gateway that serves requests, when *instance* is ready.

        :param probe: of :meth:`probe`.
        """
        raise NotImplementedError

    def begin_end(self) -> None:
        """Called before an instance hears that it has to end; it must not wait for anything."""

    def end_upgrades(self) -> None:
        """End the tunnels to an instance that is being stopped: they would keep it."""
        self._upgrades.close()

    def close(self) -> None:
        """Close the connections to an instance that has ended."""
        self.end_upgrades()
        if self._transport is not None:
            self._transport.close()


class WSGIGateways(Gateways[Gateway]):
    """The gateways that serve WSGI.

    :param settings: the settings of the application.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, Upgrades.configured(settings))
        # Hooks ask others than the process, whose transport checks that it is the process.
        self._fetcher = PooledTransport(**self._limits)
        #: What hooks run beside requests, which is over when the application is closed.
        self.beside = BesideThreads()
        self._gateway: Gateway | None = None

    def use_hooks(self, hooks: tuple[Hook, ...]) -> None:
        """As :meth:`Gateways.use_hooks`."""
        super().use_hooks(hooks)
        if self._gateway is not None:
            self._gateway.hooks = hooks

    def serving(self, probe: Gateway, instance: Instance) -> Gateway:
        """One with the connection that has asked for readiness; hooks have not seen that."""
        self._gateway = Gateway(
            probe.policy,
            probe.transport,
            max_body=probe.max_body,
            signer=probe.signer,
            upgrades=self._upgrades,
            hooks=self._hooks,
            fetcher=self._fetcher,
            beside=self.beside,
        )
        return self._gateway

    def close(self) -> None:
        """As :meth:`Gateways.close`, and those of hooks."""
        super().close()
        self._fetcher.close()
