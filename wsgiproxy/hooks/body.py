"""The body of a message, and what its blocks go through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from wsgiproxy.errors import ProxyError
from wsgiproxy.hooks.idle import Idle, IdleCall
from wsgiproxy.sansio.hooks import HookFailed, name_of
from wsgiproxy.sansio.message import BLOCK

__all__ = ["Body", "Changes", "Content", "content_from"]

#: What a body may be set to.
Content = bytes | str | Iterable[bytes]
# Seconds, and what is called after so many of silence.
_Idle = tuple[float, Callable[[], bytes]]


class _Change(NamedTuple):
    block: Callable[[bytes], bytes]
    end: Callable[[], bytes] | None = None
    idle: _Idle | None = None


class Body:
    """A body on its way, which is read once.

    :ivar changes: what its blocks go through.
    :ivar is_same: it has been set to what it was.
    :ivar owner: the hooks that have set or changed it.
    :ivar holder: the hook that has handed it over last.
    """

    __slots__ = (
        "_claimed",
        "_is_spent",
        "changes",
        "content",
        "holder",
        "is_same",
        "owner",
        "source",
    )

    def __init__(self, source: Any = None, content: bytes | Iterable[bytes] | None = None) -> None:
        #: What the edge reads it from; None for a body that was set.
        self.source = source
        self.content = content
        self.changes: list[_Change] = []
        self.is_same = content is None
        self.owner = self.holder = ""
        self._claimed = 0
        self._is_spent = False

    def map(
        self,
        change: Callable[[bytes], bytes],
        end: Callable[[], bytes] | None = None,
        idle: tuple[float, Callable[[], bytes]] | None = None,
    ) -> None:
        """Change the blocks as they pass.

        :param change: called with each block, which is not empty; what it returns is sent instead,
            and may be empty. It must not wait for anything.
        :param end: called at the end; what it returns is sent last.
        :param idle: a number of seconds above 0 and a function, which is called whenever the
            upstream has sent nothing of a response's body for so long; what it returns is sent,
            and may be empty. It is not called for the body of a request or for one that a hook
            has set.
        :raises TypeError: something else is given.
        :raises ValueError: the seconds are no number above 0.

        >>> from wsgiproxy.hooks import Response
        >>> response = Response(200, body=b"abc")
        >>> response.body.map(bytes.upper, lambda: b"!")
        >>> response.body.map(bytes, idle=(15, lambda: b" "))
        """
        if not callable(change) or not (end is None or callable(end)):
            raise TypeError("map() takes functions")
        if idle is not None:
            seconds, function = idle
            if not callable(function):
                raise TypeError("map(idle=...) takes seconds and a function")
            if not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
                raise ValueError(f"map(idle=({seconds!r}, ...)): expected seconds above 0")
        self.changes.append(_Change(change, end, idle))

    def watch(
        self, look: Callable[[bytes], object], end: Callable[[], object] | None = None
    ) -> None:
        """Look at the blocks as they pass, unchanged: the length, ETag and digests still hold.

        Functions of :meth:`map` and those of this method see the blocks in the order in which
        they were given.

        :param look: called with each block, which is not empty. It must not wait for anything.
        :param end: called when all blocks have passed; not if the body breaks off, nor where a
            message has no body, as the response to HEAD.
        :raises TypeError: one is no function.

        >>> from wsgiproxy.hooks import Response
        >>> response, sizes = Response(200, body=b"abc"), []
        >>> response.body.watch(lambda block: sizes.append(len(block)))
        """
        if not callable(look) or not (end is None or callable(end)):
            raise TypeError("watch() takes functions")
        self.changes.append(_Change(_Look(look), None if end is None else _Look(end), None))

    @property
    def is_mapped(self) -> bool:
        """Whether its blocks are changed as they pass."""
        return bool(self.changes) and Changes(self.changes).is_mapped

    @property
    def is_changed(self) -> bool:
        """Whether it is another than the one that has arrived."""
        return not self.is_same or self.is_mapped

    def claim(self, hook: str) -> None:
        """Note the hook that has set or changed it since it was claimed last."""
        self.holder = hook
        done = len(self.changes) + (self.content is not None)
        if done > self._claimed:
            self.owner = f"{self.owner}, {hook}" if self.owner else hook
            self._claimed = done

    def spend(self) -> None:
        """It is read now; what can be read again is not spent by that.

        :raises HookFailed: it has been.
        """
        if self._is_spent:
            raise HookFailed("a body that has been read, or in part, cannot be sent", self.holder)
        self._is_spent = not isinstance(self.content, (bytes, list, tuple))

    def whole(self) -> bytes | None:
        """The body that was set, changed, if it is there as a whole; else None."""
        if isinstance(self.content, bytes) and self.changes:
            content, changes = self.content, Changes(self.changes, self.owner)
            self.is_same = not self.is_changed
            self.changes = []
            self.content = changes.block(content) + changes.end()
        return self.content if isinstance(self.content, bytes) else None

    def blocks(self) -> Iterator[bytes]:
        """The blocks of a body that was set, changed; none of them is empty.

        :raises HookFailed: it fails, or has been read already.
        """
        whole = self.whole()
        if whole is not None:
            return (whole[at : at + BLOCK] for at in range(0, len(whole), BLOCK))
        self.spend()
        assert self.content is not None and not isinstance(self.content, bytes)
        blocks = _checked(self.content, self.owner)
        return Changes(self.changes, self.owner).through(blocks) if self.changes else blocks

    def close(self) -> None:
        """Close what was set.

        :raises HookFailed: it fails.
        """
        close = getattr(self.content, "close", None)
        if close is not None:
            try:
                close()
            except Exception as error:
                raise HookFailed(f"closing its body: {error!r}", self.owner) from error


class _Look:
    """A function that only looks, as one that changes: it returns what it is given."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def __call__(self, *block: bytes) -> bytes:
        self.function(*block)
        return block[0] if block else b""


