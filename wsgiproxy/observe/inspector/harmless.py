"""What is told of traffic cannot fail it: a fault of the inspector is logged, and the rest goes on.

An application may give a server what no server takes; it has to fail as it would without us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["harmless", "made", "note_fault"]

_log = logging.getLogger("wsgiproxy.inspector")

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def harmless(tell: F) -> F:
    """A function that raises no error, and returns None in place of one.

    The first error of each function is logged with its traceback, so that a fault at each request
    fills no disk.

    >>> @harmless
    ... def tell(text):
    ...     return len(text)
    >>> tell("abc"), tell(None)
    (3, None)
    """

    @wraps(tell)
    def told(*arguments: Any, **named: Any) -> Any:
        try:
            return tell(*arguments, **named)
        except Exception as error:
            note_fault(tell.__qualname__, error)
            return None

    return cast(F, told)


_failed: set[str] = set()


def note_fault(name: str, error: Exception) -> None:
    """Log the first error of a function, where it may cost a request nothing to be harmless.

    :param name: of the function.
    """
    if name not in _failed:
        _failed.add(name)
        _log.error("an exchange is shown in part: %r", error, exc_info=error)


@harmless
def made(make: Callable[[], T]) -> T:
    """What a function makes; None if it cannot."""
    return make()
