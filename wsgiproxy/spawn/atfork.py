"""What a forked process must not keep.

A copy of a lifeline would keep a command alive, one of a listening socket would hold its address,
and one of a lock would keep all others out: each belongs to one process, and its forks close it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

__all__ = ["making"]

# Held while one is made, and while the process forks: none is copied before it is known.
_lock = threading.Lock()


class Closable(Protocol):
    """Closed in a forked process; more than once does no harm."""

    def close(self) -> None:
        """Close it; other copies, and locks on it, stay as they are."""


T = TypeVar("T", bound=Closable)
_known: weakref.WeakSet[Closable] = weakref.WeakSet()


def _noted(made: T) -> T:
    _known.add(made)
    return made


@contextlib.contextmanager
def making() -> Iterator[Callable[[T], T]]:
    """Keep the process from forking while something is made that a fork must not keep.

    What it gives takes note of what is made, and hands it back.

    >>> import socket
    >>> with making() as made:
    ...     sock = made(socket.socket())
    >>> sock.close()
    """
    with _lock:
        yield _noted


def _close_all() -> None:
    _lock.release()
    for each in list(_known):
        each.close()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_close_all)