class Changes:
    """What the blocks of a body go through, one function after the other.

    :param changes: of a :class:`Body`.
    :param owner: the hooks that they are of.

    >>> changes = Changes([(bytes.upper, None), (lambda block: block + b".", lambda: b"!")])
    >>> changes.block(b"ab"), changes.end()
    (b'AB.', b'!')
    """

    __slots__ = ("_changes", "_owner")

    def __init__(self, changes: Iterable[tuple[Any, ...]], owner: str = "") -> None:
        self._changes = [_Change(*each) for each in changes]
        self._owner = owner

    @property
    def is_mapped(self) -> bool:
        """Whether one of them changes the blocks."""
        return any(not isinstance(change.block, _Look) for change in self._changes)

    def block(self, data: bytes, first: int = 0) -> bytes:
        """What becomes of a block.

        :param first: the function to begin with.
        :raises HookFailed: a function fails, or returns something else.
        """
        for change in self._changes[first:]:
            if not data:
                return b""
            data = self._applied(change.block, data)
        return data

    def end(self) -> bytes:
        """What is sent at the end of the body."""
        data = b""
        for number, change in enumerate(self._changes):
            data += self._inserted(change.end, number) if change.end is not None else b""
        return data

    def idle(self, now: float) -> Idle | None:
        """What is sent in silences of the upstream; None if no function is called then.

        :param now: seconds, of a clock that only goes forward; the first silence begins.
        """
        found = [(each.idle, at) for at, each in enumerate(self._changes) if each.idle is not None]
        calls = [
            IdleCall(seconds, partial(self._inserted, function, at), now)
            for (seconds, function), at in found
        ]
        return Idle(calls) if calls else None

    def _inserted(self, function: Callable[[], bytes], number: int) -> bytes:
        """What the function of one change adds, changed by those further out."""
        return self.block(self._applied(function), number + 1)

    def through(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Blocks, changed; none is empty."""
        for block in blocks:
            if changed := self.block(block):
                yield changed
        if last := self.end():
            yield last

    def _applied(self, change: Callable[..., Any], *data: bytes) -> bytes:
        if isinstance(change, _Look):
            what = f"body.watch({name_of(change.function)})"
        else:
            what = f"body.map({name_of(change)})"
        try:
            result = change(*data)
        except ProxyError:
            raise
        except Exception as error:
            raise HookFailed(f"{what}: {error!r}", self._owner) from error
        if not isinstance(result, bytes):
            raise HookFailed(f"{what} returns {type(result).__name__}, not bytes", self._owner)
        return _plain(result)


_END = object()


def _checked(content: Iterable[bytes], owner: str) -> Iterator[bytes]:
    blocks: Any = None
    while True:
        try:
            blocks = iter(content) if blocks is None else blocks
            block: Any = next(blocks, _END)
        except ProxyError:
            raise
        except Exception as error:
            raise HookFailed(f"the body that it has set: {error!r}", owner) from error
        if block is _END:
            return
        if not isinstance(block, bytes):
            what = f"the body that it has set gives {type(block).__name__}, not bytes"
            raise HookFailed(what, owner)
        if block := _plain(block):
            yield block


def _plain(block: bytes) -> bytes:
    """The bytes themselves, of which a class of their own may say what it likes."""
    return block if type(block) is bytes else b"".join([block])


def content_from(content: Content) -> bytes | Iterable[bytes]:
    """What a body is set to, text as UTF-8.

    :raises TypeError: it cannot be a body.
    """
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, bytes):
        return _plain(content)
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        return content
    raise TypeError(f"a body of type {type(content).__name__}: expected bytes, str or an iterable")
