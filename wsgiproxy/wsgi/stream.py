"""An answer that is still arriving, as the iterable of a WSGI application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from wsgiproxy.errors import ClientGone, ProxyError
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.observe.failures import log_failure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.transport import Reply

__all__ = ["Stream", "call_counted"]


class Stream:
    """An answer that is still arriving: an iterable without a length (PEP 3333).

    A class, since the ``finally`` of a generator that was never started does not run.

    :param pulses: give empty blocks while the upstream is silent.
    """

    __slots__ = ("_at_end", "_greeting", "_record", "_reply", "_status")

    def __init__(self, reply: Reply, status: int, record: Record, *, pulses: bool = False) -> None:
        if pulses:
            reply.pulse()
        self._at_end: Callable[[], None] | None = None
        self._reply = reply
        self._status = status
        self._record = record
        # Servers that send the head with the first block, whatever it holds, send it now:
        # the upstream may say nothing more for minutes.
        self._greeting = not reply.received

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        """The next block.

        :raises ProxyError: the answer breaks off; the server then breaks the connection.
        """
        if self._greeting:
            self._greeting = False
            return b""
        try:
            return next(self._reply)
        except ProxyError as error:
            log_failure(error, self._record)
            self._record.fail(error)
            raise

    def at_end(self, callback: Callable[[], None]) -> None:
        """Have *callback* called once, when the stream is closed, after earlier ones."""
        before = self._at_end
        self._at_end = callback if before is None else partial(_both, before, callback)

    def __del__(self) -> None:
        # Dropped by an application that should have closed it: its caller counts those in use.
        if self._at_end is not None:
            self.close()

    def close(self) -> None:
        """Called by the server at the end, whatever the end was."""
        callback, self._at_end = self._at_end, None
        if callback is not None:
            callback()
        self._reply.close()
        if not self._reply.complete:
            self._record.fail(ClientGone("the server closed the answer before its end"))
        self._record.end(self._status, self._reply.received)


def _both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def call_counted(
    application: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    leave: Callable[[], None],
) -> Iterable[bytes]:
    """The answer of *application*, for a caller that counts the exchanges in flight.

    :param leave: called once, at the end of the answer or without one.
    """
    try:
        blocks = application(environ, start_response)
    except BaseException:
        leave()
        raise
    if isinstance(blocks, Stream):
        blocks.at_end(leave)
    else:
        leave()
    return blocks
