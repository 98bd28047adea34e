"""What is left in an event loop: nothing of what was cancelled, and nothing of another loop."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.loops import LOOPS, connecting, descriptors, ended, in_thread, until
from tests.support.upstream import RawUpstream, answer
from tests.transport.aio.test_dial import Full
from tests.transport.aio.test_reuse import GET, POST, ask, origin_of
from wsgiproxy.sansio.message import Origin
from wsgiproxy.transport import AsyncPooledTransport
from wsgiproxy.transport.aio.ticker import TICK

ROOT = Path(__file__).resolve().parents[3]
AT_ONCE = 50
REQUESTS = 200  # at each of five points


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a server to which one can connect, and which does nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=4 * REQUESTS) as listener:
        yield listener.getsockname()[1]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(65536)


async def cancelled(count: int, transport, origin: Origin, request, body, is_there) -> None:
    """So many requests, each cancelled as soon as it is where it should be."""

    async def one() -> None:
        reply = await transport.send(origin, request, body and body())
        try:
            async for _ in reply:
                pass
        finally:
            reply.close()

    for _ in range(count // AT_ONCE):
        tasks = [asyncio.ensure_future(one()) for _ in range(AT_ONCE)]
        assert await until(lambda: is_there(AT_ONCE))  # noqa: B023
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


def streaming(connection) -> None:
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    connection.wait_ended()


@pytest.mark.parametrize("point", ["dialling", "handshake", "uploading", "head", "body"])
async def test_cancelled_requests_leave_nothing(transport, deaf, upstream, point):
    loop = asyncio.get_running_loop()
    upstream.behaviour = streaming
    ticked = transport._place().ticker._due
    before = [0]

    def in_flight(count: int) -> bool:
        return len(ticked) == count and all(
            each._exchange.sending == (point == "uploading")
            and (point == "body") == (each._exchange.head is not None)
            for each in ticked
        )

    with Full() as full, warnings.catch_warnings():
        warnings.simplefilter("error")
        origin = {
            "dialling": Origin("http", "127.0.0.2", full.port),
            "handshake": Origin("https", "127.0.0.1", deaf),
            "body": origin_of(upstream),
        }.get(point, Origin("http", "127.0.0.1", deaf))
        others = connecting(origin.port)

        def dialling(count: int) -> bool:
            return connecting(origin.port) == others + count

        request, body = GET, None
        if point == "uploading":
            request, body = POST._replace(content_length=1 << 40), endless
        there = dialling if point in ("dialling", "handshake") else in_flight
        case = (transport, origin, request, body, there)
        await in_thread(lambda: None)  # the thread; the loop, too, opens some at the first use
        before[0] = descriptors()
        await cancelled(AT_ONCE, *case)
        assert await until(lambda: descriptors() < before[0] + 3)
        before[0] = descriptors()
        await cancelled(REQUESTS - AT_ONCE, *case)
        # Other threads of this process open and close some, too.
        assert await until(lambda: descriptors() < before[0] + 3), descriptors() - before[0]
        assert not ticked
        if hasattr(loop, "_scheduled"):
            latest = max(
                (each.when() for each in loop._scheduled if not each.cancelled()), default=0
            )
            assert latest <= loop.time() + TICK
        ticker = transport._place().ticker
        assert await until(lambda: not ticker._is_set, 2)
        gc.collect()


# -- loops -----------------------------------------------------------------------------


def test_a_loop_never_gets_a_connection_of_another(upstream, kind):
    upstream.behaviour = answer(body=b"x")
    transport = AsyncPooledTransport()

    async def use() -> list[bool]:
        replies = [await transport.send(origin_of(upstream), GET) for _ in range(2)]
        return [reply.reused for reply in replies]

    async def use_both() -> None:
        assert await use() == [False, True]
        assert await in_thread(asyncio.run, use()) == [False, True]
        # Those of the other loop have ended with it.
        assert (await transport.send(origin_of(upstream), GET)).reused
        transport.close()

    with warnings.catch_warnings():
        # The other loop has ended with a connection, of which asyncio complains.
        warnings.simplefilter("ignore", ResourceWarning)
        ended(LOOPS[kind](), use_both())
        gc.collect()
    assert upstream.connections == 2
    assert upstream.wait_closed()


def test_a_loop_that_has_ended_leaves_nothing_to_its_successor(upstream, kind):
    """Which may have the same id()."""
    upstream.behaviour = answer(body=b"x")
    transport = AsyncPooledTransport()
    before = descriptors()

    async def use(is_last: bool) -> None:
        assert not (await transport.send(origin_of(upstream), GET)).reused
        if is_last:
            transport.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for number in range(5):
            ended(LOOPS[kind](), use(number == 4))
            gc.collect()
    assert len(transport._places) <= 1
    assert upstream.connections == 5
    assert upstream.wait_closed()
    assert descriptors() <= before + 5  # the upstream's own


def test_loops_in_threads_share_a_transport(upstream, kind):
    upstream.behaviour = answer(body=b"x")
    transport = AsyncPooledTransport()
    failures: list[BaseException] = []

    async def use() -> None:
        for _ in range(20):
            assert await ask(transport, upstream) == b"x"
        transport.close()

    def work() -> None:
        try:
            for _ in range(5):
                ended(LOOPS[kind](), use())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert len(upstream.requests) == 400
    assert upstream.connections == 20


FORKS = """
    import asyncio, os, sys, uvloop
    from wsgiproxy.sansio.message import Origin, Request
    from wsgiproxy.transport import AsyncPooledTransport

    origin = Origin("http", "127.0.0.1", int(sys.argv[1]))
    get = Request("GET", "/", [("Host", "a")])
    transport = AsyncPooledTransport()

    async def send():
        return (await transport.send(origin, get)).reused

    async def child():
        reused = [await send(), await send()]
        transport.close()
        return reused

    async def main():
        assert [await send(), await send()] == [False, True]
        number = os.fork()
        if not number:
            # The loop of the parent counts as running here, too.
            asyncio._set_running_loop(None)
            status = 1
            try:
                loop = asyncio.new_event_loop()
                status = 0 if loop.run_until_complete(child()) == [False, True] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
        assert await send()
        transport.close()

    if sys.argv[2] == "uvloop":
        uvloop.install()
    asyncio.run(main())
"""


def test_a_forked_child_does_not_use_the_connections_of_its_parent(upstream: RawUpstream, kind):
    upstream.behaviour = answer(body=b"x")
    program = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKS)]
    done = subprocess.run(
        [*program, str(upstream.port), kind], cwd=ROOT, timeout=30, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [each.connection for each in upstream.requests] == [0, 0, 1, 1, 0]
