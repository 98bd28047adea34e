"""The response of a client: its body counted, its failures those of any upstream."""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.errors import (
    BadResponse,
    ProxyError,
    UpstreamLost,
    UpstreamTimeout,
)
from wsgiproxy.sansio.grammar import NO_CONTENT
from wsgiproxy.sansio.policy.wsgiproxy2 import ClientAnswer
from wsgiproxy.settings import Setting
from wsgiproxy.settings.convert import positive_count
from wsgiproxy.transport import PooledReply

__all__ = ["CompatReply", "ResponseBody", "CHUNK_SIZE", "close", "name_of", "reason_of"]


def name_of(client: object) -> str:
    """The name of a client in the log: a function's name, an object's own text, or its class.

    >>> name_of(print)
    'builtins.print'
    """
    kind = client if hasattr(client, "__qualname__") else type(client)
    if kind is not client and type(client).__repr__ is not object.__repr__:
        return repr(client)
    return f"{kind.__module__}.{kind.__qualname__}"


def reason_of(error: BaseException) -> str:
    """The reason for a failure: the class of the error, and the words of the first in its chain.

    The errors of urllib3 and requests hold the text of objects, and of one another.

    >>> reason_of(OSError("no route"))
    "OSError('no route')"
    """
    first = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
    return repr(error) if first is error else f"{type(error).__name__}: {first}"


class ResponseBody:
    """The body of a response, block by block as it arrives; closed on every path.

    :param read: returns the bytes that have arrived, up to a number; none at the end.
    :param size: that number.
    :param at_end: called once when all has been read, so that the connection can be kept.
    :param close: called once at the end, whatever the end was.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        size: int,
        *,
        at_end: Callable[[], object],
        close: Callable[[], object],
    ) -> None:
        self._read = read
        self._size = size
        self._at_end = at_end
        self._close: Callable[[], object] | None = close

    def __iter__(self) -> ResponseBody:
        return self

    def __next__(self) -> bytes:
        """The next block."""
        block = self._read(self._size) if self._close is not None else b""
        if block:
            return block
        if self._close is not None:
            self._at_end()
            self.close()
        raise StopIteration

    def close(self) -> None:
        """Give up the rest; more than once does no harm."""
        close, self._close = self._close, None
        if close is not None:
            close()


#: The option of the clients on urllib3 and requests; 0 would look like the end of every body.
CHUNK_SIZE = Setting(
    "chunk_size",
    positive_count,
    65536,
    "a number of bytes from 1 on",
    "largest block of a response body",
)


def close(body: object) -> None:
    """Close the body of a response, if it has ``close``."""
    method = getattr(body, "close", None)
    if method is not None:
        method()


def _checked(block: object) -> bytes:
    # WSGIProxy2's own example of a client returns [''].
    if block and not isinstance(block, bytes):
        raise BadResponse(f"its body has {block!r:.100}: expected bytes")
    return block if isinstance(block, bytes) else b""


class CompatReply:
    """The reply of a client, for a gateway; see :class:`wsgiproxy.transport.Reply`.

    :param answer: the four values that the client returned.
    :param method: the method of the request.
    :param client: the client, for messages.
    """

    def __init__(self, answer: ClientAnswer, method: str, client: object) -> None:
        self._client = client
        is_bodiless = method == "HEAD" or answer.head.status in NO_CONTENT
        self.head = answer.head
        self.received = 0
        self.reused = bool(getattr(answer.body, "reused", False))
        self._body = answer.body
        self._length = None if is_bodiless else answer.length
        self.complete = is_bodiless
        self.whole: bytes | None = None
        if is_bodiless:
            pass
        elif isinstance(answer.body, PooledReply):
            self.whole = answer.body.whole
        elif isinstance(answer.body, (list, tuple)):
            self.whole = b"".join(map(_checked, answer.body))
            close(answer.body)
        if self.whole is not None:
            self._count(self.whole)
            self._end()
        self._blocks = iter(answer.body)

    def _count(self, block: bytes) -> None:
        self.received += len(block)
        if self._length is not None and self.received > self._length:
            raise BadResponse(f"its body is longer than its length of {self._length}")
        self.complete = self.complete or self.received == self._length

    def _end(self) -> None:
        if self._length is not None and self.received < self._length:
            short = self._length - self.received
            raise UpstreamLost(
                f"client {name_of(self._client)}: its body ended {short} bytes short"
            )
        self.complete = True

    def pulse(self, seconds: float = 0.5) -> None:
        """Yield empty blocks while the upstream is silent, if the body is one of ours."""
        if isinstance(self._body, PooledReply):
            self._body.pulse(seconds)

    def __iter__(self) -> CompatReply:
        return self

    def __next__(self) -> bytes:
        """The next block.

        :raises ProxyError: the body breaks off, or its length differs from its head.
        """
        try:
            block = _checked(next(self._blocks))
        except StopIteration:
            self._end()
            raise
        except BadResponse as error:
            raise BadResponse(f"client {name_of(self._client)}: {error}") from error
        except ProxyError:
            raise
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"client {name_of(self._client)}: {reason_of(error)} in the body"
            ) from error
        except Exception as error:
            raise UpstreamLost(
                f"client {name_of(self._client)}: {reason_of(error)} in the body"
            ) from error
        self._count(block)
        return block

    def close(self) -> None:
        """Give up the rest of the body."""
        close(self._body)
