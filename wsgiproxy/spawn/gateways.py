"""The gateway to an instance: its policy, its keys, and verified connections."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.sansio.policy.spawned import SpawnPolicy
from wsgiproxy.settings import SPAWNED_TRANSPORT
from wsgiproxy.signature import configured_signer, declared_keys
from wsgiproxy.transport import PooledTransport
from wsgiproxy.wsgi.gateway import Gateway

if TYPE_CHECKING:
    from wsgiproxy.spawn.instance import Instance

__all__ = ["Gateways"]


class Gateways:
    """Makes a gateway for each instance, with connections of its own.

    :param settings: the settings of the application.
    :raises ConfigurationError: they contradict each other.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if settings["sign"] and settings["secret_file"] is None:
            declared_keys(settings)  # each instance will have its own file
        else:
            configured_signer(settings)
        self._settings = settings
        self._transport: PooledTransport | None = None
        self._pseudonym = settings["via"] or f"wsgiproxy-{secrets.token_hex(4)}"

    def to(self, instance: Instance) -> Gateway:
        """A gateway to *instance*.

        Its connections are checked by the socket of that instance: a request may still be sent
        after its end, when its port may be that of a foreign process.
        """
        settings = self._settings
        timeouts = {row.name: settings[row.name] for row in SPAWNED_TRANSPORT}
        self._transport = PooledTransport(connected=instance.socket.check, **timeouts)
        policy = SpawnPolicy(
            instance.socket.origin, settings, self._pseudonym, strips=settings["strip_script_name"]
        )
        # A file that was made for the instance never changes.
        watches = settings["secret_file"] is not None
        signing = {**settings, "secret_file": instance.secret_file}
        signer = configured_signer(signing, watches=watches)
        return Gateway(policy, self._transport, max_body=settings["max_body"], signer=signer)

    def close(self) -> None:
        """Close the connections to an instance that has ended."""
        if self._transport is not None:
            self._transport.close()
