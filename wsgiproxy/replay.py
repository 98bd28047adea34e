"""Memory of the nonces that were seen: each signature is good for one request.

It remembers within one process only; several processes need a store that they share.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from wsgiproxy.observe.warn import warn_once

__all__ = ["MemoryReplay", "Replay"]


class Replay(Protocol):
    """A store of nonces."""

    def add(self, key: str, ttl: float) -> bool:
        """Remember a key, in one step with asking for it.

        :param key: key id and nonce.
        :param ttl: seconds for which to remember it.
        :returns: whether it is new.
        """


class MemoryReplay:
    """Nonces of one process. Only those of verified signatures come here.

    :param limit: how many to remember at most; the oldest go first.

    >>> store = MemoryReplay()
    >>> store.add("k1:nonce", 65), store.add("k1:nonce", 65)
    (True, False)
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, key: str, ttl: float) -> bool:
        """Remember a key; False if it is known already."""
        now = time.monotonic()
        until = self._until
        with self._lock:
            if until.get(key, 0.0) > now:
                return False
            self._forget(now)
            until.pop(key, None)
            until[key] = now + ttl
        return True

    def _forget(self, now: float) -> None:
        """Drop those that have run out; what has not, but is too much, with a warning."""
        until = self._until
        while until:
            oldest = next(iter(until))
            if until[oldest] > now:
                if len(until) < self._limit:
                    return
                warn_once(f"replay='memory': more than {self._limit} nonces, forgetting the oldest")
            del until[oldest]
