"""The way to a run: its policy, its keys, and connections that are really to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from socket import socket as Connection
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.exactproxy import Gateway
from wsgiproxy.sansio.reverse import SpawnPolicy
from wsgiproxy.settings import SPAWNED_TRANSPORT
from wsgiproxy.signature import configured_signer, declared_keys
from wsgiproxy.transport import PooledTransport

if TYPE_CHECKING:
    from wsgiproxy.spawn.run import Run
    from wsgiproxy.spawn.sockets import Socket

__all__ = ["Gateways"]


class Gateways:
    """Makes a gateway for each run; the connections are pooled, and one run's at a time.

    :param settled: the settings of the application.
    :raises ConfigurationError: they contradict each other.
    """

    def __init__(self, settled: Mapping[str, Any]) -> None:
        declared = declared_keys(settled)
        if not settled["sign"] and any(declared.values()):
            raise ConfigurationError(
                "sign=False: expected no keys to carry beside it; nobody could believe them"
            )
        self._settled = settled
        self._socket: Socket | None = None
        names = [row.name for row in SPAWNED_TRANSPORT]
        self._transport = PooledTransport(
            connected=self._check, **{name: settled[name] for name in names}
        )
        self._pseudonym = settled["via"] or f"wsgiproxy-{secrets.token_hex(4)}"

    def to(self, run: Run) -> Gateway:
        """A gateway to *run*."""
        settled = self._settled
        self._socket = run.socket
        policy = SpawnPolicy(
            run.socket.origin, settled, self._pseudonym, strips=settled["strip_script_name"]
        )
        signer = configured_signer({**settled, "secret_file": run.secret_file})
        return Gateway(policy, self._transport, max_body=settled["max_body"], signer=signer)

    def close(self) -> None:
        """Close the connections to a run that is over."""
        self._transport.close()

    def _check(self, connection: Connection) -> None:
        assert self._socket is not None
        self._socket.check(connection)
