"""The options of several upstreams."""

from __future__ import annotations

from wsgiproxy.settings.convert import count, positive_count, seconds, text, words
from wsgiproxy.settings.rows import COUNT, SECONDS
from wsgiproxy.settings.setting import Setting

__all__ = ["BALANCE"]

_AT_ONCE = "a whole number from 1 on"
_STATUSES = "statuses from 400 to 599, such as 429 503 529"


def _statuses(value: object) -> tuple[int, ...]:
    numbers = tuple(map(int, words(value) if isinstance(value, str) else _numbers(value)))
    if not all(400 <= number <= 599 for number in numbers):
        raise ValueError(value)
    return numbers


def _numbers(value: object) -> tuple[int, ...]:
    each = (value,) if isinstance(value, int) else tuple(value)  # type: ignore[arg-type]
    if any(isinstance(one, bool) for one in each):
        raise ValueError(value)
    return each


def _path(value: object) -> str:
    path = text(value)
    if path[:1] != "/" or not path.isascii() or not path.isprintable() or set(path) & set(" #"):
        raise ValueError(value)
    return path


BALANCE = (
    Setting(
        "balance",
        text,
        "round-robin",
        "round-robin, least, two-choices, hash:client, hash:HEADER, sticky or session:HEADER",
        "how one of several targets is chosen",
        metavar="POLICY",
    ),
    Setting(
        "retries",
        count,
        0,
        COUNT,
        "other targets that get an idempotent request after one that has failed with it",
    ),
    Setting(
        "retry_statuses",
        _statuses,
        (),
        _STATUSES,
        "statuses after which another target is asked",
        ("retries",),
        metavar="STATUSES",
    ),
    Setting(
        "max_fails",
        positive_count,
        3,
        _AT_ONCE,
        "failures in a row after which a target is left out for a second, and longer each time",
    ),
    Setting(
        "check_path",
        _path,
        None,
        "a path such as /health",
        "asked of each target between requests, and to be answered with 2xx or 3xx",
        metavar="PATH",
    ),
    Setting(
        "check_interval",
        seconds,
        5.0,
        SECONDS,
        "seconds between two checks of a target",
        ("check_path",),
    ),
    Setting("lookup_interval", seconds, 30.0, SECONDS, "seconds between two look-ups of dns:name"),
    Setting(
        "max_in_flight", positive_count, None, _AT_ONCE, "requests that one target has at once"
    ),
    Setting(
        "max_in_flight_per_client",
        positive_count,
        None,
        _AT_ONCE,
        "requests that one client address may have at once",
    ),
    Setting(
        "queue_size",
        count,
        0,
        COUNT,
        "requests that wait for room; others get 503, or 429 for a client of its own",
        ("max_in_flight", "max_in_flight_per_client"),
    ),
    Setting("queue_timeout", seconds, 5.0, SECONDS, "seconds to wait for room", ("queue_size",)),
)
