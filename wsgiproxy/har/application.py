"""HTTP archives as files, and as upstreams: what was recorded is served again.

An archive of another program's is read as it is written (:mod:`wsgiproxy.sansio.har.read`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from wsgiproxy.errors import (
    ConfigurationError,
    ContentTooLarge,
    NotRecorded,
    NotSupported,
    ProxyError,
)
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.environ import inbound
from wsgiproxy.sansio.fields.connection import for_client
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.grammar import NO_BODY, NO_LENGTH
from wsgiproxy.sansio.har.asked import Asked, asked_of
from wsgiproxy.sansio.har.coding import DECODERS, Decoders
from wsgiproxy.sansio.har.entry import Answer, Body, Entry
from wsgiproxy.sansio.har.match import MATCH, Found, Matcher, Miss, checked_match
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.har.write import har_text
from wsgiproxy.sansio.message import Headers, Inbound
from wsgiproxy.sansio.secrets import SHOWN, Secrets
from wsgiproxy.version import __version__
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.gateway import error_response
from wsgiproxy.wsgi.input import blocks_of, read

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["MAX_BODY", "HarApplication", "body_of", "read_har", "write_har"]

#: Bytes of a body that is compared or recorded.
MAX_BODY = 16 * 1024 * 1024


def _unbrotli(data: bytes, limit: int) -> bytes | None:
    decoder = import_module("brotli").Decompressor()
    # Without a limit (before 1.2) a bomb would fill the memory: that is a TypeError here.
    found: bytes = decoder.process(data, output_buffer_limit=limit)
    return found if decoder.is_finished() else None


def _unzstd(data: bytes, limit: int) -> bytes | None:
    zstandard = import_module("zstandard")
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        if len(reader.read(limit + 1)) > limit:
            return None
    decoder = zstandard.ZstdDecompressor().decompressobj()
    found: bytes = decoder.decompress(data)
    return found if decoder.eof and not decoder.unused_data else None


#: Those of libraries, too; one that is not installed undoes nothing.
_DECODERS: Decoders = {**DECODERS, "br": _unbrotli, "zstd": _unzstd}


def read_har(path: str | os.PathLike[str]) -> list[Entry]:
    """The exchanges of an archive (HAR 1.2) of any program.

    :param path: of the file.
    :raises ConfigurationError: it cannot be read, or is no archive; with the file and the place of
        the first fault.

    >>> read_har("nowhere.har")
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: nowhere.har: No such file or directory
    """
    name = os.fspath(path)
    try:
        return entries_of(Path(name).read_bytes(), decoders=_DECODERS)
    except OSError as error:
        raise ConfigurationError(f"{name}: {error.strerror}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def write_har(
    path: str | os.PathLike[str], entries: Iterable[Entry], *, mask: Secrets = SHOWN
) -> None:
    """Write an archive (HAR 1.2). A file of that name is replaced when all of it is written.

    :param mask: what is written in place of credentials; such as that of
        :class:`wsgiproxy.sansio.secrets.Secrets`.
    :raises OSError: it cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/empty.har"
    >>> write_har(path, [])
    >>> read_har(path)
    []
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp() would make it for its owner alone.
    name = target.with_name(f".{target.name[:100]}.{token_hex(8)}")
    try:
        with open(name, "x", encoding="ascii") as file:
            file.writelines(har_text(entries, version=__version__, mask=mask, decoders=_DECODERS))
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def body_of(environ: WSGIEnvironment, asked: Inbound, limit: int = MAX_BODY) -> bytes:
    """The whole body of a request.

    :raises ContentTooLarge: it has more than *limit* bytes.
    :raises BadRequest: it ended early.
    """
    if asked.content_length is not None:
        if asked.content_length > limit:
            raise ContentTooLarge(f"a request body of {asked.content_length} bytes")
        return b"".join(blocks_of(environ, asked.content_length))
    blocks: list[bytes] = []
    size = 0
    while asked.chunked and (block := read(environ, 65536)):
        size += len(block)
        if size > limit:
            raise ContentTooLarge(f"a request body of more than {limit} bytes")
        blocks.append(block)
    return b"".join(blocks)


