"""A limit on how often one client may ask, counted in this process or in Redis.

A client is the address that the server names, an IPv6 network of 64 bits being one: no field that
a client can write is read. Behind another proxy, :class:`~wsgiproxy.WSGIProxyMiddleware` or the
server's own setting has to put the client's address there.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Generator
from typing import Any

from wsgiproxy.hooks.checks import is_number, named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.redis_rates import RedisRates
from wsgiproxy.sansio.clients import client_key
from wsgiproxy.sansio.hooks import Hook, InThread

__all__ = ["Rates", "limit_rate"]


class Rates:
    """How much of its limit each client has used (the generic cell rate algorithm).

    :param requests: that may come at once, and in each period.
    :param seconds: the period.
    :param clients: remembered at most; the one that has been quiet the longest is forgotten.

    >>> rates = Rates(2, 60)
    >>> rates.wait("192.0.2.1", 0), rates.wait("192.0.2.1", 0), rates.wait("192.0.2.1", 0)
    (0.0, 0.0, 30.0)
    """

    def __init__(self, requests: int, seconds: float, clients: int = 10_000) -> None:
        self._interval = seconds / requests
        self._burst = seconds - self._interval
        self._clients = clients
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str, now: float) -> float:
        """Count a request; the seconds to wait where it is one too many, which is not counted.

        :param now: in seconds, from a clock that never goes back.
        """
        with self._lock:
            until = max(self._until.get(client, now), now)
            if until - now > self._burst + 1e-9:
                return until - now - self._burst
            self._until[client] = until + self._interval
            self._until.move_to_end(client)
            while len(self._until) > self._clients:
                self._until.popitem(last=False)
            return 0.0


def limit_rate(requests: int, seconds: float, redis: Any = None) -> Hook:
    """Answer 429 to a client that asks too often (RFC 6585, 4), with ``Retry-After``.

    Without *redis* each process counts by itself: with four workers a client may have four times
    as many. A server that names no address, as on a Unix socket, makes all its clients one.

    :param requests: that may come at once, and in each period.
    :param seconds: the period.
    :param redis: where all processes count together: an address such as
        ``redis://localhost:6379/0``, or a ``redis.Redis`` (the extra ``redis``),
        whose limits in time then hold. Limits with the same numbers in one database are one.
        While Redis fails, requests pass uncounted, and the log ``wsgiproxy.error`` says so.
    :raises ConfigurationError: a number is not above 0, or *redis* is neither.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[limit_rate(100, seconds=60)])
    """
    right = isinstance(requests, int) and not isinstance(requests, bool) and requests > 0
    require(right, "requests", requests, "a whole number above 0")
    require(requests <= 1_000_000_000, "requests", requests, "no more than 1000000000")
    require(is_number(seconds), "seconds", seconds, "a number above 0")
    rates = Rates(requests, seconds)
    shared = None if redis is None else RedisRates(requests, seconds, redis)

    def hook(request: Request) -> Generator[Any, Any, Response | None]:
        inbound = request.inbound
        client = client_key(inbound.peer if inbound else "")
        if shared is None:
            wait = rates.wait(client, time.monotonic())
        else:
            wait = yield InThread(shared.wait, client)
        if not wait:
            yield request
            return None
        retry = {"Retry-After": str(math.ceil(wait)), "Content-Type": "text/plain"}
        return Response(429, retry | {"Cache-Control": "no-store"}, "Too many requests.\n")

    return named(hook, f"limit_rate({requests}, {seconds})")
