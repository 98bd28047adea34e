"""A bounded memory for pure functions of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, overload

__all__ = ["remembered"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_Function = Callable[[_K], _V]


class _Memory(dict[_K, _V], Generic[_K, _V]):
    __slots__ = ("_function", "_limit")

    def __init__(self, function: _Function[_K, _V], limit: int) -> None:
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


@overload
def remembered(function: _Function[_K, _V]) -> _Function[_K, _V]: ...


@overload
def remembered(*, limit: int) -> Callable[[_Function[_K, _V]], _Function[_K, _V]]: ...


def remembered(function: _Function[_K, _V] | None = None, *, limit: int = 2048) -> object:
    """Remember the results of a pure function of one argument; a full memory starts afresh.

    Clients can make up names and so fill it: it forgets all rather than to grow or to stay
    full of rubbish, and results for long arguments are not kept. A look costs a third of one
    at :func:`functools.lru_cache`.

    :param function: what to remember the results of.
    :param limit: how many.

    >>> @remembered(limit=2)
    ... def square(n):
    ...     return n * n
    >>> square(3), square(4), square(5), len(square.__self__)
    (9, 16, 25, 1)
    """
    if function is None:
        return lambda function: _Memory(function, limit).__getitem__
    return _Memory(function, limit).__getitem__
