"""What is told of traffic cannot fail it: a fault of the inspector is logged, and the rest goes on.

An application may give a server what no server takes; it has to fail as it would without us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["harmless", "made"]

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
    has_failed = False

    @wraps(tell)
    def told(*arguments: Any, **named: Any) -> Any:
        nonlocal has_failed
        try:
            return tell(*arguments, **named)
        except Exception as error:
            if not has_failed:
                has_failed = True
                _log.error("an exchange is shown in part: %r", error, exc_info=True)
            return None

    return cast(F, told)


@harmless
def made(make: Callable[[], T]) -> T:
    """What a function makes; None if it cannot."""
    return make()
