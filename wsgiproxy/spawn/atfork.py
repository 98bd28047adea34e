"""Descriptors that a forked process closes.

A copy of the connection to a supervisor would keep its command alive, one of a listening socket
would hold its address, and one of a lock file would hold the lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

__all__ = ["making"]

# Held while a descriptor is made, and while the process forks: none is copied unregistered.
_lock = threading.Lock()


class Closable(Protocol):
    """An object that is closed in a forked process."""

    def close(self) -> None:
        """Close it; a second call has no effect, nor is a copy in another process affected."""


T = TypeVar("T", bound=Closable)
_registered: weakref.WeakSet[Closable] = weakref.WeakSet()


def _register(closable: T) -> T:
    _registered.add(closable)
    return closable


@contextlib.contextmanager
def making() -> Iterator[Callable[[T], T]]:
    """Keep the process from forking while a descriptor is made that a fork must close.

    The function that it yields registers an object, and returns it.

    >>> import socket
    >>> with making() as register:
    ...     sock = register(socket.socket())
    >>> sock.close()
    """
    with _lock:
        yield _register


def _close_all() -> None:
    _lock.release()
    for each in list(_registered):
        each.close()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_close_all)
