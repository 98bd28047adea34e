"""A WebSocket through the proxy, between a client of messages and an upstream of bytes."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.asgi.sockets import (
    BINARY,
    CLOSE,
    CONT,
    LIMIT,
    PING,
    PONG,
    TEXT,
    Client,
    Peer,
    close_frame,
    frame,
    run,
    serving,
)
from tests.support.loops import LOOPS, until
from wsgiproxy.asgi.frames import UpstreamEnd

pytestmark = pytest.mark.in_turns(2, "loop")

MEGABYTE = 1 << 20
Messages = AsyncIterator[Any]


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def opened(app: Any, upstream: Any, first: bytes = b"") -> tuple[Client, Peer]:
    client = Client(app)
    peer = await upstream.peer(first=first)
    await client.accepted()
    return client, peer


# Messages


def test_messages_both_ways(loop: str) -> None:
    large = b"\xfe" * (3 * MEGABYTE)

    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            for message in ("text \N{SNOWMAN}", b"binary\0", "", b"", large):
                client.say(message)
                data = message.encode() if isinstance(message, str) else message
                kind = TEXT if isinstance(message, str) else BINARY
                if data is large:  # taking the mask off takes a second
                    head = await asyncio.wait_for(peer.reader.readexactly(14), LIMIT)
                    assert head[:10] == b"\x82\xff" + len(large).to_bytes(8, "big")
                    await asyncio.wait_for(peer.reader.readexactly(len(large)), LIMIT)
                else:
                    assert await peer.next(kind) == data
                peer.send(frame(kind, data))
                assert await client.heard() == message
            peer.send(frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b"))
            assert await client.heard() == "ab"
            assert await peer.next(PONG) == b"p"
            client.close(1000)
            assert await peer.closed() == (1000, "")
            await client.ended()

    run(loop, main())


def test_what_stands_in_the_segment_of_the_101_comes_first(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            first = frame(TEXT, b"a") + frame(BINARY, b"b") + frame(TEXT, b"in two")[:4]
            client, peer = await opened(app, upstream, first)
            peer.send(frame(TEXT, b"in two")[4:] + close_frame(4000, "that was all"))
            assert [await client.heard() for _ in range(3)] == ["a", b"b", "in two"]
            assert await client.closed() == (4000, "that was all")
            assert await peer.next(CLOSE) == b"\x0f\xa0that was all"
            await client.ended()

    run(loop, main())


def test_a_bytearray_of_the_server_is_a_message(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            client.say(bytearray(b"abc"))
            event = {"type": "websocket.receive", "bytes": None, "text": "", "more": 1}
            client.events.put_nowait(event)
            assert await peer.next(BINARY) == b"abc"
            assert await peer.next(TEXT) == b""
            client.close()
            await client.ended()

    run(loop, main())


# The end


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 1012, 1013, 3000, 4999])
def test_codes_and_reasons_of_both_ends(code: int) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            client.close(code, "the client's \N{SNOWMAN}")
            # 1012 is of a server that ends: its client goes away.
            told = 1001 if code == 1012 else code
            assert await peer.closed() == (told, "the client's \N{SNOWMAN}")
            await client.ended()
            client, peer = await opened(app, upstream)
            peer.send(close_frame(code, "the upstream's"))
            assert await client.closed() == (code, "the upstream's")
            await client.ended()

    run("asyncio", main())


ENDS = [
    # What the client's server says, and what the upstream gets.
    pytest.param((1005, ""), (None, ""), id="no-code"),
    pytest.param((1006, ""), (1001, ""), id="lost"),
    pytest.param((1015, ""), (1001, ""), id="tls"),
    pytest.param((None, None), (None, ""), id="nothing"),
    pytest.param((999, "x"), (1001, "x"), id="bad-code"),
    pytest.param((4000, "\xe9" * 100), (4000, "\xe9" * 61), id="long-reason"),
]


@pytest.mark.parametrize(("said", "got"), ENDS)
def test_codes_that_never_travel(said: Any, got: Any) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            client.close(*said)
            assert await peer.closed() == got
            await client.ended()

    run("asyncio", main())


@pytest.mark.parametrize("how", ["end", "reset", "half a frame", "silence"])
def test_a_lost_upstream_is_1011_within_a_second(loop: str, how: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0.2) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.send(frame(TEXT, b"last") + (b"\x81\x05ab" if how == "half a frame" else b""))
            assert await client.heard() == "last"
            if how == "reset":
                peer.reset()
            elif how != "silence":
                peer.cut()
            before = asyncio.get_running_loop().time()
            assert await client.closed() == (1011, "")
            await client.ended()
            assert asyncio.get_running_loop().time() - before < 1

    run(loop, main())


@pytest.mark.parametrize(
    ("data", "to_upstream", "to_client"),
    [
        pytest.param(frame(3), 1002, 1011, id="opcode"),
        pytest.param(frame(TEXT, b"a", mask=True), 1002, 1011, id="masked"),
        pytest.param(frame(TEXT, b"a", reserved=4), 1002, 1011, id="reserved-bits"),
        pytest.param(frame(PING, b"a" * 126), 1002, 1011, id="long-ping"),
        pytest.param(frame(TEXT, b"\xff"), 1007, 1011, id="not-utf-8"),
        pytest.param(frame(BINARY, b"a" * 201), 1009, 1009, id="too-big"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 80, 1002, 1011, id="http"),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_a_hostile_upstream(
    loop: str, data: bytes, to_upstream: int, to_client: int, at_once: bool
) -> None:
    async def main() -> None:
        async with serving(max_message=200) as (app, upstream):
            client, peer = await opened(app, upstream, data if at_once else b"")
            if not at_once:
                peer.send(data)
            assert await client.closed() == (to_client, "")
            assert (await peer.next(CLOSE))[:2] == to_upstream.to_bytes(2, "big")
            await client.ended()
            assert await peer.lost() == b""

    run(loop, main())


def test_a_message_of_the_client_that_is_too_big(loop: str) -> None:
    async def main() -> None:
        async with serving(max_message=100) as (app, upstream):
            for message in ("\N{SNOWMAN}" * 34, b"a" * 101):
                client, peer = await opened(app, upstream)
                client.say("\N{SNOWMAN}" * 33)
                client.say(message)
                assert await client.closed() == (1009, "")
                assert await peer.next(TEXT) == ("\N{SNOWMAN}" * 33).encode()
                assert await peer.closed() == (1009, "")
                await client.ended()

    run(loop, main())


def test_the_code_of_a_client_that_closes_while_messages_come(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            client.is_gone = True  # the server sees the end, and tells of it a moment later
            peer.send(frame(TEXT, b"late") * 10)
            for _ in range(20):
                await asyncio.sleep(0)
            client.close(4001, "bye")
            assert await peer.closed() == (4001, "bye")
            await client.ended()

    run(loop, main())


def test_a_lifetime_ends_both_even_if_the_client_reads_nothing(loop: str) -> None:
    async def main() -> None:
        async with serving(websocket_lifetime=0.1) as (app, upstream):
            client, peer = await opened(app, upstream)
            assert await client.closed() == (1012, "")
            assert await peer.closed() == (1001, "")
            await client.ended()
            client, peer = await opened(app, upstream)
            client.reads.clear()
            peer.send(frame(TEXT, b"a") * 3)
            assert await peer.closed() == (1001, "")
            await client.ended()

    run(loop, main())


# Pings


def test_the_upstream_is_pinged_and_its_answer_awaited(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0.05) as (app, upstream):
            client, peer = await opened(app, upstream)
            for _ in range(4):
                peer.send(frame(PONG, await peer.next(PING)))
            await peer.next(PING)
            assert await client.closed() == (1011, "")
            await client.ended()

    run(loop, main())


def test_no_pings_are_sent_if_none_are_wanted(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            client.close()
            assert (await peer.lost())[:1] == bytes([0x80 | CLOSE])
            await client.ended()

    run(loop, main())


# Back-pressure


def test_a_client_that_reads_nothing_stops_the_upstream(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            client.reads.clear()
            gc.collect()
            tracemalloc.start()
            peer.writer.transport.set_write_buffer_limits(0)  # type: ignore[attr-defined]
            sent, data = 0, frame(BINARY, b"a" * 65536)

            async def flood() -> None:
                nonlocal sent
                while True:
                    peer.send(data)
                    sent += 1
                    await peer.writer.drain()

            flooding = asyncio.get_running_loop().create_task(flood())
            last = -1
            while sent != last:
                last = sent
                await asyncio.sleep(0.05)
            assert sent < 400  # what kernels hold
            assert tracemalloc.get_traced_memory()[0] < 4 * MEGABYTE
            tracemalloc.stop()
            client.reads.set()
            assert await until(lambda: sent > last + 100)
            flooding.cancel()
            client.close(1001)
            await client.ended()

    run(loop, main())


def test_an_upstream_that_reads_nothing_stops_the_client(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(400):
                client.say(b"a" * 65536)
            left = -1
            while client.events.qsize() != left:
                left = client.events.qsize()
                await asyncio.sleep(0.05)
            assert left > 100
            peer.send(frame(TEXT, b"the other way is free"))
            assert await client.heard() == "the other way is free"
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            reading = asyncio.get_running_loop().create_task(peer.reader.read(400 * 65536))
            while client.events.qsize():
                await asyncio.wait_for(reading, LIMIT)
                reading = asyncio.get_running_loop().create_task(peer.reader.read(65536))
            reading.cancel()
            client.close()
            await client.ended()

    run(loop, main())


def test_a_client_that_leaves_frees_an_upstream_that_reads_nothing(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.say(b"a" * (16 * MEGABYTE))
            assert await until(client.events.empty)
            client.close(1006)
            before = asyncio.get_running_loop().time()
            await client.ended()
            assert asyncio.get_running_loop().time() - before < 1

    run(loop, main())


@pytest.mark.parametrize("waiting", [1, 2, 100])
def test_a_client_that_leaves_behind_waiting_messages_is_noticed(loop: str, waiting: int) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.say(b"a" * (16 * MEGABYTE))
            for _ in range(waiting):
                client.say("a")
            client.close(1006)
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize("waiting", [1, 2, 100])
def test_a_client_that_leaves_a_slow_hook_is_noticed(loop: str, waiting: int) -> None:
    async def slow(messages: Messages) -> Messages:
        async for message in messages:
            await asyncio.Event().wait()
            yield message

    async def main() -> None:
        async with serving(ping_interval=0, messages_from_client=slow) as (app, upstream):
            client, _ = await opened(app, upstream)
            for _ in range(waiting):
                client.say("a")
            client.close(1006)
            await client.ended()

    run(loop, main())


def test_no_more_is_read_ahead_than_a_block(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.say(b"a" * (16 * MEGABYTE))
            for _ in range(5000):
                client.say("")
            assert await until(lambda: client.events.qsize() < 4500)
            await until(lambda: client.events.qsize() < 3900, 0.05)
            assert client.events.qsize() == 5000 - 1024
            client.close(1006)
            reading = asyncio.get_running_loop().create_task(peer.lost())
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await client.ended()
            await reading

    run(loop, main())


async def passed(messages: Messages) -> Messages:
    async for message in messages:
        yield message


@pytest.mark.parametrize("hook", [None, passed])
def test_what_a_client_says_before_it_closes_reaches_a_slow_upstream(loop: str, hook: Any) -> None:
    async def main() -> None:
        async with serving(ping_interval=0, messages_from_client=hook) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            size = 12 * MEGABYTE
            client.say(b"a" * size)
            for number in range(5):
                client.say(f"{number}")
            client.close(4000, "bye")
            await asyncio.sleep(1)  # more than is waited for an answer
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await asyncio.wait_for(peer.reader.readexactly(14 + size), 5)
            assert [await peer.next(TEXT) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
            assert await peer.closed() == (4000, "bye")
            await client.ended()

    run(loop, main())


def test_the_server_ends_while_an_upstream_takes_nothing_more(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.say(b"a" * (12 * MEGABYTE))
            client.close(1000)
            assert await until(client.events.empty)
            app._upgrades.close()
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize("hook", [None, passed])
def test_a_slow_client_gets_the_close_and_the_upstream_is_free(loop: str, hook: Any) -> None:
    async def main() -> None:
        async with serving(messages_from_client=hook) as (app, upstream):
            for leaves in (False, True):
                client, peer = await opened(app, upstream)
                peer.send(close_frame(4000, "bye"))
                client.reads.clear()
                assert await peer.next(CLOSE) == b"\x0f\xa0bye"
                peer.cut()
                await asyncio.sleep(1)  # more than is waited for the upstream
                assert not client.task.done()
                if leaves:
                    event = {"type": "websocket.disconnect", "code": 1006}
                    client.events.put_nowait(event)
                else:
                    client.reads.set()
                    assert await client.closed() == (4000, "bye")
                await client.ended()

    run(loop, main())


def test_a_slow_client_does_not_keep_a_server_that_ends(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.send(close_frame(4000, "bye"))
            client.reads.clear()
            await peer.closed()
            app._upgrades.close()
            await client.ended()

    run(loop, main())


async def fails(messages: Messages) -> Messages:
    async for message in messages:
        raise OSError("of the hook, not of the client")
        yield message


@pytest.mark.parametrize("hook", [None, fails])
def test_what_has_failed_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a mistake of ours")

    async def main() -> None:
        async with serving(messages_from_client=hook) as (app, upstream):
            client, _ = await opened(app, upstream)
            client.say("a")
            assert await client.closed() == (1011, "")
            await client.ended()

    if hook is None:
        monkeypatch.setattr(UpstreamEnd, "send", broken)
    with caplog.at_level(logging.ERROR, "wsgiproxy.error"):
        run("asyncio", main())
    assert ("a hook of" in caplog.text) is (hook is not None)
    assert ("passing WebSocket messages has failed" in caplog.text) is (hook is None)


def test_messages_while_the_upstream_reads_nothing_arrive_in_order(loop: str) -> None:
    async def main() -> None:
        async with serving(ping_interval=0) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            size = 12 * MEGABYTE
            client.say(b"a" * size)
            for number in range(5):
                client.say(f"{number}")
            await asyncio.sleep(0.01)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await asyncio.wait_for(peer.reader.readexactly(14 + size), 5)
            assert [await peer.next(TEXT) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
            client.close()
            await client.ended()

    run(loop, main())


def test_an_upstream_that_is_lost_while_the_client_is_slow(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            client.reads.clear()
            peer.send(frame(BINARY, b"a" * 65536) * 4)
            await until(lambda: client.app is None, 0.05)
            peer.reset()
            client.say("a message that finds the connection broken")
            client.say("and another one")
            await until(lambda: client.app is None, 0.05)
            client.reads.set()
            assert await client.closed() == (1011, "")
            await client.ended()

    run(loop, main())


def test_the_last_words_of_an_upstream_that_reads_no_more(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.send(frame(TEXT, b"last") + close_frame(1013, "later"))
            peer.cut()
            for _ in range(3):
                client.say("unread")
            assert await client.heard() == "last"
            assert await client.closed() == (1013, "later")
            await client.ended()

    run(loop, main())


# Hooks


async def twice(messages: Messages) -> Messages:
    async for message in messages:
        yield message
        yield message


async def none(messages: Messages) -> Messages:
    async for _ in messages:
        pass
    return
    yield


async def joined(messages: Messages) -> Messages:
    """Many in, one out, at the end."""
    yield " ".join([message async for message in messages])


async def ends_at_once(messages: Messages) -> Messages:
    yield "only one"


async def gives_a_number(messages: Messages) -> Messages:
    async for _ in messages:
        yield 5


async def gives_half_a_character(messages: Messages) -> Messages:
    async for _ in messages:
        yield "\ud800"


async def endless(messages: Messages) -> Messages:
    while True:
        yield "again" * 10_000


async def says_first(messages: Messages) -> Messages:
    yield "hello"
    async for message in messages:
        yield message


async def no_generator(messages: Messages) -> None:
    return None


@pytest.mark.parametrize(
    ("hook", "sent", "got"),
    [
        pytest.param(twice, ["a", b"b"], ["a", "a", b"b", b"b"], id="more"),
        pytest.param(none, ["a", "b"], [], id="none"),
        pytest.param(joined, ["a", "b"], ["a b"], id="at-the-end"),
        pytest.param(says_first, ["a"], ["hello", "a"], id="first"),
    ],
)
def test_a_hook_of_what_the_client_says(loop: str, hook: Any, sent: Any, got: Any) -> None:
    async def main() -> None:
        async with serving(messages_from_client=hook) as (app, upstream):
            client, peer = await opened(app, upstream)
            for message in sent:
                client.say(message)
            client.close(4000, "bye")
            for message in got:
                data = message.encode() if isinstance(message, str) else message
                assert await peer.next(TEXT if isinstance(message, str) else BINARY) == data
            assert await peer.closed() == (4000, "bye")
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize(
    ("hook", "sent", "got"),
    [
        pytest.param(twice, [b"a", b"b"], ["a", "a", "b", "b"], id="more"),
        pytest.param(none, [b"a", b"b"], [], id="none"),
        pytest.param(joined, [b"a", b"b"], ["a b"], id="at-the-end"),
        pytest.param(says_first, [b"a"], ["hello", "a"], id="first"),
    ],
)
def test_a_hook_of_what_the_upstream_says(loop: str, hook: Any, sent: Any, got: Any) -> None:
    async def main() -> None:
        async with serving(messages_from_upstream=hook) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.send(b"".join(frame(TEXT, data) for data in sent) + close_frame(4000, "bye"))
            assert [await client.heard() for _ in got] == got
            assert await client.closed() == (4000, "bye")
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize("end", ["messages_from_client", "messages_from_upstream"])
@pytest.mark.parametrize("hook", [fails, gives_a_number, gives_half_a_character, no_generator])
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_hook_that_fails_is_1011_at_both_ends(
    loop: str, end: str, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(**{end: hook}) as (app, upstream):
            client, peer = await opened(app, upstream)
            client.say("a")
            peer.send(frame(TEXT, b"a"))
            assert await client.closed() == (1011, "")
            assert await peer.closed() == (1011, "")
            await client.ended()

    with caplog.at_level(logging.ERROR, "wsgiproxy.error"):
        run(loop, main())
    assert "a hook of WebSocket messages has failed" in caplog.text


@pytest.mark.parametrize("end", ["messages_from_client", "messages_from_upstream"])
def test_a_hook_that_ends_closes_both_ends(loop: str, end: str) -> None:
    async def main() -> None:
        async with serving(**{end: ends_at_once}) as (app, upstream):
            client, peer = await opened(app, upstream)
            assert await client.closed() == (1000, "")
            assert await peer.closed() == (1000, "")
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_hook_that_never_ends_does_not_outlive_its_end(loop: str, who: str) -> None:
    async def main() -> None:
        async with serving(messages_from_client=endless) as (app, upstream):
            client, peer = await opened(app, upstream)
            assert await peer.next(TEXT) == b"again" * 10_000
            if who == "client":
                client.close()
                # What was said before the end is waited for.
                reading = asyncio.get_running_loop().create_task(peer.lost())
            else:
                peer.send(close_frame(1000))
                peer.cut()
            await client.ended()
            if who == "client":
                await reading

    run(loop, main())


@pytest.mark.parametrize("end", ["messages_from_client", "messages_from_upstream"])
def test_an_endless_hook_leaves_turns_to_others(loop: str, end: str) -> None:
    async def chatters(messages: Messages) -> Messages:
        for number in range(20_000):  # as good as endless
            yield f"{number}"
            given.append(number)
        await asyncio.Event().wait()

    given: list[int] = []

    async def main() -> None:
        async with serving(**{end: chatters}) as (app, upstream):
            client, _ = await opened(app, upstream)
            assert await until(lambda: bool(given))
            assert len(given) < 10_000
            client.close()
            await client.ended()

    run(loop, main())


def test_a_hook_that_waits_for_ever_does_not_outlive_the_client(loop: str) -> None:
    ended: list[str] = []

    async def waits(messages: Messages) -> Messages:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.append("closed")

    async def main() -> None:
        hooks = {"messages_from_client": waits, "messages_from_upstream": waits}
        async with serving(**hooks) as (app, upstream):
            client, peer = await opened(app, upstream)
            peer.send(close_frame(1000))
            client.close()
            await client.ended()

    run(loop, main())
    assert ended == ["closed", "closed"]
