"""The exchanges that are kept: the last ones, bounded in number, memory and disk.

Nothing waits at the end of an exchange, which may come at any point of another one, when an answer
is garbage: what it costs is counted when the next one begins, or when they are looked at.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Limits, Spool

__all__ = ["Changes", "Ring"]


# Bytes of memory for an exchange that is packed, without the block.
_PACKED = 250
# So many that have ended are packed at once; one more of so many is kept until room is made.
_AT_ONCE = 8


class Ring:
    """The last exchanges.

    :param limits: how much is kept.
    :ivar is_paused: what begins meanwhile is not kept.
    :ivar keep_until: says whether the exchange of a number may go, where another one writes them;
        twice as much as the limits say is kept for it. None for no such one.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._most = self.limits.exchanges + self.limits.exchanges // _AT_ONCE
        self.is_paused = False
        self._numbers = itertools.count(1)
        self._begin_empty()
        _rings.add(self)

    def _begin_empty(self) -> None:
        self.keep_until: Callable[[int], bool] | None = None
        #: Where long bodies go.
        self.spool = Spool(self.limits.disk, self.relieve)
        #: In the order of their beginning; what has ended is a block of bytes, if it can be.
        self._exchanges: dict[int, Exchange | bytes] = {}
        #: Those under way that are more than their heads.
        self.growing: dict[int, Exchange] = {}
        self._memory = 0
        #: Those that have ended, and are still to be counted.
        self.ended: deque[Exchange] = deque()
        self._lock = threading.Lock()
        #: What is told of changes.
        self.listeners: tuple[Changes, ...] = ()

    def begin(self, world: int, facts: Any, scheme: str, mount: str = "") -> Exchange | None:
        """A request has come; None if it is not to be kept.

        :param world: which facts they are; see :data:`.heads.READERS`.
        """
        if self.is_paused:
            return None
        number = next(self._numbers)
        self._exchanges[number] = exchange = Exchange(number, world, facts, scheme, mount, self)
        if len(self.ended) >= _AT_ONCE or len(self._exchanges) > self._most:
            self._tidy()
        if self.listeners:
            self.tell(number)
        return exchange

    def new(self, world: int, facts: Any, scheme: str, mount: str = "") -> Exchange:
        """An exchange that is not among them yet, such as one of a file; see :meth:`add`."""
        return Exchange(next(self._numbers), world, facts, scheme, mount, self)

    def add(self, exchange: Exchange) -> None:
        """Keep one more; the oldest go if there is no room."""
        self._exchanges[exchange.number] = exchange
        self._tidy()
        if self.listeners:
            self.tell(exchange.number)

    def _tidy(self) -> None:
        with self._lock:
            if self.ended:
                self._count()
            self._make_room()

    def tell(self, number: int) -> None:
        """An exchange has changed; 0 for the ring itself."""
        for listener in self.listeners:
            listener.note(number)

    def _count(self) -> None:
        """Pack what has ended, and take down what it costs."""
        while self.ended:
            exchange = self.ended.popleft()
            if self.growing:
                self.growing.pop(exchange.number, None)
            if not exchange.is_forgotten:
                packed = exchange.packed() if exchange.number in self._exchanges else None
                if packed is None:
                    self._take_down(exchange)
                else:
                    self._exchanges[exchange.number] = packed
                    self._memory += _PACKED + len(packed) - exchange.cost

    def _take_down(self, exchange: Exchange) -> None:
        cost = exchange.in_memory
        self._memory += cost - exchange.cost
        exchange.cost = cost

    def keep_whole(self, exchange: Exchange) -> None:
        """One that has ended goes on: it is not packed any more."""
        with self._lock:
            self._count()
            packed = self._exchanges.get(exchange.number)
            if packed is None:  # it was dropped meanwhile
                exchange.forget()
                return
            if isinstance(packed, bytes):
                self._exchanges[exchange.number] = exchange
                self._memory -= _PACKED + len(packed)
                exchange.cost = 0
        self.ended.append(exchange)

    def _make_room(self) -> None:
        """Drop the oldest ones, until there is no more than is allowed."""
        may_go = self.keep_until
        while self._is_over(1):
            excess = len(self._exchanges) - self.limits.exchanges
            # One after the other, each search for the first would pass all that have gone.
            for number in self._oldest(max(excess, 1)):
                if may_go is not None and not may_go(number) and not self._is_over(2):
                    return
                self._drop(number)

    def _oldest(self, count: int) -> list[int]:
        while True:
            try:
                return list(islice(self._exchanges, count))
            except RuntimeError:  # another one has begun, while garbage was collected here
                continue

    def _is_over(self, times: int) -> bool:
        """Whether there is more than so many times what is allowed; one alone never is."""
        limits, number = self.limits, len(self._exchanges)
        return number > 1 and (
            number > limits.exchanges * times
            or self._memory > limits.memory * times
            or self.spool.size > limits.disk * times
        )

    def _drop(self, number: int) -> None:
        exchange = self._exchanges.pop(number)
        if isinstance(exchange, bytes):
            self._memory -= _PACKED + len(exchange)
            return
        self.growing.pop(number, None)
        self._memory -= exchange.cost
        exchange.forget()

    def relieve(self) -> None:
        """As :meth:`settle`, unless that is being done, perhaps by this very thread.

        What is garbage may end an exchange, and pass more of its body, at any point of it.
        """
        if not self._lock.locked():
            self.settle()

    def settle(self) -> None:
        """Count what has ended, and what is still under way and long."""
        # Others may begin to grow meanwhile.
        growing = list(self.growing.values())
        with self._lock:
            for exchange in growing:
                if not exchange.is_forgotten:
                    self._take_down(exchange)
        self._tidy()

    @property
    def memory(self) -> int:
        """Bytes of memory for all of them, about."""
        self.settle()
        return self._memory

    @property
    def disk(self) -> int:
        """Bytes of their files."""
        return self.spool.size

    def __len__(self) -> int:
        self._tidy()
        return len(self._exchanges)

    def __getitem__(self, number: int) -> Exchange:
        """One of them.

        :raises KeyError: it is not kept, or no longer.
        """
        return self._unpacked(number, self._exchanges[number])

    def _unpacked(self, number: int, exchange: Exchange | bytes) -> Exchange:
        """An exchange to look at; one that is packed is unpacked anew each time."""
        if isinstance(exchange, bytes):
            return Exchange.unpack(number, exchange, self)
        return exchange

    @property
    def first(self) -> int:
        """The number of the oldest; 0 if there is none."""
        return min(self.numbers(), default=0)

    def exchanges(self) -> list[Exchange]:
        """All of them, the oldest first."""
        self._tidy()
        return [self._unpacked(*each) for each in self._exchanges.copy().items()]

    def numbers(self) -> set[int]:
        """Of all of them."""
        self._tidy()
        return set(self._exchanges)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._count()
            for number in list(self._exchanges):
                self._drop(number)
        for listener in self.listeners:
            listener.note(0)

    def pause(self, is_paused: bool) -> None:
        """Keep nothing of what begins from now on, or go on."""
        self.is_paused = is_paused
        for listener in self.listeners:
            listener.note(0)

    def listen(self) -> Changes:
        """What changes from now on; to be closed."""
        changes = Changes(self)
        with self._lock:
            self.listeners = (*self.listeners, changes)
        return changes

    def unlisten(self, changes: Changes) -> None:
        """Tell it of no more."""
        with self._lock:
            self.listeners = tuple(each for each in self.listeners if each is not changes)


_rings: weakref.WeakSet[Ring] = weakref.WeakSet()


def _begin_in_child() -> None:
    """The files are the parent's, and its threads, which may have held the lock, are not there."""
    for ring in list(_rings):
        ring._begin_empty()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)


class Changes:
    """The numbers of exchanges that have changed since they were last asked for."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._numbers: deque[int] = deque()
        # An exchange may end, and be noted, where garbage is collected: within a wait, too. An
        # event would be locked then; this queue may be put into at any point.
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._is_called = False

    def note(self, number: int) -> None:
        """An exchange has changed; 0 for the ring itself."""
        self._numbers.append(number)
        if not self._is_called:
            self._is_called = True
            self._calls.put(None)

    def wait(self, seconds: float) -> set[int]:
        """Those that have changed; none after *seconds* without a change, or a little earlier."""
        with contextlib.suppress(Empty):
            self._calls.get(timeout=seconds)
        self._is_called = False
        # Not until it is empty: others add to it meanwhile.
        return {self._numbers.popleft() for _ in range(len(self._numbers))}

    def close(self) -> None:
        """Listen no more."""
        self._ring.unlisten(self)
        self._calls.put(None)
