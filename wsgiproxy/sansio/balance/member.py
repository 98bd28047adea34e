"""One upstream of several: what is known of it, and the limits by which it is put aside."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError

__all__ = ["HEAVIEST", "NO_LIMIT", "Health", "Member", "Outcome"]

#: The largest weight, as in HAProxy: a turn of the rotation has as many places as the weights' sum.
HEAVIEST = 256
#: More requests than can be in flight.
NO_LIMIT = 1 << 62


class Outcome(enum.Enum):
    """How one request ended, as far as it says something about the upstream."""

    GOOD = "an answer that is no failure of the upstream, such as 200 or 404"
    FAILED = "no connection, cut off before a head, too late, or a gateway error: 502, 503, 504"
    NEUTRAL = "says nothing: the client left, or 429, which is about the client"


class Health(NamedTuple):
    """Limits of passive health: what is learned from the requests themselves.

    An upstream is put aside after *max_fails* failures in a row, none older than *window*. One
    good answer starts the count again, so that a single bad address of the site, or one answer in
    a hundred, does not put a busy upstream aside, while a dead one is known after three requests.
    nginx and Caddy put it aside after one failure, but neither of them counts a 503.

    :param max_fails: failures in a row, at least 1.
    :param window: seconds; older failures are forgotten. It is longer than several connections that
        time out one after the other, or a site with few requests would never know a dead host.
    :param pause: seconds of the first pause: short, since most failures are restarts.
    :param longest: seconds of the longest pause; each one in a row is twice as long as the one
        before. A member that was up for so long begins with the first pause again.
    :raises ConfigurationError: a number that is not positive; by :meth:`checked`.

    >>> Health(pause=0.5).length(3)
    4.0
    """

    max_fails: int = 3
    window: float = 60.0
    pause: float = 1.0
    longest: float = 60.0

    def length(self, repeats: int) -> float:
        """Seconds of a pause.

        :param repeats: how many pauses came before it in a row.
        """
        return min(self.pause * 2.0 ** min(repeats, 64), self.longest)

    def checked(self) -> Health:
        """Itself, if its limits make sense.

        >>> Health(max_fails=0).checked()
        Traceback (most recent call last):
        ...
        wsgiproxy.errors.ConfigurationError: max_fails=0: expected a number above 0
        """
        for name, value in self._asdict().items():
            if isinstance(value, bool) or not 0 < value < math.inf:
                raise ConfigurationError(f"{name}={value!r}: expected a number above 0")
        if self.longest < self.pause:
            raise ConfigurationError(
                f"longest={self.longest!r}: expected at least the first pause, {self.pause!r}"
            )
        return self


class Member:
    """One upstream, with what its balancer knows of it. Only a balancer makes and changes it.

    :ivar key: its address, or another name that no other one has.
    :ivar weight: its share beside the others.
    :ivar in_flight: requests that it has been chosen for and that have not ended.
    :ivar fails: failures in a row.
    :ivar pauses: pauses in a row, which make the next one longer.
    :ivar resumes_at: when its pause ends, or has ended; in the seconds of the caller's clock.

    >>> Member("a:80", weight=1)
    <Member a:80 up, 0 in flight>
    """

    __slots__ = (
        *("key", "weight", "in_flight", "limit"),
        *("fails", "failing_since", "pauses", "resumes_at", "resumed_at"),
        *("stage", "asked_at", "is_down", "checks"),
        *("served", "stamp"),
    )

    def __init__(self, key: str, weight: int) -> None:
        self.key = key
        self.weight = weight
        self.in_flight = 0
        #: In flight at most, on the short way of Balancer.choose: 0 while it is probed, and -1 if
        #: it is not to be chosen.
        self.limit = NO_LIMIT
        self.fails = 0
        self.failing_since = -math.inf
        self.pauses = 0
        self.resumes_at = -math.inf
        self.resumed_at = -math.inf
        self.stage = "up"
        #: When the request of a probe was sent that has not ended.
        self.asked_at = -math.inf
        self.is_down = False
        #: Active checks in a row: good ones above 0, bad ones below.
        self.checks = 0
        # For the policy "least": requests so far by weight, and the number of the valid entry.
        self.served = 0.0
        self.stamp = 0

    @property
    def state(self) -> str:
        """Its state.

        ``up``: it is chosen. ``paused``: it failed, and is not chosen until *resumes_at*.
        ``probing``: the pause is over, and one request, now or soon, tells whether it is up.
        ``down``: active checks say so.
        """
        return "down" if self.is_down else self.stage

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} {self.state}, {self.in_flight} in flight>"
