"""The request for a client: its body as a file, and the fields that announce it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.names import environ_field
from wsgiproxy.sansio.grammar import is_length
from wsgiproxy.sansio.message import BLOCK, Headers
from wsgiproxy.wsgi.input import blocks_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.transport import Call

__all__ = ["Input", "announce", "frame_what_is_here", "framed"]


class Input(io.RawIOBase):
    """A request body as a file that ends where the body ends; ``wsgi.input`` for clients.

    :param blocks: the body.
    :param length: its length in bytes, if that is known.
    :param call: what the request wants besides being sent, for clients that know of it.
    :ivar len: bytes that are left, for requests.
    :ivar error: the error of a failed read.
    """

    def __init__(
        self, blocks: Iterable[bytes], length: int | None, call: Call | None = None
    ) -> None:
        self._blocks = iter(blocks)
        self._rest = b""
        self._read = 0
        self._length = length
        self.error: BaseException | None = None
        self.call = call

    @property
    def len(self) -> int:
        """Bytes that are left, as far as is known."""
        return max(0, (self._length or 0) - self._read)

    def readable(self) -> bool:
        """As :meth:`io.IOBase.readable`."""
        return True

    def tell(self) -> int:
        """Bytes that have been read; there is no ``seek``: no client can send it twice."""
        return self._read

    def readinto(self, buffer: Any) -> int:
        """As :meth:`io.RawIOBase.readinto`.

        :raises BadRequest: the client has left before the end.
        """
        try:
            while not self._rest:
                self._rest = next(self._blocks)
        except StopIteration:
            if self.len:
                self.error = BadRequest(f"the request body ended {self.len} bytes short")
                raise self.error from None
            return 0
        except BaseException as error:
            self.error = error
            raise
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        self._read += size
        return size


def framed(body: Any, headers: dict[str, str]) -> tuple[Headers, Input | None, int | None]:
    """Split the arguments of a client into field lines, body and framing.

    :returns: the other headers, the body if there is one, and its length unless it is chunked.
    :raises BadRequest: the length is no number.
    """
    lines, length, chunked = [], "", False
    # A field that a subclass added in other letters replaces the one before.
    last = {name.lower(): (name, value) for name, value in headers.items()}
    for name, value in last.values():
        if name.lower() == "content-length":
            length = str(value)
        elif name.lower() == "transfer-encoding":
            chunked = True
        else:
            lines.append((name, str(value)))
    if length and not is_length(length):
        raise BadRequest(f"Content-Length {length!r} is not a number")
    # Without either there is no body, and a read might wait for ever.
    number = int(length) if length and not chunked else None
    if not number and not chunked:
        return lines, None, number
    if isinstance(body, Input):
        return lines, body, number
    if chunked:
        return lines, Input(iter(partial(body.read, BLOCK), b""), None), None
    return lines, Input(blocks_of({"wsgi.input": body}, number or 0), number), number


def frame_what_is_here(environ: WSGIEnvironment) -> None:
    """Give a chunked body in memory its end: WebTest lets a test set Transfer-Encoding."""
    if "HTTP_TRANSFER_ENCODING" not in environ:
        return
    stream = environ.get("wsgi.input")
    # webtest.lint wraps it.
    if isinstance(getattr(stream, "input", stream), io.BytesIO):
        if environ.get("CONTENT_LENGTH"):
            del environ["HTTP_TRANSFER_ENCODING"]
        else:
            environ["wsgi.input_terminated"] = True


def announce(header_map: Mapping[str, str], environ: WSGIEnvironment) -> Headers:
    """The fields of a header map; they are put into *environ*, too.

    :param header_map: environ key -> header, after ``HTTP_``.
    """
    announced = []
    for key, name in header_map.items():
        value, field = environ.get(key), environ_field(f"HTTP_{name}")
        if value:
            environ[f"HTTP_{name}"] = value
            if field is not None:
                announced.append((field, str(value)))
    return announced
