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
from wsgiproxy.cli.servers import GRACE, SILENCE, Service, waitress_settings
from wsgiproxy.cli.signals import handle_signals, is_ending

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["run_waitress"]

# Seconds between two looks at connections that the end waits for.
_LOOK = 0.05
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

    def is_busy(self, since: float) -> bool:
        """Whether an answer, or a request that has begun, is still to be waited for.

        :param since: when the end began; a client that was silent for :data:`SILENCE` from then on
            sends nothing more.
        """
        request = self.request
        if self.requests or self.total_outbufs_len or self.close_when_flushed:
            return True
        if request is not None and request.headers_finished:
            return True  # its body is on the way
        return time.time() - max(self.last_activity, since) < SILENCE or _is_readable(self.socket)


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
        _leave(server, ended[0], is_shared=service.inherited is not None)
    return 0


def _turn(server: Any, seconds: float) -> None:
    wasyncore.loop(timeout=seconds, use_poll=True, map=server._map, count=1)


def _leave(server: Any, number: int, *, is_shared: bool) -> None:
    """Accept no more, finish what was begun within :data:`GRACE`, and close all.

    :param is_shared: whether another process has the socket, and gets what waits in its queue.
    """
    begin, since = time.monotonic(), time.time()
    if number == signal.SIGINT:
        since -= SILENCE
    while not is_shared and _is_readable(server.socket):
        server.handle_accept()  # closing the socket would reset it
    wasyncore.dispatcher.close(server)
    while (left := begin + GRACE - time.monotonic()) > 0:
        channels = list(server.active_channels.values())
        busy = [each for each in channels if each.is_busy(since)]
        for each in channels:
            each.will_close = each.will_close or each not in busy
        if not channels:
            break
        _turn(server, min(_LOOK, left))
    server.task_dispatcher.shutdown(timeout=_THREADS)
    server.trigger.close()
