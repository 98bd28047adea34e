"""A WSGI application whose exchanges are looked at; it changes nothing of what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.observe.accesslog import INSPECTED
from wsgiproxy.observe.inspector.harmless import note_fault
from wsgiproxy.observe.inspector.heads import ENVIRON, environ_facts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from wsgiproxy.observe.inspector.exchange import Exchange
    from wsgiproxy.observe.inspector.ring import Ring

__all__ = ["InspectedWSGI"]


class InspectedWSGI:
    """An application around another one, which tells a ring what passes.

    :param application: any WSGI application.
    :param ring: what keeps the exchanges.
    """

    def __init__(self, application: WSGIApplication, ring: Ring) -> None:
        self.application = application
        self._ring = ring

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if INSPECTED in environ:  # another one is around this one
            return self.application(environ, start_response)
        try:
            exchange = self._begun(environ)
        except Exception as error:
            note_fault("begin", error)
            exchange = None
        if exchange is None:
            return self.application(environ, start_response)
        return self.serve(exchange, environ, start_response)

    def _begun(self, environ: WSGIEnvironment) -> Exchange | None:
        """The exchange of a request; None if it is not to be kept."""
        scheme = environ.get("wsgi.url_scheme", "http")
        mount = environ.get("SCRIPT_NAME", "")
        return self._ring.begin(ENVIRON, environ_facts(environ), scheme, mount)

    def serve(
        self, exchange: Exchange, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve the request of an exchange that has begun."""
        environ = {**environ, INSPECTED: exchange}
        if "wsgi.input" in environ:
            environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange)
        # What a server sends by itself could not be seen.
        environ.pop("wsgi.file_wrapper", None)

        def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
            more = () if exc_info is None else (exc_info,)
            write = start_response(status, headers, *more)
            # Not before: a server raises where the head has gone, and that one stays.
            if exchange.answered is None or exc_info is not None:
                exchange.begin_answer(status, headers)

            def seen(block: bytes) -> object:
                exchange.add_answer(block)
                return write(block)

            return seen

        try:
            blocks = self.application(environ, start)
        except BaseException as error:
            exchange.fail(error)
            exchange.end(is_whole=False)
            raise
        return _seen(blocks, exchange)


def _seen(blocks: Iterable[bytes], exchange: Exchange) -> Iterable[bytes]:
    """The blocks of an answer, as they are if they are a list."""
    kind = type(blocks)
    if getattr(kind, "__iter__", None) is list.__iter__ and not hasattr(blocks, "close"):
        for block in blocks:
            exchange.add_answer(block, is_all=True)
        exchange.end()
        return blocks
    if not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
        exchange.end(is_whole=False)
        return blocks  # such as None, which the server refuses
    # Servers look at the number of blocks, where it is told.
    return (_SeenSized if hasattr(blocks, "__len__") else _Seen)(blocks, exchange)


class _Input:
    """``wsgi.input``, whose blocks are told to an exchange; all else is its own."""

    def __init__(self, source: Any, exchange: Exchange) -> None:
        self._source = source
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if name == "read1":
            return lambda *size: self._seen(found(*size))
        return partial(self._read_into, found) if name == "readinto" else found

    def _read_into(self, read: Callable[[Any], int | None], buffer: Any) -> int | None:
        count = read(buffer)
        self._seen(bytes(memoryview(buffer)[: count or 0]))
        return count

    def _seen(self, block: bytes) -> bytes:
        if block:
            self._exchange.add_body(block)
        return block

    def read(self, *size: int) -> bytes:
        return self._seen(self._source.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._seen(self._source.readline(*size))

    def __next__(self) -> bytes:
        return self._seen(next(self._source))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._seen(line) for line in self._source.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._seen, self._source)


class _Seen:
    """The blocks of an answer, each told to an exchange."""

    __slots__ = ("_blocks", "_exchange", "_iterator")

    def __init__(self, blocks: Iterable[bytes], exchange: Exchange) -> None:
        self._blocks = blocks
        self._iterator: Iterator[bytes] | None = None
        self._exchange = exchange

    def __iter__(self) -> _Seen:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._blocks)
            block = next(self._iterator)
        except StopIteration:
            self._exchange.end()
            raise
        except BaseException as error:
            self._exchange.fail(error)
            self._exchange.end(is_whole=False)
            raise
        if block:
            self._exchange.add_answer(block)
        return block

    def close(self) -> None:
        """Called by the server at the end, whatever the end was."""
        try:
            if hasattr(self._blocks, "close"):
                self._blocks.close()
        finally:
            self._exchange.end(is_whole=False)


class _SeenSized(_Seen):
    """The same of a list of another class, or of a tuple: servers make a length of one block."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast(Sized, self._blocks))
