"""``start_response`` and ``write`` of one request (PEP 3333), each block sent as it comes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import Any

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.h1 import ArrivingHead, ResponseWriter
from wsgiproxy.sansio.message import Headers
from wsgiproxy.server.client import ClientConnection

__all__ = ["ServerResponse"]

_log = logging.getLogger("wsgiproxy.error")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class ServerResponse:
    """The answer to one request.

    :param wire: where it goes.
    :param request: what is answered; None if no head was found.
    :param idle: seconds for which a write may make no progress.
    :ivar begun: bytes of it have been sent.
    :ivar complete: all of it has.
    :ivar lost: why the client cannot be reached any more.
    """

    def __init__(self, wire: ClientConnection, request: ArrivingHead | None, idle: float) -> None:
        self._wire = wire
        self._request = request or ArrivingHead("GET", "", "1.0", [])
        self._idle = idle
        self._writer: ResponseWriter | None = None
        self.begun = False
        self.complete = False
        self.lost: OSError | None = None

    def start_response(
        self, status: str, headers: Headers, exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """As PEP 3333 says.

        :raises ValueError: status or headers that must not be sent.
        """
        if exc_info:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the frame is in its traceback
        elif self._writer is not None:
            raise AssertionError("start_response was called again, without exc_info")
        self._writer = ResponseWriter(self._request, status, headers, formatdate(usegmt=True))
        return self.write

    def write(self, block: bytes) -> None:
        """Send the head, if it has not been, and a block of the body.

        :raises OSError: the client has left.
        """
        if self._writer is None:
            raise AssertionError("start_response was not called")
        if not isinstance(block, bytes):
            raise TypeError(f"a block of the body is of type {type(block).__name__}, not bytes")
        data = self._writer.block(block)
        if not self.begun:
            self.begun = True
            data = self._writer.head + data
        self._send(data)

    @property
    def is_over(self) -> bool:
        """Whether blocks to come have no place."""
        return self._writer is not None and self._writer.surplus > 0

    def end(self) -> None:
        """Say that it is complete.

        :raises ValueError: it is shorter than its Content-Length.
        """
        if not self.begun:
            self.write(b"")
        assert self._writer is not None
        self._send(self._writer.end())
        self.complete = True
        if self.is_over and self._request.method != "HEAD":
            _log.error("%r: the body is longer than its Content-Length", self._request.target)

    def _send(self, data: bytes) -> None:
        try:
            if data:
                self._wire.send(data, self._idle)
        except OSError as error:
            self.lost = error
            raise

    def refuse(self, error: ProxyError, *, is_head: bool = False) -> None:
        """Answer with an error's status and sentence; nothing about the inside.

        :param is_head: what is refused is a HEAD, and its answer has no body.
        :raises OSError: the client has left.
        """
        text = f"{error.public}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(text))),
        ]
        self._writer = None
        if is_head:
            self._request = self._request._replace(method="HEAD")
        self.start_response(f"{error.status} {HTTPStatus(error.status).phrase}", headers)
        self.write(text)
        self.end()
