"""waitress, in this process, with the socket, the signals and the end of the command."""

from __future__ import annotations

import select
import signal
import socket
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from wsgiproxy.cli.listen import open_listener
from wsgiproxy.cli.servers import Service, waitress_settings
from wsgiproxy.cli.signals import handle_signals, is_ending

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["run_waitress"]

# Seconds between two looks at connections that the end waits for.
_LOOK = 0.05
# Connections that are accepted at the end, if as many wait.
_QUEUE = 1024
# Seconds that threads have to notice that there is no more work.
_THREADS = 0.5


class _Task(WSGITask):  # type: ignore[misc]  # it has no types
    """One request: its answer is the last one of its connection if the end has begun."""

    def build_response_header(self) -> bytes:
        if is_ending():
            # As if the client had asked for it: that counts for HTTP/1.0, too.
            self.request.headers["CONNECTION"] = "close"
        head: bytes = super().build_response_header()
        return head


class _Channel(HTTPChannel):  # type: ignore[misc]  # it has no types
    task_class = _Task

    def is_busy(self, since: float, silence: float) -> bool:
        """Whether an answer, or a request that has begun, is still to be waited for.

        :param since: when the end began (:func:`time.time`).
        :param silence: seconds, from then on, behind which a silent client sends no more.
        """
        request = self.request
        if self.requests or self.total_outbufs_len or self.close_when_flushed:
            return True
        if request is not None and request.headers_finished:
            return True  # its body is on the way
        return time.time() - max(self.last_activity, since) < silence or _is_readable(self.socket)


def _is_readable(sock: socket.socket) -> bool:
    readable = select.poll()  # select() ends at 1024 descriptors
    readable.register(sock, select.POLLIN)
    return bool(readable.poll(0))


def run_waitress(service: Service[WSGIApplication]) -> int:
    """Serve with waitress until SIGINT or SIGTERM; requests in progress are finished."""
    ended: list[int] = []  # by which signal
    servers: list[Any] = []

    def end(number: int, frame: FrameType | None) -> None:
        if not servers:
            raise SystemExit(0)
        ended.append(number)
        servers[0].pull_trigger()

    with service.inherited or open_listener(service.listen) as listener:
        handle_signals(end, lambda: None, lambda: service.drain if servers else 0.0)
        settings = waitress_settings(service.threads, service.max_body)
        server = create_server(service.make(), sockets=[listener], **settings)
        server.channel_class = _Channel
        servers.append(server)
        service.started(listener.getsockname()[1])
        while not ended:
            _turn(server, server.adj.asyncore_loop_timeout)
        silence = 0.0 if ended[0] == signal.SIGINT else service.silence
        if service.inherited is None:
            _accept_all(server)
        _leave(server, service.grace, silence)
    return 0


def _turn(server: Any, seconds: float) -> None:
    wasyncore.loop(timeout=seconds, use_poll=True, map=server._map, count=1)


def _accept_all(server: Any) -> None:
    """Accept what waits in the queue of the listening socket: closing that would reset it."""
    for _ in range(_QUEUE):
        if not _is_readable(server.socket):
            break
        server.handle_accept()


def _leave(server: Any, grace: float, silence: float) -> None:
    """Accept no more, and finish what was begun within *grace* seconds.

    :param silence: as for :meth:`_Channel.is_busy`.
    """
    begin, since = time.monotonic(), time.time()
    wasyncore.dispatcher.close(server)
    while (left := begin + grace - time.monotonic()) > 0 and server.active_channels:
        for channel in server.active_channels.values():
            if not channel.is_busy(since, silence):
                channel.will_close = True
        _turn(server, min(_LOOK, left))
    server.task_dispatcher.shutdown(timeout=_THREADS)
    server.trigger.close()
