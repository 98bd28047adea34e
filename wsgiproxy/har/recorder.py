"""A recorder around a WSGI application: its exchanges, with their bodies, for an HTTP archive.

It is for tests: it reads a request before it passes it on, and keeps all that it has seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ContentTooLarge, ProxyError
from wsgiproxy.har.application import MAX_BODY, body_of
from wsgiproxy.sansio.environ import inbound
from wsgiproxy.sansio.grammar import status_line
from wsgiproxy.sansio.har.entry import Answer, Body, Entry, Timings
from wsgiproxy.sansio.message import Headers, Inbound, default_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["HarRecorder", "NotRecordable"]


class NotRecordable(Exception):
    """An exchange cannot be kept whole, and half a one would be served as if it were."""


class _Recording:
    """One exchange while it happens; what it is so far can be asked for at any time."""

    def __init__(self, asked: Inbound, body: bytes, limit: int) -> None:
        self._asked = asked
        self._body = body
        self._limit = limit
        self._started = time()
        self._begin = monotonic()
        self._head: tuple[int, str, Headers] | None = None
        self._blocks: list[bytes] = []
        self._size = 0
        self._waited = 0.0
        self._took = 0.0
        self.is_whole = False

    def start(self, status: str, headers: Headers) -> None:
        """The head of the answer; a later one counts more (PEP 3333, "Error Handling")."""
        code, reason = status_line(status) or (0, "")
        self._head = code, reason, list(headers)
        self._waited = monotonic() - self._begin

    def take(self, block: bytes) -> None:
        """One block of the answer's body.

        :raises NotRecordable: the body is larger than the limit.
        """
        self._size += len(block)
        if self._size > self._limit:
            raise NotRecordable(
                f"the answer to {self._asked.method} {self._asked.path} has more than"
                f" {self._limit} bytes, the most that is recorded"
            )
        self._blocks.append(block)

    def end(self, is_whole: bool) -> None:
        """The end of the answer."""
        self.is_whole = self.is_whole or is_whole
        self._took = monotonic() - self._begin - self._waited

    @property
    def entry(self) -> Entry:
        asked = self._asked
        path = f"{asked.script_name}{asked.path}{asked.query}"
        host = asked.host.removesuffix(f":{default_port(asked.scheme)}")
        answer = None
        if self._head is not None:
            code, reason, headers = self._head
            body = Body(b"".join(self._blocks), is_cut=not self.is_whole)
            answer = Answer(code, reason, "HTTP/1.1", headers, body)
        return Entry(
            self._started,
            asked.method,
            f"{asked.scheme}://{host}{path}",
            f"HTTP/{asked.protocol}",
            [("Host", asked.host), *asked.headers],
            Body(self._body),
            answer,
            "" if answer else "the application has not answered",
            Timings(send=0.0, wait=_milliseconds(self._waited), receive=_milliseconds(self._took)),
        )


def _milliseconds(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)


class HarRecorder:
    """A WSGI application that keeps the exchanges of another one.

    Handshakes for WebSockets, and requests that are none, pass without being kept.

    :param application: what is asked, such as :func:`wsgiproxy.proxy_exact_request`.
    :param limit: largest body of a request or an answer, in bytes.

    >>> from webob import Request, Response
    >>> recorder = HarRecorder(Response("hello"))
    >>> Request.blank("/a?b=c").get_response(recorder).text
    'hello'
    >>> recorder.entries[0].url
    'http://localhost/a?b=c'
    """

    def __init__(self, application: WSGIApplication, *, limit: int = MAX_BODY) -> None:
        self._application = application
        self._limit = limit
        self._recordings: list[_Recording] = []
        self._lock = threading.Lock()

    @property
    def entries(self) -> list[Entry]:
        """What was recorded, in the order in which it began."""
        with self._lock:
            return [each.entry for each in self._recordings]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises NotRecordable: a body is larger than the limit.
        """
        try:
            asked = inbound.read(environ)
            if "websocket" in asked.upgrade:
                return self._application(environ, start_response)
            body = body_of(environ, asked, self._limit)
        except ContentTooLarge as error:
            raise NotRecordable(
                f"the request has a body of more than {self._limit} bytes, the most that is"
                " recorded"
            ) from error
        except ProxyError:
            return self._application(environ, start_response)  # which says what is wrong with it
        recording = _Recording(asked, body, self._limit)
        with self._lock:
            self._recordings.append(recording)
        return _recorded(recording, self._application, _with_body(environ, body), start_response)


def _with_body(environ: WSGIEnvironment, body: bytes) -> WSGIEnvironment:
    """The environ with a body that was read, which has a length now."""
    if not body:
        return environ
    changed = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    changed.pop("HTTP_TRANSFER_ENCODING", None)
    return changed


def _recorded(
    recording: _Recording,
    application: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    def start(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
        recording.start(status, headers)
        write = start_response(status, headers, *([exc_info] if exc_info else []))

        def write_and_take(block: bytes) -> object:
            recording.take(block)
            return write(block)

        return write_and_take

    return _Blocks(recording, application(environ, start))


class _Blocks:
    """The body of an answer, kept while it passes."""

    def __init__(self, recording: _Recording, blocks: Iterable[bytes]) -> None:
        self._recording = recording
        self._blocks = blocks
        self._iterator: Iterator[bytes] = iter(blocks)

    def __iter__(self) -> _Blocks:
        return self

    def __next__(self) -> bytes:
        try:
            block = next(self._iterator)
        except StopIteration:
            self._recording.end(is_whole=True)
            raise
        self._recording.take(block)
        return block

    def close(self) -> None:
        self._recording.end(is_whole=False)
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()
