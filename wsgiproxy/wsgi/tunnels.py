"""Tunnels on the sockets of clients, in servers that give them: their records, and their ends.

What the server writes when a tunnel is over reaches no client: the socket is shut down by then.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from wsgiproxy.errors import ClientGone, UpstreamLost, UpstreamTimeout
from wsgiproxy.transport.threads.tunnel import Tunnel, Watch
from wsgiproxy.transport.threads.tunnels import Tunnels
from wsgiproxy.wsgi.client import client_socket, unread

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.observe.accesslog import Record

__all__ = ["ClientTunnels"]

# Seconds for closed tunnels to end.
_LAST_WAIT = 2.0


class ClientTunnels:
    """The tunnels of one proxy.

    :param idle: seconds without a byte after which one is closed.
    :param limit: how many may be open; None for any number.
    """

    def __init__(self, idle: float, limit: int | None = None) -> None:
        self._idle = idle
        self._open = Tunnels(limit)

    def check(self) -> None:
        """See whether there is room for another one.

        :raises Unavailable: there is not.
        """
        self._open.check()

    @property
    def times_closed(self) -> int:
        """How often all were ended."""
        return self._open.times_closed

    def serve(
        self,
        environ: WSGIEnvironment,
        upstream: socket.socket,
        record: Record,
        status: int,
        *,
        head: bytes,
        answer: bytes = b"",
        since: int | None = None,
        watches: tuple[Watch, Watch] = (None, None),
    ) -> None:
        """Pass bytes between the client and *upstream* until both have ended.

        :param status: what the client gets, for the record.
        :param head: its bytes.
        :param answer: what the upstream has sent behind its own head.
        :param watches: as for :class:`.Tunnel`.
        :param since: ``times_closed`` when the upstream was connected to; it is None, or nothing
            passes if all were ended since then.
        :raises Unavailable: there is no room for another tunnel.
        """
        client = client_socket(environ)
        assert client is not None
        first = unread(environ, client)
        tunnel = Tunnel(client, upstream, first, answer, head=head, watches=watches)
        with self._open.opened(tunnel):
            try:
                if since is None or since == self._open.times_closed:
                    tunnel.run(self._idle)
                if tunnel.was_silent:
                    record.fail(
                        UpstreamTimeout(f"nothing has passed for tunnel_idle={self._idle:g} s")
                    )
            except OSError as error:
                record.fail((UpstreamLost if tunnel.upstream_broke else ClientGone)(str(error)))
            finally:
                record.end(status, tunnel.received)

    def close(self) -> None:
        """End all."""
        self._open.close(_LAST_WAIT)
