"""How many retries there may be, so that they do not add to the load that makes requests fail."""

from __future__ import annotations

import math

from wsgiproxy.errors import ConfigurationError

__all__ = ["Budget"]

# Seconds for which a request pays, as in Finagle and Linkerd.
_LASTING = 10.0
# Five times a fifth, as it is added up.
_ONE = 1 - 1e-9


class Budget:
    """Retries, as a part of the requests of the last ten seconds, as Finagle and Linkerd have it.

    :param ratio: retries for each request; 0.2 is one for five.
    :param least: retries for each second that there may be however few requests there are.
    :raises ConfigurationError: a number below 0, or one that is not finite.

    >>> budget = Budget(ratio=0.5, least=0)
    >>> for _ in range(4):
    ...     budget.request(now=1.0)
    >>> [budget.take(now=1.0) for _ in range(3)]
    [True, True, False]
    """

    __slots__ = ("_at", "_least", "_paid", "_ratio", "_reserve")

    def __init__(self, ratio: float = 0.2, least: float = 3.0) -> None:
        for name, value in (("ratio", ratio), ("least", least)):
            if isinstance(value, bool) or not 0 <= value < math.inf:
                raise ConfigurationError(f"{name}={value!r}: expected a number, 0 or above")
        self._ratio = ratio
        self._least = least
        #: What requests have paid in, which fades; and what time has.
        self._paid = 0.0
        self._reserve = least
        self._at: float | None = None

    def request(self, now: float) -> None:
        """Note one request, without its retries.

        :param now: seconds of a monotonic clock.
        """
        self._pass(now)
        self._paid += self._ratio

    def take(self, now: float) -> bool:
        """Whether one retry may be made now; it is then counted.

        :param now: seconds of a monotonic clock.
        """
        self._pass(now)
        if self._paid + self._reserve < _ONE:
            return False
        # What requests have paid fades, so it is spent first.
        spent = min(self._paid, 1.0)
        self._paid -= spent
        self._reserve = max(0.0, self._reserve - (1 - spent))
        return True

    def _pass(self, now: float) -> None:
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now if self._at is None else max(self._at, now)
        self._paid *= math.exp(-elapsed / _LASTING)
        self._reserve = min(self._reserve + self._least * elapsed, max(self._least, 1.0))
