"""WebSockets of a process on demand: they start it, keep it, wait for it, and end with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.asgi.calling import ask, until
from tests.spawn.children import MARK, child, zombies
from tests.spawn.children import until as until_then
from wsgiproxy.asgi import ASGISpawningApplication
from wsgiproxy.errors import ConfigurationError

pytest.importorskip("websockets")

PROGRAM = Path(__file__).parents[1] / "spawn" / "websocket_program.py"
DENIAL = {"websocket.http.response": {}}

Spawn = Callable[..., ASGISpawningApplication]


def talker(**words: object) -> list[str]:
    return [sys.executable, str(PROGRAM), "{port}", *(f"{k}={v}" for k, v in words.items())]


@pytest.fixture
def spawn(mark: str, temporary: Path) -> Iterator[Spawn]:
    """Makes applications: ``spawn(command, **options)``; they are closed at the end."""
    made: list[ASGISpawningApplication] = []

    def make(command: list[str], **options: Any) -> ASGISpawningApplication:
        made.append(ASGISpawningApplication(command, script_env={MARK: mark}, **options))
        return made[-1]

    yield make
    for app in made:
        app.close()
        assert app.pid is None
        assert app._backend.lifecycle.listeners == set()
        assert app._websockets._open.total() == len(app._websockets._relays) == 0
        until_then(lambda app=app: counts(app) == (0, 0), "the end of requests")
    until_then(lambda: not zombies(), "zombies of the test are left")


def counts(app: ASGISpawningApplication) -> tuple[int, int]:
    return app._backend._waiting, app._backend.lifecycle._in_flight


class Talk:
    """One WebSocket, as a server hands it over.

    :ivar sent: the messages of the application.
    """

    def __init__(self, app: ASGISpawningApplication, path: str = "/", **scope: object) -> None:
        self._scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"front.example"), (b"accept", b"text/html")],
            "client": ("192.0.2.1", 4000),
            "server": ("front.example", 80),
            "subprotocols": [],
            "extensions": DENIAL,
            **scope,
        }
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.tell("websocket.connect")
        self.sent: list[dict[str, Any]] = []
        self.task = asyncio.create_task(app(self._scope, self._inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def tell(self, kind: str, **more: object) -> None:
        self._inbox.put_nowait({"type": kind, **more})

    async def accepted(self) -> Talk:
        await until(lambda: self.sent, "an answer to the handshake")
        assert self.sent[0]["type"] == "websocket.accept"
        return self

    async def echoes(self, text: str = "hello") -> bool:
        """Whether a message comes back."""
        before = len(self.sent)
        self.tell("websocket.receive", text=text)
        await until(lambda: len(self.sent) > before, "a message")
        return bool(self.sent[-1] == {"type": "websocket.send", "text": text})

    async def leave(self) -> None:
        self.tell("websocket.disconnect", code=1000)
        await self.task

    async def code(self) -> int:
        """That with which it is closed, within a second."""
        before = monotonic()
        await asyncio.wait_for(self.task, 5)
        assert monotonic() - before < 1
        assert self.sent[-1]["type"] == "websocket.close"
        return int(self.sent[-1]["code"])

    async def status(self) -> int:
        """That of the refusal."""
        await self.task
        assert self.sent[0]["type"] == "websocket.http.response.start"
        return int(self.sent[0]["status"])


async def waiting(app: ASGISpawningApplication, count: int) -> None:
    await until(lambda: app._backend._waiting == count, f"{count} that wait")


def test_it_starts_the_process_waits_for_it_and_is_served(spawn, gate):
    app = spawn(talker(gate=gate))

    async def main() -> None:
        talk = Talk(app)
        await waiting(app, 1)
        assert (app.state, talk.sent) == ("starting", [])
        gate.touch()
        await talk.accepted()
        assert await talk.echoes("a") and await talk.echoes("b" * 200_000)
        await talk.leave()
        await app.aclose()

    asyncio.run(main())


def test_it_keeps_the_process_until_it_ends(spawn):
    app = spawn(talker(), idle_shutdown=0.2)

    async def main() -> None:
        talk = await Talk(app).accepted()
        pid = app.pid
        await asyncio.sleep(0.6)  # three times as long as a process may be idle
        assert await talk.echoes() and app.pid == pid
        await talk.leave()
        await until(lambda: app.state == "stopped", "the idle stop")

    asyncio.run(main())


def test_an_ignored_path_neither_starts_nor_keeps_it(spawn):
    app = spawn(talker(), idle_shutdown=0.3, idle_ignore="/live")

    async def main() -> None:
        assert await Talk(app, "/live").status() == 503
        closed = Talk(app, "/live", extensions={})
        await closed.task
        assert closed.sent[0]["type"] == "websocket.close" and app.state == "stopped"
        assert (await ask(app)).status == 200
        talk = await Talk(app, "/live").accepted()
        assert await talk.echoes()
        await until(lambda: app.state != "ready", "the idle stop")
        assert await talk.code() == 1012
        await until(lambda: app.state == "stopped", "its end")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "extensions", "answer"),
    [
        pytest.param({"max_wait": 0.1}, DENIAL, 503, id="it-takes-too-long"),
        pytest.param({"max_wait": 0.1}, {}, None, id="without-the-extension"),
        pytest.param({"max_waiting": 0}, DENIAL, 503, id="too-many-wait"),
    ],
)
def test_a_start_that_takes_too_long(spawn, gate, options, extensions, answer):
    app = spawn(talker(gate=gate), **options)

    async def main() -> None:
        talk = Talk(app, extensions=extensions)
        if answer is None:
            await talk.task
            assert [each["type"] for each in talk.sent] == ["websocket.close"]
        else:
            assert await talk.status() == answer
            assert b"waits" not in talk.sent[1]["body"], "no page for browsers"
        await app.aclose()

    asyncio.run(main())


def test_a_start_that_fails_says_nothing_of_the_inside(spawn):
    app = spawn(child("leave", status=3, say="secret"))

    async def main() -> None:
        talk = Talk(app)
        assert await talk.status() == 502
        assert b"secret" not in talk.sent[1]["body"]

    asyncio.run(main())


def test_a_client_that_leaves_does_not_wait_on(spawn, gate):
    app = spawn(talker(gate=gate))

    async def main() -> None:
        talk = Talk(app)
        await waiting(app, 1)
        talk.tell("websocket.disconnect", code=1006)
        await talk.task
        await waiting(app, 0)
        await app.aclose()

    asyncio.run(main())


def test_one_that_is_not_carried_starts_nothing(spawn):
    app = spawn(talker(), upgrade=())

    async def main() -> None:
        assert await Talk(app).status() == 501
        assert app.state == "stopped"

    asyncio.run(main())


def test_a_process_that_dies_takes_its_websockets_along(spawn):
    app = spawn(talker())

    async def main() -> None:
        talk, other = await Talk(app).accepted(), await Talk(app).accepted()
        os.kill(app.pid, signal.SIGKILL)
        assert [await talk.code(), await other.code()] == [1011, 1011]
        await app.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("end", ["dies", "waits"])
def test_a_stop_ends_them_with_1012_and_does_not_wait_for_them(spawn, end):
    """Also of a process that waits for its clients."""
    app = spawn(talker(end=end), stop_timeout=20)

    async def main() -> None:
        talk = await Talk(app).accepted()
        pid, begun = app.pid, monotonic()
        await app.stop()
        assert monotonic() - begun < 3
        assert await talk.code() == 1012
        again = await Talk(app).accepted()
        assert await again.echoes() and app.pid != pid
        await app.aclose()
        assert await again.code() == 1012
        assert await Talk(app).status() == 503

    asyncio.run(main())


def test_max_websockets_counts_those_of_all_instances(spawn):
    app = spawn(talker(), max_websockets=1)

    async def main() -> None:
        talk = await Talk(app).accepted()
        assert await Talk(app).status() == 503
        await app.stop()
        await talk.code()
        again = await Talk(app).accepted()
        await again.leave()
        await app.aclose()

    asyncio.run(main())


def test_hooks_change_messages(spawn):
    async def loud(messages: Any) -> Any:
        async for message in messages:
            yield message.upper()

    async def twice(messages: Any) -> Any:
        async for message in messages:
            yield message * 2

    app = spawn(talker(), messages_from_client=loud, messages_from_upstream=twice)

    async def main() -> None:
        talk = await Talk(app).accepted()
        assert not await talk.echoes("a")
        assert talk.sent[-1]["text"] == "AA"
        await talk.leave()
        await app.aclose()

    asyncio.run(main())
    with pytest.raises(ConfigurationError, match="messages_from_client=3"):
        ASGISpawningApplication(talker(), messages_from_client=3)  # type: ignore[arg-type]
