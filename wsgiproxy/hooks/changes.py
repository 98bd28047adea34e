"""What the blocks of a body go through: functions of hooks, and checks of what these give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from wsgiproxy.errors import ProxyError
from wsgiproxy.hooks.idle import Idle, IdleCall
from wsgiproxy.sansio.hooks import HookFailed, name_of

__all__ = ["Change", "Changes", "Look", "checked", "plain"]

# Seconds, and what is called after so many of silence.
_Idle = tuple[float, Callable[[], bytes]]


class Change(NamedTuple):
    """What the blocks of a body go through, what is called at its end, and in its silences."""

    block: Callable[[bytes], bytes]
    end: Callable[[], bytes] | None = None
    idle: _Idle | None = None


class Look:
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
        self._changes = [Change(*each) for each in changes]
        self._owner = owner

    def __bool__(self) -> bool:
        return bool(self._changes)

    @property
    def is_mapped(self) -> bool:
        """Whether one of them changes the blocks."""
        return any(not isinstance(change.block, Look) for change in self._changes)

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
        if isinstance(change, Look):
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
        return plain(result)


_END = object()


def checked(content: Iterable[bytes], owner: str) -> Iterator[bytes]:
    """The blocks of a body that a hook has set, none of them empty.

    :raises HookFailed: it fails, or gives something else than bytes.
    """
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
        if block := plain(block):
            yield block


def plain(block: bytes) -> bytes:
    """The bytes themselves, of which a class of their own may say what it likes."""
    return block if type(block) is bytes else b"".join([block])
