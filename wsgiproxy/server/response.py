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
    """The response to one request.

    :param client: the connection.
    :param request: the head of the request; None if none has arrived.
    :param idle: seconds for which a write may make no progress.
    :ivar begun: its first bytes have been sent.
    :ivar complete: all of it has been sent.
    :ivar lost: the failure of the connection, if it has failed.
    """

    def __init__(self, client: ClientConnection, request: ArrivingHead | None, idle: float) -> None:
        self._client = client
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
        """Whether the Content-Length is reached, and further blocks cannot be sent."""
        return self._writer is not None and self._writer.surplus > 0

    def end(self) -> None:
        """Send the end of the body.

        :raises ValueError: the body is shorter than its Content-Length.
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
                self._client.send(data, self._idle)
        except OSError as error:
            self.lost = error
            raise

    def refuse(self, error: ProxyError, *, is_head: bool = False) -> None:
        """Send an error's status and its public sentence.

        :param is_head: the request is a HEAD, whose response has no body.
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
