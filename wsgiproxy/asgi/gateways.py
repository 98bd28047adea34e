"""The gateways of a spawner for ASGI: connections of an event loop to a process, and WebSockets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.beside import BesideTasks
from wsgiproxy.asgi.gateway import ASGIGateway
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.transport.aio.transport import AsyncPooledTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wsgiproxy.asgi.awaited import Worker
    from wsgiproxy.asgi.websocket import WebSockets
    from wsgiproxy.hooks import Hook
    from wsgiproxy.spawn.instance import Instance
    from wsgiproxy.wsgi.gateway import Gateway

__all__ = ["ASGIGateways"]


class ASGIGateways(Gateways[ASGIGateway]):
    """The gateways that serve ASGI.

    :param settings: the settings of the application.
    :param worker: looks at the process at the other end of a connection.
    :param websockets: serves the WebSockets of all instances.
    """

    def __init__(self, settings: Mapping[str, Any], worker: Worker, websockets: WebSockets) -> None:
        super().__init__(settings)
        self._worker = worker
        self._websockets = websockets
        self._aio: AsyncPooledTransport | None = None
        # Hooks ask others than the process, whose transport checks that it is the process.
        self._fetcher = AsyncPooledTransport(**self._limits)
        #: What hooks run beside requests, which is over when the application is closed.
        self.beside = BesideTasks()
        self._gateway: ASGIGateway | None = None

    def use_hooks(self, hooks: tuple[Hook, ...]) -> None:
        """As :meth:`.Gateways.use_hooks`."""
        super().use_hooks(hooks)
        if self._gateway is not None:
            self._gateway.hooks = hooks

    def serving(self, probe: Gateway, instance: Instance) -> ASGIGateway:
        """One with the policy and the keys of *probe*, whose connections are closed."""
        super().close()  # a server may have but one thread, and serve one of them at a time
        transport = AsyncPooledTransport(
            connected=partial(self._check, instance.socket.check), **self._limits
        )
        self._aio = transport
        self._gateway = ASGIGateway(
            probe.policy,
            transport,
            max_body=probe.max_body,
            signer=probe.signer,
            websockets=self._websockets,
            hooks=self._hooks,
            fetcher=self._fetcher,
            beside=self.beside,
        )
        return self._gateway

    async def _check(self, check: Callable[[socket.socket], None], sock: socket.socket) -> None:
        await self._worker.run(partial(check, sock))

    def begin_end(self) -> None:
        """End the WebSockets, before the instance can cut them off."""
        self._websockets.close()

    def close(self) -> None:
        """Close the connections to an instance that has ended."""
        super().close()
        self._websockets.close()
        if self._aio is not None:
            self._aio.close_soon()
        self._fetcher.close_soon()
