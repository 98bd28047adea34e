"""Tasks beside the requests of an application, for what its hooks begin there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from wsgiproxy.hooks.exchange import MOST_BESIDE

__all__ = ["BesideTasks"]


class BesideTasks:
    """The tasks of one application, of which so many run at once at most.

    :param most: the bound.
    """

    def __init__(self, most: int = MOST_BESIDE) -> None:
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, running: Coroutine[Any, Any, None], name: str) -> bool:
        """Run a coroutine in a task; False if too many run, and it is closed.

        :param name: of the hook, for the name of the task.
        """
        # An event loop that was closed has left its tasks as they were.
        self._running -= {each for each in self._running if each.get_loop().is_closed()}
        if len(self._running) >= self._most:
            running.close()
            return False
        task = asyncio.get_running_loop().create_task(running, name=f"beside {name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def close(self) -> None:
        """Cancel those that run, in their event loop."""
        for task in self._running:
            if not task.get_loop().is_closed():
                task.cancel()

    async def aclose(self) -> None:
        """The same, and wait for their end."""
        self.close()
        loop = asyncio.get_running_loop()
        ending = [each for each in self._running if each.get_loop() is loop]
        await asyncio.gather(*ending, return_exceptions=True)
