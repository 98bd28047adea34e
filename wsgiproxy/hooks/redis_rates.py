"""How much of its limit each client has used, counted in Redis for all processes.

It never refuses a request because Redis cannot be asked: a limit protects, and is no login.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import Seldom

__all__ = ["RedisRates"]

_log = logging.getLogger("wsgiproxy.error")

# The generic cell rate algorithm, as in wsgiproxy.hooks.limit_rate.Rates, in microseconds: whole
# numbers that a double of Lua holds. Redis runs a script as one step, and its clock is that of all.
# A clock that was put back must not lock anyone out for longer than the period.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local till = tonumber(redis.call('GET', KEYS[1]) or now)
till = math.min(math.max(till, now), now + burst + interval)
if till - now > burst then
  return till - now - burst
end
till = till + interval
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil((till - now) / 1000))
return 0
"""
# Seconds for an answer of Redis, which clients of the proxy wait for; and without another question
# after a failure, so that they do not all wait for a Redis that is silent.
_TIMEOUT, _PAUSE = 0.5, 1.0


class RedisRates:
    """As :class:`~wsgiproxy.hooks.limit_rate.Rates`, for all processes that use one Redis.

    :param requests: that may come at once, and in each period.
    :param seconds: the period.
    :param redis: an address such as ``redis://localhost:6379/0``, or a client, a ``redis.Redis``.
    :raises ConfigurationError: it is another thing, or the package ``redis`` is not installed.
    """

    def __init__(self, requests: int, seconds: float, redis: Any) -> None:
        interval = max(1, round(seconds / requests * 1_000_000))
        # Never under 0, so that a client with no debt passes.
        self._arguments = [interval, max(0, round(seconds * 1_000_000) - interval)]
        self._prefix = f"wsgiproxy:limit_rate:{requests}/{seconds:g}:"
        self._script, self._failure = _script_of(redis)
        self._failures = Seldom(_log)
        self._next = 0.0

    def wait(self, client: str) -> float:
        """Count a request; the seconds to wait where it is one too many, which is not counted.

        It blocks until Redis answers. Where that fails it is 0: the request passes.
        """
        if time.monotonic() < self._next:
            return 0.0
        try:
            wait: int = self._script(keys=[self._prefix + client], args=self._arguments)
        except (self._failure, OSError) as error:
            self._next = time.monotonic() + _PAUSE
            # Its text may have the address, but no password.
            self._failures.warn(f"limit_rate: requests pass uncounted, Redis has failed: {error}")
            return 0.0
        return wait / 1_000_000


def _script_of(redis: Any) -> tuple[Any, type[Exception]]:
    """The script as a function, and what it raises."""
    try:
        import redis as library
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigurationError("redis=: expected the package redis: the extra redis") from error
    client = redis
    if isinstance(redis, str):
        try:
            client = library.Redis.from_url(
                redis,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                # One more try is for a kept connection that Redis has closed.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError:  # which may show a password
            raise ConfigurationError("redis=: expected redis://host:port/0 or the like") from None
    if not isinstance(client, library.Redis):
        what = type(redis).__name__
        raise ConfigurationError(f"redis= of type {what}: expected an address, or a redis.Redis")
    return client.register_script(_SCRIPT), library.RedisError
