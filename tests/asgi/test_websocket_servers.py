"""WebSocket under every server for ASGI, with the library ``websockets`` as client and upstream.

What a server cannot do is in its row of ``SERVERS``, and in the table of ``docs/asgi.rst``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Coroutine, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from tests.support.fronts import Front, Fronts, app_path
from tests.support.rounds import rounds

pytestmark = pytest.mark.in_turns(2)

LIMIT = 10
#: The bytes of a message that the proxy lets pass.
LARGEST = 4 << 20
T = TypeVar("T")


class Row(NamedTuple):
    """A server, and what of the standard it has.

    :param server: its name in `tests.support.serve`.
    :param ws: its implementation of WebSocket.
    :param denies: it has the extension ``websocket.http.response``.
    :param reads_codes: it tells with which code a client has closed.
    :param reads_reasons: it tells the reason, too.
    """

    server: str
    ws: str
    denies: bool = True
    reads_codes: bool = True
    reads_reasons: bool = True


SERVERS = {
    "uvicorn-sansio": Row("uvicorn", "websockets-sansio"),
    "uvicorn-wsproto": Row("uvicorn", "wsproto"),
    "hypercorn": Row("hypercorn", "", reads_codes=False, reads_reasons=False),
    "granian": Row("granian-asgi", "1", denies=False, reads_reasons=False),
}


class World:
    """An event loop with an upstream, and the servers in front of it."""

    def __init__(self, fronts: Fronts) -> None:
        self._fronts = fronts
        self.loop = asyncio.new_event_loop()
        self._numbers = itertools.count()
        self._arrived: dict[str, asyncio.Future[ServerConnection]] = {}
        self._server: Server = self.loop.run_until_complete(self._serve())
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def _serve(self) -> Server:
        async def handler(connection: ServerConnection) -> None:
            assert connection.request is not None
            awaited = self._arrived.pop(connection.request.headers.get("X-Pair", ""), None)
            if awaited is not None:
                awaited.set_result(connection)
            await connection.wait_closed()

        return await serve(
            handler,
            "127.0.0.1",
            0,
            process_request=_answered,
            select_subprotocol=lambda _, offered: "v1" if "v1" in offered else None,  # type: ignore
            max_size=None,
            close_timeout=1,
            ping_interval=None,
        )

    def front(self, name: str, app: str = "reverse", **options: object) -> Front:
        row = SERVERS[name]
        found = {"UPSTREAM": f"http://127.0.0.1:{self.port}", "ASGI_WS": row.ws}
        options = {"max_message": LARGEST, **options}
        return self._fronts.get(
            row.server, app_path(row.server, app), OPTIONS=json.dumps(options), **found
        )

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(main, LIMIT))

    @contextlib.asynccontextmanager
    async def pair(self, port: int, path: str = "/", **how: Any) -> Any:
        """A client that is connected to *port*, and the end of it at the upstream."""
        how = {"ping_interval": None, "max_size": None, "close_timeout": 1, **how}
        number = str(next(self._numbers))
        how["additional_headers"] = {**how.get("additional_headers", {}), "X-Pair": number}
        self._arrived[number] = self.loop.create_future()
        arrived = self._arrived[number]
        async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None, **how) as client:
            yield client, await asyncio.wait_for(arrived, LIMIT)

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            await self._server.wait_closed()

        self.run(end())
        self.loop.close()


async def _answered(connection: ServerConnection, request: Request) -> Response | None:
    if request.path.startswith("/refuse"):
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "not you")
        response.headers["X-Why"] = "because"
        return response
    if request.path.startswith("/slow"):
        await asyncio.sleep(0.6)  # that is what is tested: more than a turn of the proxy's timer
    return None


@pytest.fixture(scope="module")
def world(fronts: Fronts) -> Iterator[World]:
    found = World(fronts)
    yield found
    found.close()


@pytest.fixture(params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_messages(world: World, name: str) -> None:
    sent = ["text \N{SNOWMAN}", b"\0\xff", "", b"", "a" * 70_000, b"b" * (2 << 20)]

    async def main() -> None:
        port = world.front(name).port
        async with world.pair(port) as (client, upstream):
            for message in sent:
                await client.send(message)
                assert await upstream.recv() == message
                await upstream.send(message)
                assert await client.recv() == message
            await client.send(iter(["a", "", "b"]))
            assert await upstream.recv() == "ab"
            await upstream.send(iter([b"a", b"", b"b"]))
            assert await client.recv() == b"ab"
            await asyncio.wait_for(await client.ping(), LIMIT)
            await asyncio.wait_for(await upstream.ping(), LIMIT)

    world.run(main())


def test_subprotocols_and_headers(world: World, name: str) -> None:
    async def main() -> None:
        port = world.front(name, "mounted").port
        how = {"subprotocols": ["other", "v1"], "additional_headers": {"X-Own": "1"}}
        async with world.pair(port, "/mount/a%2Fb?c=d", **how) as (client, upstream):
            assert (client.subprotocol, upstream.subprotocol) == ("v1", "v1")
            assert upstream.request.path == "/a%2Fb?c=d"
            assert upstream.request.headers["X-Forwarded-Prefix"] == "/mount"
            assert upstream.request.headers["X-Own"] == "1"
            assert upstream.request.headers["Sec-WebSocket-Protocol"] == "other, v1"
        async with world.pair(port, "/mount/") as (client, upstream):
            assert client.subprotocol is None
            assert "Sec-WebSocket-Protocol" not in upstream.request.headers

    world.run(main())


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_the_upstream_closes(world: World, name: str, code: int) -> None:
    async def main() -> None:
        async with world.pair(world.front(name).port) as (client, upstream):
            await upstream.close(code, "why \N{SNOWMAN}")
            await client.wait_closed()
            assert client.close_code == code
            assert client.close_reason == "why \N{SNOWMAN}"

    world.run(main())


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
def test_the_client_closes(world: World, name: str, code: int) -> None:
    async def main() -> None:
        async with world.pair(world.front(name).port) as (client, upstream):
            await client.close(code, "why")
            await upstream.wait_closed()
            # Without a code, it looks as if the client had been lost.
            assert upstream.close_code == (code if SERVERS[name].reads_codes else 1001)
            assert upstream.close_reason == ("why" if SERVERS[name].reads_reasons else "")

    world.run(main())


def test_a_lost_end_frees_the_other(world: World, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with world.pair(world.front(name).port) as (client, upstream):
            before = loop.time()
            upstream.transport.abort()
            await client.wait_closed()
            assert client.close_code == 1011
            assert loop.time() - before < 1
        async with world.pair(world.front(name).port) as (client, upstream):
            before = loop.time()
            client.transport.abort()
            await upstream.wait_closed()
            assert loop.time() - before < 1
            assert upstream.close_code in (1001, 1005)  # as its server says

    world.run(main())


def test_a_refusal(world: World, name: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidStatus) as found:
            async with connect(f"ws://127.0.0.1:{world.front(name).port}/refuse", proxy=None):
                pass
        response = found.value.response
        if SERVERS[name].denies:
            assert (response.status_code, response.body) == (401, b"not you")
            assert response.headers["X-Why"] == "because"
        else:
            assert response.status_code == 403

    world.run(main())
    assert "Traceback" not in world.front(name).log


def test_a_slow_handshake_loses_no_message(world: World, name: str) -> None:
    """While it is waited for, the client is watched, by ``receive``."""

    async def main() -> None:
        async with world.pair(world.front(name).port, "/slow") as (client, upstream):
            await client.send("first")
            assert await upstream.recv() == "first"

    world.run(main())


def test_a_client_that_leaves_during_a_slow_handshake(world: World, name: str) -> None:
    async def main() -> None:
        port = world.front(name).port
        with contextlib.suppress(TimeoutError):
            async with connect(f"ws://127.0.0.1:{port}/slow", proxy=None, open_timeout=0.4):
                pass
        async with world.pair(port) as (client, upstream):
            await client.close()

    world.run(main())
    assert "Traceback" not in world.front(name).log, world.front(name).log


def test_a_message_that_is_too_big(world: World, name: str) -> None:
    async def main() -> None:
        port = world.front(name, max_message=1000).port
        async with world.pair(port, compression=None) as (client, upstream):
            await client.send("a" * 1000)
            await client.send("a" * 1001)
            assert await upstream.recv() == "a" * 1000
            await client.wait_closed()
            await upstream.wait_closed()
            assert (client.close_code, upstream.close_code) == (1009, 1009)
        async with world.pair(port) as (client, upstream):
            await upstream.send("a" * 1000)
            await upstream.send("a" * 1001)
            assert await client.recv() == "a" * 1000
            await client.wait_closed()
            await upstream.wait_closed()
            assert (client.close_code, upstream.close_code) == (1009, 1009)

    world.run(main())


def test_compression_on_each_side(world: World) -> None:
    async def main() -> None:
        port = world.front("uvicorn-sansio", deflate=True).port
        async with world.pair(port) as (client, upstream):
            assert client.protocol.extensions and upstream.protocol.extensions
            for message in ("tea for two " * 10_000, b"\0" * 100_000):
                await client.send(message)
                assert await upstream.recv() == message
                await upstream.send(message)
                assert await client.recv() == message
        async with world.pair(port, compression=None) as (client, upstream):
            assert not client.protocol.extensions and upstream.protocol.extensions
        async with world.pair(world.front("uvicorn-sansio").port) as (client, upstream):
            assert client.protocol.extensions and not upstream.protocol.extensions

    world.run(main())


# Any sequence gives the same at both ends, with and without us

BODIES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=40),
    st.sampled_from([125, 126, 65535, 65536, 300_000]).map(lambda size: "x" * size),
    st.sampled_from([127, 65537, 1 << 20]).map(lambda size: b"y" * size),
)
STEPS = st.one_of(
    BODIES,
    st.lists(st.text("abc", max_size=9), min_size=2, max_size=5),  # in fragments
    st.just(None),  # a ping
)
CLOSES = st.tuples(
    st.sampled_from(["client", "upstream"]),
    # Not 1012, which is of a server that ends, and is 1001 to the upstream.
    st.sampled_from([None, 1000, 1001, 1003, 1008, 1011, 1013, 3000, 4321]),
    st.text("why", max_size=9),
)
End = ClientConnection | ServerConnection


async def _play(end: End, steps: list[Any]) -> None:
    for step in steps:
        if step is None:
            await asyncio.wait_for(await end.ping(), LIMIT)
        else:
            await end.send(iter(step) if isinstance(step, list) else step)


async def _hear(end: End) -> list[Any]:
    found: list[Any] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(await end.recv())
    return found


async def _seen(
    world: World, port: int, here: list[Any], there: list[Any], close: tuple[str, int | None, str]
) -> Any:
    """What both ends have heard, and how they were closed."""
    who, code, reason = close
    async with world.pair(port) as (client, upstream):
        heard = [asyncio.ensure_future(_hear(end)) for end in (client, upstream)]
        await asyncio.gather(_play(client, here), _play(upstream, there))
        # Messages overtake no message, but a close ends what is still under way.
        await asyncio.gather(_mark(client, upstream), _mark(upstream, client))
        closer = client if who == "client" else upstream
        if code is None:
            closer.protocol.send_close()
            closer.send_data()
        else:
            await closer.close(code, reason)
        found = await asyncio.gather(*heard)
        await asyncio.gather(client.wait_closed(), upstream.wait_closed())
        codes = [(end.close_code, end.close_reason) for end in (client, upstream)]
    return found, codes


async def _mark(end: End, other: End) -> None:
    await asyncio.wait_for(await end.ping(b"over"), LIMIT)


def _differences(codes: list[Any], close: tuple[str, int | None, str]) -> list[Any]:
    """What differs on purpose: no server for ASGI can close without a code."""
    if close[1] is None and close[0] == "upstream":
        return [(1000, ""), codes[1]]
    return codes


@settings(
    max_examples=rounds(25, 500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(STEPS, max_size=6), st.lists(STEPS, max_size=6), CLOSES)
def test_any_sequence_is_the_same_with_us(
    world: World, here: list[Any], there: list[Any], close: tuple[str, int | None, str]
) -> None:
    port = world.front("uvicorn-sansio").port
    (heard, codes) = world.run(_seen(world, world.port, here, there, close))
    assert heard == [
        [_whole(each) for each in steps if each is not None] for steps in (there, here)
    ]
    expected = (heard, _differences(codes, close))
    assert world.run(_seen(world, port, here, there, close)) == expected


def _whole(step: Any) -> Any:
    return "".join(step) if isinstance(step, list) else step
