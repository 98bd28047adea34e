"""The kinds of requests, how often each comes, and which ends are right."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.benchmarks.soak.client import Broken, Client
from tests.benchmarks.soak.upstream import EVENTS, LARGE, SMALL

_UPLOAD = b"u" * (512 * 1024)
_MESSAGES = (b"m" * 100, b"m" * 20_000, b"m" * 200_000)


@dataclass(frozen=True)
class Kind:
    """One kind.

    :param weight: how often it comes, beside the others.
    :param run: makes one, and says how it ended.
    :param right: the ends that are right.
    :param upgrades: whether the server in front has to carry WebSocket.
    """

    name: str
    weight: float
    run: Callable[[Client], Awaitable[str]]
    right: frozenset[str] = frozenset(["200"])
    upgrades: bool = False


def _answered(path: str, length: int = -1) -> Callable[[Client], Awaitable[str]]:
    async def run(client: Client) -> str:
        answer = await client.ask(path)
        if answer.status == 200 and length not in (-1, answer.length):
            return f"{answer.length} bytes of {length}"
        return str(answer.status)

    return run


async def _events(client: Client) -> str:
    answer = await client.ask("/events")
    whole = sum(len(f"data: {number}\n\n") for number in range(EVENTS))
    return str(answer.status) if answer.length in (0, whole) or answer.status != 200 else "cut"


async def _left(client: Client) -> str:
    return str((await client.ask("/events", leave_after=20)).status)


def _uploaded(is_chunked: bool) -> Callable[[Client], Awaitable[str]]:
    async def run(client: Client) -> str:
        answer = await client.ask("/upload", body=_UPLOAD, is_chunked=is_chunked)
        if answer.status == 200 and answer.body != b"%d" % len(_UPLOAD):
            return f"{answer.body!r} bytes arrived"
        return str(answer.status)

    return run


async def _killed(client: Client) -> str:
    """Kill the program that the proxy has started."""
    answer = await client.ask("/spawned")
    if answer.status == 200:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(answer.body), signal.SIGKILL)
    return str(answer.status)


def _websocket(*, stays: bool) -> Callable[[Client], Awaitable[str]]:
    async def run(client: Client) -> str:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake

        url = f"ws://127.0.0.1:{client.port}/echo"
        try:
            async with connect(url, proxy=None, compression=None, close_timeout=5) as socket:
                for message in _MESSAGES:
                    await socket.send(message)
                    if await socket.recv() != message:
                        return "another message"
                if not stays:
                    socket.transport.abort()
        except (ConnectionClosed, InvalidHandshake, EOFError, OSError) as error:
            return type(error).__name__
        return "closed"

    return run


# In the middle of an answer there is no status left.
_BROKEN, _GATEWAY = frozenset(["broken"]), frozenset(["502"])
#: A process that is killed, or starts, has no answer for those who ask at that moment.
_STARTED = frozenset(["200", "502", "503", "broken"])
KINDS = (
    Kind("small", 60, _answered("/small", SMALL)),
    Kind("large", 4, _answered("/large", LARGE)),
    Kind("events", 4, _events),
    Kind("events, client leaves", 3, _left),
    Kind("upload", 4, _uploaded(False)),
    Kind("upload, chunked", 3, _uploaded(True)),
    Kind("WebSocket", 4, _websocket(stays=True), frozenset(["closed"]), True),
    Kind("WebSocket, client leaves", 2, _websocket(stays=False), frozenset(["closed"]), True),
    Kind("answer cut", 3, _answered("/rude/cut"), _BROKEN),
    Kind("no answer", 3, _answered("/rude/end"), _GATEWAY),
    Kind("slow", 1, _answered("/rude/slow"), frozenset(["504"])),
    Kind("refused", 3, _answered("/refused/"), _GATEWAY),
    Kind("on demand", 4, _answered("/spawned"), _STARTED),
    Kind("on demand, killed", 0.3, _killed, _STARTED),
)


async def ended(kind: Kind, client: Client, limit: float) -> str:
    """How one request of a kind ended; "no end" after a limit of seconds."""
    try:
        return await asyncio.wait_for(kind.run(client), limit)
    except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
        return "no end"
    except Broken:
        return "broken"
    except OSError as error:
        return type(error).__name__
