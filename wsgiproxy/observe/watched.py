"""What is looked at when figures are asked for: pools, tunnels, commands and sets of upstreams.

Each registers itself when it is made, which costs nothing afterwards, and none is kept alive.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

__all__ = ["POOLS", "SPAWNERS", "TUNNELS", "UPSTREAMS", "Watched"]

T = TypeVar("T")

# Another thread may add to the set while it is copied; that happens seldom, and not for long.
_TRIALS = 100


class Watched(Generic[T]):
    """Objects that are still in use, whatever threads add or drop meanwhile."""

    def __init__(self) -> None:
        self._known: weakref.WeakSet[T] = weakref.WeakSet()

    def add(self, each: T) -> None:
        """Look at it from now on."""
        self._known.add(each)

    def __iter__(self) -> Iterator[T]:
        for _ in range(_TRIALS):
            with contextlib.suppress(RuntimeError):
                return iter(list(self._known))
        return iter(())

    def clear(self) -> None:
        """Forget all, such as those of the parent process."""
        self._known = weakref.WeakSet()


#: Have ``counts()``: open and idle connections by their origin.
POOLS: Watched[Any] = Watched()
#: Have a ``count`` of those that are open.
TUNNELS: Watched[Any] = Watched()
#: Have ``command``, a text; and a ``lifecycle`` with ``state``, ``starts`` and ``failures``.
SPAWNERS: Watched[Any] = Watched()
#: Have ``members``, each with ``key``, ``state`` and ``in_flight``.
UPSTREAMS: Watched[Any] = Watched()
