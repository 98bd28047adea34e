"""Converters made of others, which can be asked what they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "OrNone", "choice", "or_none"]


@dataclass(frozen=True)
class OrNone:
    """Lets None pass, and has *convert* take what is not.

    :param convert: the other converter.
    """

    convert: Callable[[object], Any]

    def __call__(self, value: object) -> Any:
        """None, or the converted value."""
        return None if value is None else self.convert(value)


@dataclass(frozen=True)
class Choice:
    """Takes one of some words.

    :param words: those that it takes.
    """

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """The word itself."""
        if value not in self.words:
            raise ValueError(value)
        return str(value)


def or_none(convert: Callable[[object], Any]) -> OrNone:
    """Let None pass.

    >>> or_none(int)(None)
    """
    return OrNone(convert)


def choice(*allowed: str) -> Choice:
    """One of some words.

    >>> choice("http", "https")("https")
    'https'
    """
    return Choice(allowed)
