"""Both applications in one process, with one upstream, with four, and with a dead one among four.

``python -m tests.benchmarks.upstreams_contender PORT FIELDS`` prints "ready", and answers each
line with a number of requests by one of JSON: the CPU microseconds of each (``process_time_ns`` of
this process) by edge and set of upstreams.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.asgi_contender import AT_ONCE, ask, new_scope
from tests.benchmarks.contender import SMALL, WARM_UP, called
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.sansio.message import Headers, ResponseHead

EDGES = ("WSGI", "ASGI")
ONE, FOUR, DEAD = "one upstream", "four upstreams", "four, one of them dead"
#: Those whose transport answers before a byte is sent: four connections that take turns are slower
#: than one, however an upstream is chosen.
ONE_ALONE, FOUR_ALONE = f"{ONE}, no network", f"{FOUR}, no network"
SETS = (ONE, FOUR, DEAD, ONE_ALONE, FOUR_ALONE)
_TURN = 50 // AT_ONCE * AT_ONCE


def label(edge: str, name: str) -> str:
    """The name of a figure."""
    return f"{edge}, {name}"


class Answered:
    """An answer that is there at once; see :class:`wsgiproxy.transport.base.Reply`."""

    whole, received, reused, complete = b"x" * SMALL, SMALL, True, True
    trailers: Headers = []

    def __init__(self) -> None:
        self.head = ResponseHead(200, "OK", [("Content-Length", str(SMALL))])

    def close(self) -> None:
        """There is nothing to give up."""


class Instant:
    """A transport without a network."""

    def send(self, *request: Any) -> Any:
        """Answer at once."""
        return Answered()


class AsyncInstant:
    """The same for an event loop."""

    async def send(self, *request: Any) -> Any:
        """Answer at once."""
        return Answered()


class Contender:
    """Each edge with each set of upstreams, all of which are one nginx by several names."""

    def __init__(self, port: int, dead: int, count: int) -> None:
        names = ("127.0.0.1", "localhost", "LOCALHOST", "127.1")
        four = [f"http://{name}:{port}" for name in names]
        sets = {ONE: four[0], FOUR: four, DEAD: [*four[:3], f"http://127.0.0.1:{dead}"]}
        self._make = new_scope(port, count)
        wsgi = {name: WSGIProxyApp(href) for name, href in sets.items()}
        self._asgi = {name: ASGIProxyApp(href) for name, href in sets.items()}
        for name, instant in ((ONE, ONE_ALONE), (FOUR, FOUR_ALONE)):
            wsgi[instant] = WSGIProxyApp(sets[name], transport=Instant())
            self._asgi[instant] = ASGIProxyApp(sets[name], transport=AsyncInstant())
        self._get = {name: called(app, port, count) for name, app in wsgi.items()}

    async def measure(self, requests: int) -> dict[str, float]:
        """CPU microseconds for a request of each."""
        used = {label(edge, name): 0 for edge in EDGES for name in SETS}
        turns = max(requests // _TURN, 1)
        for _ in range(turns):
            for edge in EDGES:
                run: Callable[[str], Awaitable[None]] = getattr(self, edge.lower())
                for name in SETS:
                    begun = time.process_time_ns()
                    await run(name)
                    used[label(edge, name)] += time.process_time_ns() - begun
        return {name: value / 1000 / turns / _TURN for name, value in used.items()}

    async def wsgi(self, name: str) -> None:
        """One turn of requests."""
        get = self._get[name]
        for _ in range(_TURN):
            if (found := get()) != (200, SMALL):
                sys.exit(f"{name}: status and length are {found}")

    async def asgi(self, name: str) -> None:
        """One turn of requests."""
        await ask(self._asgi[name], self._make, _TURN)


async def main(port: int, count: int) -> None:
    """Measure as often as asked for."""
    with socket.socket() as dead:  # bound, and nothing listens
        dead.bind(("127.0.0.1", 0))
        contender = Contender(port, dead.getsockname()[1], count)
        await contender.measure(WARM_UP)
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            print(json.dumps(await contender.measure(int(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
