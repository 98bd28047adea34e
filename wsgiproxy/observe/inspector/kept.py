"""Bodies that are kept: the first blocks in memory, a longer body in a file, a very long one cut.

Nothing here fails an exchange: a disk that is full cuts what is kept, not what passes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from wsgiproxy.observe.inspector.harmless import harmless

__all__ = ["ARRIVAL", "IN_MEMORY", "Kept", "Limits", "Spool"]

#: Bytes of one body that stay in memory; a longer one is in a file.
IN_MEMORY = 65536

_MEBIBYTE = 1 << 20
# Arrivals of blocks that are noted for an event stream.
_ARRIVALS = 10_000
#: Bytes of memory for the moment of one block.
ARRIVAL = 120


class Limits(NamedTuple):
    """How much is kept.

    :param exchanges: their number.
    :param memory: bytes of memory, of all of them.
    :param body: bytes of one body; it is cut behind them.
    :param disk: bytes of files, of all of them.
    """

    exchanges: int = 1000
    memory: int = 64 << 20
    body: int = 16 << 20
    disk: int = 1 << 30


class Spool:
    """A folder for the bodies that are too long for memory; it goes with its owner.

    :param limit: bytes; None for no limit.
    :param over: called when more stand in it, and again after each further MiB.
    :ivar size: bytes that stand in it.
    """

    def __init__(self, limit: int | None = None, over: Callable[[], object] = tuple) -> None:
        self._limit = limit
        self._over = over
        self._told = 0
        self._folder: str | None = None
        self._process = 0
        self._number = 0
        self._lock = threading.RLock()
        self.size = 0

    def grow(self, count: int) -> None:
        """So many bytes more stand in it, or fewer."""
        with self._lock:  # more threads than one add to it
            self.size += count

    def settle(self) -> None:
        """Say that it is too large, if it is."""
        is_over = self._limit is not None and self.size > self._limit
        if is_over and abs(self.size - self._told) > _MEBIBYTE:
            self._told = self.size
            self._over()

    def new(self) -> tuple[str, BinaryIO]:
        """A new file, for this user alone, and its path.

        :raises OSError: there can be none.
        """
        with self._lock:
            if self._folder is None or self._process != os.getpid():  # the old one is the parent's
                self._folder = tempfile.mkdtemp(prefix="wsgiproxy-inspector-")
                self._process = os.getpid()
                weakref.finalize(self, _remove, self._folder, self._process)
            self._number += 1
            path = os.path.join(self._folder, str(self._number))
        return path, open(path, "xb", buffering=0)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


class Kept:
    """A body, as far as it is kept.

    :param limit: bytes; the rest is only counted.
    :param spool: where it goes when it is long.
    :ivar size: bytes that have passed.
    :ivar kept: bytes that are kept.
    :ivar is_whole: its end has passed.
    """

    __slots__ = (
        "_blocks",
        "_file",
        "_is_full",
        "_is_gone",
        "_limit",
        "_lock",
        "_path",
        "_spool",
        "arrivals",
        "is_whole",
        "kept",
        "size",
    )

    def __init__(self, limit: int, spool: Spool) -> None:
        self.size = self.kept = 0
        self.is_whole = self._is_full = self._is_gone = False
        #: For an event stream: the bytes that had passed, and the seconds then; None for others.
        self.arrivals: list[tuple[int, float]] | None = None
        self._blocks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._path = ""
        self._limit = limit
        self._spool = spool
        # Of the file: without it, one that is closed by another thread could be written by this
        # one, when its number is that of a socket. Whatever garbage ends meanwhile, may end here.
        self._lock = threading.RLock()

    @harmless
    def add(self, block: bytes, seconds: float = 0.0) -> None:
        """One block has passed.

        :param seconds: since the exchange began; noted where arrivals are.
        """
        self.size += len(block)
        arrivals = self.arrivals
        if arrivals is not None and len(arrivals) < _ARRIVALS and not self._is_gone:
            arrivals.append((self.size, seconds))
        if self._is_full or not block:
            return
        room = self._limit - self.kept
        if len(block) > room:
            block = block[:room]
            self._is_full = True
        if self._file is None and self.kept + len(block) <= IN_MEMORY:
            self._blocks.append(block if type(block) is bytes else bytes(block))
            self.kept += len(block)
        else:
            self._write(block)
        if self._is_full:
            self._close()

    def _write(self, block: bytes) -> None:
        with self._lock:
            if self._is_gone:
                return
            try:
                if self._file is None:
                    self._open()
                self._written(block)
            except OSError:  # such as a full disk; what is kept by now stays
                self._is_full = True
                self._close()
        self._spool.settle()  # without the lock: this or another body may have to go

    def _open(self) -> None:
        """Move what is in memory to a file.

        :raises OSError: it cannot; then it stays in memory.
        """
        path, file = self._spool.new()
        data = b"".join(self._blocks)
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, "a part was written")
        except OSError:
            file.close()
            _unlink(path)
            raise
        self._file, self._path, self._blocks = file, path, []
        self._spool.grow(self.kept)

    def _written(self, block: bytes) -> None:
        assert self._file is not None
        count = self._file.write(block) or 0
        self.kept += count
        self._spool.grow(count)
        if count < len(block):  # the disk is full
            self._is_full = True

    def end(self, *, is_whole: bool = True) -> None:
        """Nothing more passes.

        :param is_whole: it was all of it.
        """
        self.is_whole = self.is_whole or is_whole
        self._close()

    def _close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
                self._is_full = True

    @property
    def is_cut(self) -> bool:
        """Whether more has passed than is kept."""
        return self.kept < self.size

    @property
    def in_memory(self) -> int:
        """Bytes of memory for what is kept."""
        arrivals = ARRIVAL * len(self.arrivals) if self.arrivals else 0
        return arrivals + (0 if self._path else self.kept + 50 * len(self._blocks))

    @property
    def on_disk(self) -> int:
        """Bytes of a file for what is kept."""
        return self.kept if self._path else 0

    def read(self, limit: int | None = None) -> bytes:
        """The first bytes of what is kept; fewer if its file cannot be read.

        :param limit: bytes; None for all.
        """
        path = self._path
        if not path:
            data = b"".join(self._blocks)
            return data if limit is None else data[:limit]
        try:
            with open(path, "rb") as file:
                return file.read(-1 if limit is None else limit)
        except OSError:
            return b""

    def arrived(self, offset: int) -> float | None:
        """The seconds of the exchange at which the byte before *offset* had passed."""
        if not self.arrivals:
            return None
        place = bisect_left(self.arrivals, (offset, 0.0))
        return self.arrivals[place][1] if place < len(self.arrivals) else None

    def forget(self) -> None:
        """Give up memory and file; what still passes is only counted."""
        with self._lock:
            self._is_gone = self._is_full = True
            self._close()
            path, self._path, self._blocks = self._path, "", []
            if path:
                self._spool.grow(-self.kept)
                _unlink(path)
            self.kept = 0
            if self.arrivals:
                self.arrivals = []


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
