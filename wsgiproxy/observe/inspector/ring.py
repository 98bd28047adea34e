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
from queue import Empty, SimpleQueue

from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import Source
from wsgiproxy.observe.inspector.kept import Limits, Spool

__all__ = ["Changes", "Ring"]


class Ring:
    """The last exchanges.

    :param limits: how much is kept.
    :ivar is_paused: what begins meanwhile is not kept.
    :ivar keep_until: says whether an exchange may go, where another one writes them; twice as much
        as the limits say is kept for it. None for no such one.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.is_paused = False
        self._numbers = itertools.count(1)
        self._begin_empty()
        _rings.add(self)

    def _begin_empty(self) -> None:
        self.keep_until: Callable[[Exchange], bool] | None = None
        #: Where long bodies go.
        self.spool = Spool(self.limits.disk, self.settle)
        self._exchanges: dict[int, Exchange] = {}
        self._order: deque[Exchange] = deque()  # of their beginning
        self._under_way: dict[int, Exchange] = {}
        self._memory = 0
        #: Those that have ended, and are still to be counted.
        self.ended: deque[Exchange] = deque()
        self._lock = threading.Lock()
        #: What is told of changes.
        self.listeners: tuple[Changes, ...] = ()

    def begin(self, source: Source, scheme: str) -> Exchange | None:
        """A request has come; None if it is not to be kept."""
        if self.is_paused:
            return None
        exchange = Exchange(next(self._numbers), source, scheme, self)
        self.add(exchange)
        return exchange

    def new(self, source: Source, scheme: str) -> Exchange:
        """An exchange that is not among them yet, such as one of a file; see :meth:`add`."""
        return Exchange(next(self._numbers), source, scheme, self)

    def add(self, exchange: Exchange) -> None:
        """Keep one more; the oldest go if there is no room."""
        with self._lock:
            self._exchanges[exchange.number] = exchange
            self._order.append(exchange)
            if exchange.ended is None:
                self._under_way[exchange.number] = exchange
            if self.ended:
                self._count()
            if self._is_over(1):
                self._make_room()
        if self.listeners:
            self.tell(exchange.number)

    def tell(self, number: int) -> None:
        """An exchange has changed; 0 for the ring itself."""
        for listener in self.listeners:
            listener.note(number)

    def _count(self) -> None:
        """Take down what those that have ended cost."""
        while self.ended:
            exchange = self.ended.popleft()
            self._under_way.pop(exchange.number, None)
            if not exchange.is_forgotten:
                self._take_down(exchange)

    def _take_down(self, exchange: Exchange) -> None:
        cost = exchange.in_memory
        self._memory += cost - exchange.cost
        exchange.cost = cost

    def _make_room(self) -> None:
        while self._is_over(1):
            may_go = self.keep_until
            if may_go is not None and not may_go(self._order[0]) and not self._is_over(2):
                break
            self._drop_oldest()

    def _is_over(self, times: int) -> bool:
        """Whether there is more than so many times what is allowed; one alone never is."""
        limits, number = self.limits, len(self._exchanges)
        return number > 1 and (
            number > limits.exchanges * times
            or self._memory > limits.memory * times
            or self.spool.size > limits.disk * times
        )

    def _drop_oldest(self) -> None:
        exchange = self._order.popleft()
        del self._exchanges[exchange.number]
        if exchange.ended is None:
            self._under_way.pop(exchange.number, None)
        self._memory -= exchange.cost
        exchange.forget()

    def settle(self) -> None:
        """Count what has ended, and what is still under way and long."""
        with self._lock:
            self._count()
            for exchange in self._under_way.values():
                self._take_down(exchange)
            self._make_room()

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
        return len(self._exchanges)

    def __getitem__(self, number: int) -> Exchange:
        """One of them.

        :raises KeyError: it is not kept, or no longer.
        """
        return self._exchanges[number]

    @property
    def first(self) -> int:
        """The number of the oldest; 0 if there is none."""
        with self._lock:
            return self._order[0].number if self._order else 0

    def exchanges(self) -> list[Exchange]:
        """All of them, the oldest first."""
        with self._lock:
            return list(self._order)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            while self._order:
                self._drop_oldest()
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
