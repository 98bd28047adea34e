"""Where the time of an exchange went, as bars: in the proxy, and in each request to an upstream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsgiproxy.observe.inspector.attempt import Attempt
from wsgiproxy.observe.inspector.exchange import Exchange

__all__ = ["Bar", "bars"]

# Seconds; a shorter one could not be seen, and says nothing.
_SHORTEST = 0.00001


class Bar(NamedTuple):
    """A part of the time, in seconds since the exchange began."""

    name: str
    begin: float
    end: float


def bars(exchange: Exchange) -> list[Bar]:
    """The bars of an exchange, in the order of their beginning, as far as it has come."""
    now = exchange.now() if exchange.ended is None else exchange.ended
    attempts = list(exchange.attempts)
    if not attempts:
        answered = now if exchange.answered is None else exchange.answered
        found = [Bar("waiting for the response", 0.0, answered)]
        if exchange.answered is not None:
            found.append(Bar("receiving", answered, now))
        return found
    found = []
    last, number = 0.0, 0
    own = sum(attempt.is_own for attempt in attempts)
    for attempt in attempts:
        number += not attempt.is_own
        label = "a hook’s request: " if attempt.is_own else ""
        if not attempt.is_own and len(attempts) - own > 1:
            label = f"attempt {number}: "
        if attempt.began - last > _SHORTEST:
            found.append(Bar("in the proxy", last, attempt.began))
        of_attempt = [Bar(label + bar.name, bar.begin, bar.end) for bar in _of(attempt, now)]
        found += of_attempt
        last = max([last, *(bar.end for bar in of_attempt)])
    if now - last > _SHORTEST:
        found.append(Bar("in the proxy", last, now))
    return found


def _of(attempt: Attempt, now: float) -> Iterator[Bar]:
    """The bars of one attempt; the next begins where the one before has ended."""
    end = now if attempt.ended is None else attempt.ended
    begin = attempt.began
    steps = [
        ("connecting", attempt.connected),
        ("sending", attempt.sent),
        ("waiting", attempt.answered),
        ("receiving", end if attempt.answered is not None else None),
    ]
    for name, time in steps:
        if time is None:
            continue
        time = max(begin, min(time, end))
        if time - begin > _SHORTEST or name == "waiting":
            yield Bar(name, begin, time)
        begin = time
    if attempt.answered is None and end > begin:
        yield Bar("waiting", begin, end)
