"""Both applications in one process, with several chains of hooks.

``python -m tests.benchmarks.hooks_contender PORT FIELDS`` prints "ready", and answers every line
with a number of requests by one line of JSON: the CPU microseconds of each (``process_time_ns`` of
this process) by edge and chain. To MAPPED it answers with the MiB by which its largest size grows
while a body of 256 MiB passes through a map.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.asgi_contender import AT_ONCE, Exchange, ask, new_scope
from tests.benchmarks.contender import SMALL, WARM_UP, called
from tests.benchmarks.upstream import BIG
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

EDGES = ("WSGI", "ASGI")
NONE, REQUEST, RESPONSE, FIVE = "no hook", "a field of requests", "a field of responses", "five"
CHAINS = (NONE, REQUEST, RESPONSE, FIVE)
MAPPED = "mapped"
_TURN = 50 // AT_ONCE * AT_ONCE


def on_request(request: Any) -> Any:
    """Set a field of the request."""
    request.headers["X-API-Key"] = "secret"
    yield request


def on_response(request: Any) -> Any:
    """Set a field of the response."""
    response = yield request
    response.headers["X-Seen"] = "1"


def through_a_map(request: Any) -> Any:
    """Change each block into one of the same length."""
    response = yield request
    response.body.map(bytes.swapcase)


HOOKS = {NONE: [], REQUEST: [on_request], RESPONSE: [on_response], FIVE: [on_request] * 5}


def label(edge: str, chain: str) -> str:
    """The name of a figure."""
    return f"{edge}, {chain}"


def peak() -> int:
    """The largest size of this process since it was reset, in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


class Contender:
    """Each edge with each chain."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        href = f"http://127.0.0.1:{port}"
        self._make = new_scope(port, count)
        self._get = {
            chain: called(WSGIProxyApp(href, hooks=hooks), port, count)
            for chain, hooks in HOOKS.items()
        }
        self._asgi = {chain: ASGIProxyApp(href, hooks=hooks) for chain, hooks in HOOKS.items()}

    async def measure(self, requests: int) -> dict[str, float]:
        """CPU microseconds for a request of each."""
        used = {label(edge, chain): 0 for edge in EDGES for chain in CHAINS}
        turns = max(requests // _TURN, 1)
        for _ in range(turns):
            for edge in EDGES:
                run: Callable[[str], Awaitable[None]] = getattr(self, edge.lower())
                for chain in CHAINS:
                    begun = time.process_time_ns()
                    await run(chain)
                    used[label(edge, chain)] += time.process_time_ns() - begun
        return {name: value / 1000 / turns / _TURN for name, value in used.items()}

    async def wsgi(self, chain: str) -> None:
        """One turn of requests."""
        get = self._get[chain]
        for _ in range(_TURN):
            if (found := get()) != (200, SMALL):
                sys.exit(f"{chain}: status and length are {found}")

    async def asgi(self, chain: str) -> None:
        """One turn of requests."""
        await ask(self._asgi[chain], self._make, _TURN)

    async def growth(self) -> dict[str, float]:
        """MiB by which the process grows with a large body that is mapped."""
        href, found = f"http://127.0.0.1:{self._port}", {}
        for edge in EDGES:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            before = peak()
            size = await self._large(edge, href)
            if size != BIG:
                sys.exit(f"{edge}: {size} bytes have passed")
            found[edge] = (peak() - before) / 1024 / 1024
        return found

    async def _large(self, edge: str, href: str) -> int:
        if edge == "WSGI":
            return _of_wsgi(WSGIProxyApp(href, hooks=[through_a_map]), self._port)
        exchange = Exchange()
        scope = {**self._make(), "path": "/big", "raw_path": b"/big"}
        application = ASGIProxyApp(href, hooks=[through_a_map])
        await application(scope, exchange.receive, exchange.send)
        await application.aclose()
        return exchange.size


def _of_wsgi(application: Any, port: int) -> int:
    def large(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "PATH_INFO": "/big"}, start_response)

    return called(large, port, 1)()[1]


async def main(port: int, count: int) -> None:
    """Measure as often as stdin asks for it."""
    contender = Contender(port, count)
    await contender.measure(WARM_UP)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = line.strip()
        found = contender.growth() if asked == MAPPED else contender.measure(int(asked))
        print(json.dumps(await found), flush=True)


if __name__ == "__main__":
    arguments = int(sys.argv[1]), int(sys.argv[2])
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(*arguments))
    else:
        uvloop.run(main(*arguments))
