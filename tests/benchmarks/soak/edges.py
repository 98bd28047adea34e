"""The servers of the soak, and what each of them holds at a moment."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from tests.benchmarks.processes import Process, wait_until_ready
from tests.benchmarks.soak.apps import STATE
from tests.benchmarks.soak.client import Answer, Client
from tests.benchmarks.soak.figures import Point
from tests.benchmarks.soak.upstream import SMALL, be_rude
from tests.support.ports import free_port

_HERE = "tests.benchmarks.soak"
_UVICORN = (
    "uvicorn --http httptools --loop uvloop --ws websockets-sansio --no-access-log "
    "--log-level warning --timeout-keep-alive 600 --timeout-graceful-shutdown 1 "
    "--host 127.0.0.1 --port {port} --factory"
)
#: A server, its command, and whether it carries WebSocket.
SERVERS = {
    "waitress": (
        f"waitress --threads 8 --listen 127.0.0.1:{{port}} --call {_HERE}.apps:wsgi",
        False,
    ),
    "gunicorn": (
        "gunicorn --worker-class gthread --workers 1 --threads 16 --keep-alive 600 "
        f"--no-control-socket --bind 127.0.0.1:{{port}} {_HERE}.apps:wsgi()",
        True,
    ),
    "uvicorn": (f"{_UVICORN} {_HERE}.apps:asgi", True),
}
#: What is sampled, and its unit.
MEASURED = {"memory": "MiB", "descriptors": "", "threads": "", "tasks": "", "objects": ""}
_REST = 20.0  # seconds until what is in progress has to be over


class Edge:
    """One server in front, its client, and its samples."""

    def __init__(self, name: str, process: Process, port: int, *, upgrades: bool) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.upgrades = upgrades
        self.client = Client(port)
        self.samples: dict[str, list[Point]] = defaultdict(list)
        self._asking = Client(port)

    async def _state(self) -> Answer:
        return await asyncio.wait_for(self._asking.ask(STATE), 30)

    async def holds(self) -> dict[str, float]:
        """What the process holds now, after a collection of garbage."""
        told = json.loads((await self._whole_state()).decode())
        place = Path(f"/proc/{told['pid']}")
        rollup = (place / "smaps_rollup").read_text()
        (shared,) = re.findall(r"^Pss:\s+(\d+) kB", rollup, re.M)
        return {
            "memory": int(shared) / 1024,
            "descriptors": len(os.listdir(place / "fd")),
            "threads": len(os.listdir(place / "task")),
            "tasks": told["tasks"],
            "objects": told["objects"],
        }

    async def _whole_state(self) -> bytes:
        answer = await self._state()
        assert answer.status == 200, answer
        return answer.body

    async def sample(self, at: float) -> None:
        """Remember what it holds, so many seconds after the start."""
        for name, value in (await self.holds()).items():
            self.samples[name].append((at, value))

    async def at_rest(self) -> dict[str, float]:
        """What it holds when nothing is in progress: twice the same."""
        self.client.close()
        deadline = time.monotonic() + _REST
        before: dict[str, float] = {}
        while True:
            found = await self.holds()
            counts = ("descriptors", "threads", "tasks")
            is_same = all(found[name] == before.get(name) for name in counts)
            if is_same or time.monotonic() > deadline:
                return found
            before = found
            await asyncio.sleep(0.5)  # between two looks

    def close(self) -> None:
        """Close the connections of its clients."""
        self.client.close()
        self._asking.close()


class Upstream:
    """The good server behind, which is restarted."""

    def __init__(self, place: Path) -> None:
        self.port = free_port()
        self.restarts = 0
        self._place = place
        self._start()

    def _start(self) -> None:
        command = f"{_UVICORN} {_HERE}.upstream:application".format(port=self.port)
        words = [sys.executable, "-m", *command.split()]
        self._process = Process(words, self._place / "upstream.log")
        wait_until_ready(self._process, self.port, "/small", SMALL)

    def restart(self) -> None:
        """Every other time it is killed."""
        if self.restarts % 2:
            self._process.popen.kill()
        self.restarts += 1
        self._process.stop()
        self._start()

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def _start(name: str, place: Path, env: dict[str, str]) -> Edge:
    port = free_port()
    command, upgrades = SERVERS[name]
    words = [sys.executable, "-m", *command.format(port=port).split()]
    edge = Edge(name, Process(words, place / f"{name}.log", env=env), port, upgrades=upgrades)
    try:
        wait_until_ready(edge.process, port, "/small", SMALL)
    except BaseException:
        edge.process.stop()
        raise
    return edge


@contextmanager
def _started(names: list[str], place: Path, rude: int) -> Iterator[tuple[Upstream, list[Edge]]]:
    with ExitStack() as stack:
        upstream = Upstream(place)
        stack.callback(upstream.stop)
        env = {
            "SOAK_UPSTREAM": f"http://127.0.0.1:{upstream.port}",
            "SOAK_RUDE": f"http://127.0.0.1:{rude}",
            "SOAK_REFUSED": f"http://127.0.0.1:{free_port()}",
            "TMPDIR": str(place),
            # glibc gives each thread an arena of its own, whose free memory stays with the process:
            # what grows then are the holes, by tens of MiB, and a leak could not be seen.
            "MALLOC_ARENA_MAX": "1",
        }
        edges = []
        for name in names:
            edge = _start(name, place, env)
            stack.callback(edge.process.stop)
            stack.callback(edge.close)
            edges.append(edge)
        yield upstream, edges


@asynccontextmanager
async def started(names: list[str], place: Path) -> AsyncIterator[tuple[Upstream, list[Edge]]]:
    """The servers behind and in front, ready; all of them end with the block."""
    rude = await asyncio.start_server(be_rude, "127.0.0.1", 0)
    # The rude one has to answer while the others start and end.
    starting = _started(names, place, rude.sockets[0].getsockname()[1])
    running = await asyncio.to_thread(starting.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
        rude.close()
