"""A bounded memory for pure functions of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

_K = TypeVar("_K")


_V = TypeVar("_V")


class Remembered(dict[_K, _V], Generic[_K, _V]):
    """A pure function with a bounded memory; a full one starts afresh.

    Whoever can make up names could fill it, so it forgets all rather than to grow or to
    stay full of rubbish, and what is long is not worth its memory.

    >>> square = Remembered(lambda n: n * n, limit=2)
    >>> square[3], square[4], square[5], len(square)
    (9, 16, 25, 1)
    """

    __slots__ = ("_function", "_limit")

    def __init__(self, function: Callable[[_K], _V], limit: int = 2048) -> None:
        super().__init__()
        self._function = function
        self._limit = limit

    def __missing__(self, key: _K) -> _V:
        value = self._function(key)
        if _size(key) > _LONG:
            return value
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


# Characters; names, hosts and addresses are shorter.
_LONG = 256


def _size(key: object) -> int:
    if isinstance(key, tuple):
        return sum(map(_size, key))
    return len(key) if isinstance(key, (str, bytes)) else 0
