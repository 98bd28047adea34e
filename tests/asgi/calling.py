"""Requests as an ASGI server hands them over, and conditions that an event loop awaits."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

from tests.spawn.children import LIMIT

__all__ = ["Call", "Lateness", "ask", "ticking", "until"]

T = TypeVar("T")


class Call:
    """One request; it is made by awaiting :meth:`run`, or as a :attr:`task`.

    :ivar gone: set it, and the client has left.
    """

    def __init__(
        self,
        app: Any,
        target: str = "/",
        *,
        method: str = "GET",
        fields: Iterable[tuple[str, str]] = (),
        blocks: Iterable[bytes] = (),
        **scope: object,
    ) -> None:
        path, _, query = target.partition("?")
        blocks = list(blocks)
        fields = [("host", "front.example"), ("accept", "*/*"), *fields]
        if blocks:
            fields.append(("content-length", str(sum(map(len, blocks)))))
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in reversed(fields)],
            "client": ("192.0.2.1", 4000),
            "server": ("front.example", 80),
            **scope,
        }
        self._app = app
        self._blocks = blocks or [b""]
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self._blocks:
            block = self._blocks.pop(0)
            return {"type": "http.request", "body": block, "more_body": bool(self._blocks)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> Call:
        await self._app(self.scope, self.receive, self.send)
        return self

    def begin(self) -> asyncio.Task[Call]:
        return asyncio.get_running_loop().create_task(self.run())

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def text(self) -> str:
        return b"".join(each.get("body", b"") for each in self.sent[1:]).decode()


async def ask(app: Any, target: str = "/", **asked: Any) -> Call:
    """One request to its end."""
    return await Call(app, target, **asked).run()


async def until(condition: Callable[[], T], what: str = "it") -> T:
    """Wait until *condition* gives something true."""
    deadline = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT} s"
        await asyncio.sleep(0.005)
    return found


_TICK = 0.01


class Lateness:
    """By how much a task that ticks every 10 ms was late, beside a thread that does the same.

    :ivar ticks: how many there were.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self._longest = self._longest_of_thread = 0.0
        self._ended = threading.Event()

    @property
    def blocked(self) -> float:
        """Seconds for which the loop was blocked, and not the whole machine."""
        return self._longest - self._longest_of_thread

    async def of_task(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            self._longest = max(self._longest, time.monotonic() - before - _TICK)
            self.ticks += 1

    def of_thread(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(_TICK):
            now = time.monotonic()
            self._longest_of_thread = max(self._longest_of_thread, now - before - _TICK)
            before = now

    def end(self) -> None:
        self._ended.set()


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Lateness]:
    """Watch the loop for the time of a block."""
    lateness = Lateness()
    thread = threading.Thread(target=lateness.of_thread)
    thread.start()
    task = asyncio.get_running_loop().create_task(lateness.of_task())
    try:
        yield lateness
    finally:
        task.cancel()
        lateness.end()
        thread.join()
