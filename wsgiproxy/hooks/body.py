"""The body of a message, as it arrives or as hooks set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wsgiproxy.hooks.changes import Change, Changes, Look, checked, plain
from wsgiproxy.sansio.hooks import HookFailed
from wsgiproxy.sansio.message import BLOCK

__all__ = ["Body", "Changes", "Content", "content_from"]

#: What a body may be set to.
Content = bytes | str | Iterable[bytes]


class Body:
    """A body on its way, which is read once.

    :ivar changes: what its blocks go through.
    :ivar is_same: it has been set to what it was.
    :ivar owner: the hooks that have set or changed it.
    :ivar holder: the hook that has handed it over last.
    :ivar replaced: the one that stood here before, which this one may be made of.
    """

    __slots__ = (
        "_claimed",
        "_is_closed",
        "_is_spent",
        "changes",
        "content",
        "holder",
        "is_same",
        "owner",
        "replaced",
        "source",
    )

    def __init__(self, source: Any = None, content: bytes | Iterable[bytes] | None = None) -> None:
        #: What the edge reads it from; None for a body that was set.
        self.source = source
        self.content = content
        self.changes: list[Change] = []
        self.is_same = content is None
        self.owner = self.holder = ""
        self._claimed = 0
        self._is_closed = self._is_spent = False
        self.replaced: Body | None = None

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
        self.changes.append(Change(change, end, idle))

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
        self.changes.append(Change(Look(look), None if end is None else Look(end), None))

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
        blocks = checked(self.content, self.owner)
        if not self.changes:
            return blocks
        changed = Changes(self.changes, self.owner).through(blocks)
        if not isinstance(self.content, (list, tuple)):
            return changed
        # It may be sent again, and its functions may remember what they have seen.
        self.content, self.changes = list(changed), []
        return iter(self.content)

    @property
    def can_close(self) -> bool:
        """Whether there is something to be closed."""
        one: Body | None = self
        while one is not None and (one._is_closed or not hasattr(one.content, "close")):
            one = one.replaced
        return one is not None

    def close(self) -> HookFailed | None:
        """Close what was set, and what had been set before; the last failure, if there is one."""
        fault: HookFailed | None = None
        one: Body | None = self
        while one is not None:
            close = None if one._is_closed else getattr(one.content, "close", None)
            one._is_closed = True
            try:
                if close is not None:
                    close()
            except Exception as error:
                fault = HookFailed(f"closing its body: {error!r}", one.owner)
                fault.__cause__ = error
            one = one.replaced
        return fault


def content_from(content: Content) -> bytes | Iterable[bytes]:
    """What a body is set to, text as UTF-8.

    :raises TypeError: it cannot be a body.
    """
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, bytes):
        return plain(content)
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        return content
    raise TypeError(f"a body of type {type(content).__name__}: expected bytes, str or an iterable")
