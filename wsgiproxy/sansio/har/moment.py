"""Moments as text (RFC 3339), in both directions; what time it is, is not known here."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

__all__ = ["as_moment", "as_seconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MOMENT = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d):?(\d\d):?(\d\d)(?:[.,](\d{1,9})\d*)?"
    r"(?:Z|([+-])(\d\d):?(\d\d))?",
    re.IGNORECASE | re.ASCII,
)


def as_moment(seconds: float) -> str:
    """Seconds since the epoch as a moment in UTC, to the millisecond.

    >>> as_moment(1714557600.1239), as_moment(float("inf"))
    ('2024-05-01T10:00:00.123Z', '1970-01-01T00:00:00.000Z')
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=math.floor(seconds * 1000 + 1e-3))
    except (OverflowError, ValueError):  # beyond the years that have four digits
        moment = _EPOCH
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_seconds(text: object) -> float:
    """A moment as seconds since the epoch; 0 if it is none. Without a zone it is one of UTC.

    >>> as_seconds("2024-05-01T12:00:00.5+02:00"), as_seconds("yesterday")
    (1714557600.5, 0.0)
    """
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return 0.0
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
        moment += timedelta(microseconds=int((found[7] or "0").ljust(6, "0")[:6]))
        seconds = (moment - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        return 0.0
    return seconds + offset.total_seconds() * (1 if found[8] == "-" else -1)
