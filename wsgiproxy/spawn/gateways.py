"""The way to a run: its policy, its keys, and connections that are really to it."""

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
    """Makes a gateway for each run, with connections of its own.

    :param settled: the settings of the application.
    :raises ConfigurationError: they contradict each other.
    """

    def __init__(self, settled: Mapping[str, Any]) -> None:
        if settled["sign"] and settled["secret_file"] is None:
            declared_keys(settled)  # each run will have its own file
        else:
            configured_signer(settled)
        self._settled = settled
        self._transport: PooledTransport | None = None
        self._pseudonym = settled["via"] or f"wsgiproxy-{secrets.token_hex(4)}"

    def to(self, run: Instance) -> Gateway:
        """A gateway to *run*.

        A request that was admitted to an earlier run, and is only now sent, is checked by the
        socket of that run, whose port may be anybody's by now.
        """
        settled = self._settled
        names = [row.name for row in SPAWNED_TRANSPORT]
        transport = PooledTransport(
            connected=run.socket.check, **{name: settled[name] for name in names}
        )
        self._transport = transport
        policy = SpawnPolicy(
            run.socket.origin, settled, self._pseudonym, strips=settled["strip_script_name"]
        )
        # A file of our own goes with the run, and nobody else changes it.
        watches = settled["secret_file"] is not None
        signer = configured_signer({**settled, "secret_file": run.secret_file}, watches=watches)
        return Gateway(policy, transport, max_body=settled["max_body"], signer=signer)

    def close(self) -> None:
        """Close the connections to a run that is over."""
        if self._transport is not None:
            self._transport.close()
