"""Members of a JSON object by name, checked; a fault says where it is and what was expected."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from wsgiproxy.errors import ConfigurationError

__all__ = ["Members", "wrong"]

# Characters of a value in a message.
_SHOWN = 60


def wrong(where: str, value: object, expected: str) -> NoReturn:
    """Refuse a value.

    :raises ConfigurationError: always.
    """
    shown = repr(value) if not isinstance(value, (list, dict)) else type(value).__name__
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}..."
    raise ConfigurationError(f"{where} is {shown}; expected {expected}")


class Members:
    """The members of an object. One that is null is one that is not there.

    :param value: what has to be an object.
    :param where: its place in the file, such as ``log.entries[3].request``.
    :raises ConfigurationError: it is none.

    >>> Members({"a": {"b": 1}}, "log").member("a").number("b")
    1.0
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            wrong(where, value, "an object")
        self._value: dict[str, Any] = value
        self.where = where

    def get(self, name: str) -> Any:
        """A member as it is; None if it is not there."""
        return self._value.get(name)

    def place(self, name: str) -> str:
        """Where a member is."""
        return f"{self.where}.{name}"

    def member(self, name: str) -> Members:
        """A member that is an object, which is empty if it is not there."""
        value = self.get(name)
        return Members({} if value is None else value, self.place(name))

    def items(self, name: str) -> list[Any]:
        """A member that is a list, which is empty if it is not there."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            wrong(self.place(name), value, "a list")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A member that is a text."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            wrong(self.place(name), value, "a text")
        return value

    def number(self, name: str) -> float | None:
        """A number that is not negative; None for anything else, since -1 stands for unknown."""
        value = self.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        try:
            found = float(value) if is_number else -1.0
        except OverflowError:
            return None
        return found if math.isfinite(found) and found >= 0 else None

    def size(self, name: str) -> int | None:
        """The same as a whole number."""
        found = self.number(name)
        return None if found is None else int(found)
