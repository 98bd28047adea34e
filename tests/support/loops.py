"""Event loops for tests: both kinds, each test on a fresh one, and nothing left at its end.

As :class:`asyncio.Runner`, which Python 3.10 lacks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

__all__ = ["LOOPS", "connecting", "descriptors", "ended", "in_thread", "settled", "until"]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}

T = TypeVar("T")


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))


# Of include/net/tcp_states.h: the client's end of a connection in the making, or made.
_STATES = ("01", "02")


def connecting(port: int) -> int:
    """How many connections to *port* of this machine are open, or still being opened."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] in _STATES for row in rows)


async def until(condition: Callable[[], object], timeout: float = 5) -> bool:
    """Let the loop run until *condition* is true; whether that was in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.001)
    return True


async def settled() -> bool:
    """Whether no other task is left as soon as the loop has run a little."""
    own = asyncio.current_task()
    return await until(lambda: asyncio.all_tasks() == {own}, 2)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """What *function* returns, while the loop goes on; for what waits for the upstream."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def ended(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on *loop*, then end the loop in order; what the loop complained of is an error."""
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    try:
        result = loop.run_until_complete(main)
        assert loop.run_until_complete(settled()), asyncio.all_tasks(loop)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert not complaints, complaints
    return result
