"""So many requests in a second, of all kinds, while servers are killed and restarted."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.benchmarks.soak.edges import Edge, Upstream
from tests.benchmarks.soak.kinds import KINDS, Kind, ended

#: Seconds for one request: all of them take one or two.
LIMIT = 30.0
#: Requests in progress at one server; more are left out, and counted.
_AT_A_TIME = 40
#: After a restart, kept connections to the old process are still there.
_AFTERWARDS = 1.0


@dataclass
class Counts:
    """How requests ended; a key is the server, the kind and the end.

    :param right: as they have to.
    :param disturbed: otherwise, while the upstream was restarted.
    :param wrong: otherwise.
    """

    right: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    disturbed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    left_out: int = 0


class Load:
    """The load on all of the servers.

    :param rate: requests in a second, in all.
    """

    def __init__(self, edges: list[Edge], upstream: Upstream, rate: float) -> None:
        self.counts = Counts()
        self._edges = edges
        self._upstream = upstream
        self._rate = rate
        self._random = random.Random(16)  # the same order each time
        self._running: dict[str, set[asyncio.Task[None]]] = {edge.name: set() for edge in edges}
        self._restarts: list[tuple[float, float]] = []
        self._kinds = {
            edge.name: [kind for kind in KINDS if edge.upgrades or not kind.upgrades]
            for edge in edges
        }

    async def once(self) -> None:
        """Each kind once at each server, so that all modules are loaded and pools filled."""
        each = [(edge, kind) for edge in self._edges for kind in self._kinds[edge.name]]
        await asyncio.gather(*(self._one(edge, kind) for edge, kind in each))

    async def run(self, seconds: float, sample: Callable[[float], Awaitable[None]]) -> None:
        """Load for a time, with samples and restarts beside it; return when all has ended."""
        begin = time.monotonic()
        interval = min(5.0, max(0.5, seconds / 60))
        beside = [
            asyncio.create_task(_repeat(interval, lambda: sample(time.monotonic() - begin))),
            asyncio.create_task(_repeat(min(60.0, seconds / 4), self._restart)),
        ]
        try:
            for number in range(int(seconds * self._rate)):
                await asyncio.sleep(max(0.0, begin + number / self._rate - time.monotonic()))
                self._next(self._edges[number % len(self._edges)])
                for task in beside:
                    if task.done():
                        task.result()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await asyncio.gather(*(task for tasks in self._running.values() for task in tasks))

    def _next(self, edge: Edge) -> None:
        running = self._running[edge.name]
        if len(running) >= _AT_A_TIME:
            self.counts.left_out += 1
            return
        kinds = self._kinds[edge.name]
        (kind,) = self._random.choices(kinds, [kind.weight for kind in kinds])
        task = asyncio.create_task(self._one(edge, kind))
        running.add(task)
        task.add_done_callback(running.discard)

    async def _one(self, edge: Edge, kind: Kind) -> None:
        begin = time.monotonic()
        end = await ended(kind, edge.client, LIMIT)
        counts = self.counts
        if end in kind.right:
            chosen = counts.right
        else:
            chosen = counts.disturbed if self._was_disturbed(begin) else counts.wrong
        chosen[edge.name, kind.name, end] += 1

    def _was_disturbed(self, begin: float) -> bool:
        """Whether a request that began then, and ends now, met a restart."""
        return any(begin < end + _AFTERWARDS for _, end in self._restarts[-2:])

    async def _restart(self) -> None:
        begin = time.monotonic()
        self._restarts.append((begin, float("inf")))
        # To its end, also if the load ends meanwhile.
        restarting = asyncio.create_task(asyncio.to_thread(self._upstream.restart))
        try:
            await asyncio.shield(restarting)
        except asyncio.CancelledError:
            await restarting
            raise
        finally:
            self._restarts[-1] = (begin, time.monotonic())


async def _repeat(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await do()
