"""A request that goes over to another protocol: a tunnel on the client's socket (RFC 9110, 7.8).

Bytes pass both ways, and nothing is known of what they mean: the two ends have agreed on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import WebSocketNotCarried
from wsgiproxy.observe.accesslog import INSPECTED
from wsgiproxy.observe.inspector.frames import Frames
from wsgiproxy.observe.inspector.harmless import harmless
from wsgiproxy.sansio.message import Inbound, ResponseHead
from wsgiproxy.sansio.websocket import PROTOCOL, switched_head, switches_to
from wsgiproxy.transport.base import SwitchedReply
from wsgiproxy.wsgi.client import client_socket
from wsgiproxy.wsgi.tunnels import ClientTunnels

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.observe.accesslog import Record
    from wsgiproxy.transport.threads.tunnel import Watch

__all__ = ["Upgrades"]

# Seconds, where there is no option for it.
_IDLE = 600.0


class Upgrades:
    """What a proxy goes over to with its clients.

    :param allowed: names of protocols, in lower case.
    :param tunnels: those of the proxy.
    """

    def __init__(self, allowed: Collection[str] = (), tunnels: ClientTunnels | None = None) -> None:
        self._allowed = allowed
        self._tunnels = tunnels or ClientTunnels(_IDLE)

    @classmethod
    def configured(cls, settings: Mapping[str, Any]) -> Upgrades:
        """As the rows UPGRADE and TUNNEL say."""
        tunnels = ClientTunnels(settings["tunnel_idle"], settings["max_websockets"])
        return cls(settings["upgrade"], tunnels)

    def asked(self, environ: WSGIEnvironment, inbound: Inbound) -> Inbound:
        """The request with the one protocol that it may go over to, if any.

        :raises WebSocketNotCarried: it asks for WebSocket, which cannot be had here.
        :raises Unavailable: too many are open.
        """
        protocol = switches_to(inbound, self._allowed)
        if protocol and client_socket(environ) is None:
            if protocol == PROTOCOL:
                raise WebSocketNotCarried("the server gives no socket for a WebSocket")
            protocol = ""
        if protocol:
            self._tunnels.check()
        return inbound._replace(upgrade=(protocol,) if protocol else ())

    def pass_bytes(
        self,
        environ: WSGIEnvironment,
        head: ResponseHead,
        reply: SwitchedReply,
        record: Record,
    ) -> str:
        """Serve a request that has gone over to another protocol, up to its end.

        :param head: of the answer 101, for the client.
        :param reply: that answer, whose connection is taken.
        :returns: the status for ``start_response``. It reaches no client, and is in the log of
            the server.
        :raises Unavailable: too many are open by now.
        """
        upstream, received = reply.detach()
        with upstream:
            answer = switched_head(reply.head, head.headers)
            self._tunnels.serve(
                environ,
                upstream,
                record,
                head.status,
                head=answer,
                answer=received,
                watches=_watches(environ, head, reply.head) or (None, None),
            )
        # Ours has no such log, and sends no interim response (RFC 9110, 15.2) as a final one.
        return "200 OK" if "wsgiproxy.socket" in environ else f"{head.status} {head.reason}"

    def close(self) -> None:
        """End all tunnels."""
        self._tunnels.close()


@harmless
def _watches(
    environ: WSGIEnvironment, head: ResponseHead, switched: ResponseHead
) -> tuple[Watch, Watch]:
    """What is told of the blocks of both sides, where exchanges are looked at."""
    if INSPECTED not in environ:
        return None, None
    exchange = environ[INSPECTED]
    exchange.begin_answer(f"{head.status} {head.reason}", head.headers)
    frames = Frames(exchange, environ.get("HTTP_UPGRADE", "").lower(), switched.headers)
    return frames.from_client, frames.from_upstream