class HarApplication:
    """A WSGI application that serves an archive as the upstream that was recorded.

    A request that was not recorded gets 502, which names the nearest one. What is hidden in the
    archive (``***``) is equal to every value.

    :param archive: a path, or entries.
    :param match: what requests are compared by: ``method``, ``host``, ``target`` (path and query),
        ``path``, ``query`` (in any order), ``body``, ``header:NAME``.
    :param repeat: when all that was recorded for a request has been served, ``last`` serves the
        last answer again, ``none`` gives 502.
    :raises ConfigurationError: naming the setting and what was expected, or the file and its fault.

    >>> from webob import Request
    >>> answer = Answer(200, "OK", "HTTP/1.1", [("Content-Type", "text/plain")], Body(b"hello"))
    >>> entry = Entry(0.0, "GET", "http://a.example/b", "HTTP/1.1", [], answer=answer)
    >>> application = HarApplication([entry])
    >>> Request.blank("/b").get_response(application).text
    'hello'
    >>> Request.blank("/c").get_response(application).status
    '502 Bad Gateway'
    """

    def __init__(
        self,
        archive: str | os.PathLike[str] | Sequence[Entry],
        *,
        match: str | Iterable[str] = MATCH,
        repeat: str = "last",
    ) -> None:
        match = checked_match(match)  # before a file that takes its time
        if isinstance(archive, (str, os.PathLike)):
            archive = read_har(archive)
        self.entries: Sequence[Entry] = archive
        self._matcher = Matcher(self.entries, match=match, repeat=repeat)
        self._lock = threading.Lock()

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        record = Record(environ)
        try:
            status, headers, body = self.answer(environ)
        except ProxyError as error:
            return error_response(error, environ, start_response, record)
        start_response(status, headers)
        record.end(int(status[:3]), sent=len(body))
        return [body] if body else []

    def find(self, environ: WSGIEnvironment) -> Found | Miss:
        """The recorded exchange that answers a request, which then counts as served.

        :raises ProxyError: the request cannot be compared.
        """
        asked = self._asked(environ)
        with self._lock:
            return self._matcher.answer(asked)

    def answer(self, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
        """Status line, field lines and body of the answer to a request.

        :raises NotRecorded: there is none, or no whole one.
        :raises ProxyError: the request cannot be compared.
        """
        found = self.find(environ)
        if isinstance(found, Miss):
            raise _not_recorded(found.sentence)
        return _served(found, environ.get("REQUEST_METHOD", "GET"))

    def unserved(self) -> list[int]:
        """The numbers of entries that no request has got so far, from 0."""
        with self._lock:
            return self._matcher.unserved()

    def _asked(self, environ: WSGIEnvironment) -> Asked:
        asked = inbound.read(environ)
        if "websocket" in asked.upgrade:
            raise _NoUpgrade("a handshake for a WebSocket")
        body = body_of(environ, asked) if "body" in self._matcher.match else b""
        url = f"{asked.scheme}://{asked.host}{asked.path}{asked.query}"
        return asked_of(asked.method, url, asked.headers, Body(body))


def _not_recorded(sentence: str) -> NotRecorded:
    """The error for what an archive cannot serve. Its client is a tester, and is told why."""
    error = NotRecorded(sentence)
    error.public = f"Not recorded: {sentence}"  # type: ignore[misc]  # of this one
    return error


class _NoUpgrade(NotSupported):
    public = "An archive answers requests; it cannot carry a WebSocket."


def _served(found: Found, method: str) -> tuple[str, Headers, bytes]:
    """Status line, field lines and body of a recorded answer.

    :raises NotRecorded: there is no whole one.
    """
    number, entry = found
    answer = entry.answer
    if answer is None:
        raise _not_recorded(f"entry {number} has no answer: {entry.error}")
    # It stands where the upstream stood, and what a server in front obeys is for that one.
    headers = without(for_client(answer.headers, commands=True), ["Content-Length"])
    length = [value for name, value in answer.headers if name.lower() == "content-length"]
    if method == "HEAD" or answer.status in NO_BODY:
        body = b""
        if method == "HEAD" and answer.status not in NO_BODY | NO_LENGTH:
            size = length[:1] if entry.method == "HEAD" else [_size(answer.body)]
            headers += [("Content-Length", each) for each in size if each.isdecimal()]
    else:
        body = _whole(number, answer)
        headers.append(("Content-Length", str(len(body))))
    reason = answer.reason or "Unknown"  # PEP 3333 wants one
    return f"{answer.status} {reason}", headers, body


def _size(body: Body) -> str:
    size = body.whole_size
    return "" if size is None else str(size)


def _whole(number: int, answer: Answer) -> bytes:
    body = answer.body
    if body.data is None:
        if 300 <= answer.status < 400:
            return b""  # browsers follow a redirect, and keep no body of it
        raise _not_recorded(f"entry {number} was recorded without the body of its answer")
    if body.is_cut:
        raise _not_recorded(f"entry {number} has the beginning of its answer's body alone")
    return body.data
