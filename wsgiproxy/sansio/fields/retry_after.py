"""Retry-After: how long an upstream wants to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from wsgiproxy.sansio.message import Headers

__all__ = ["retry_after"]

# Seconds; an upstream that says more is asked again all the same.
_MOST = 3600


def retry_after(headers: Headers, now: float) -> float:
    """Seconds for which the upstream is not to be asked; 0 if it does not say.

    :param now: seconds since the epoch, for a date.

    >>> retry_after([("Retry-After", "120")], 0)
    120.0
    >>> retry_after([("Retry-After", "Thu, 01 Jan 1970 00:01:00 GMT")], 50)
    10.0
    """
    for name, value in headers:
        if name.lower() == "retry-after":
            return min(max(_seconds(value.strip(), now), 0.0), float(_MOST))
    return 0.0


def _seconds(value: str, now: float) -> float:
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
