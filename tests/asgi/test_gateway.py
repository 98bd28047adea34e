"""The ASGI edge without a server: messages at odd moments, and failures of both ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asgi_calls import LAST, Caller, http_scope, judged
from tests.support.connection import Script
from tests.support.messages import answer, chunked_answer, chunks
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.errors import ProxyError

GONE = {"type": "http.disconnect"}
OPEN = b"HTTP/1.1 200 OK\r\n\r\nhello"
CHUNKED = (b"transfer-encoding", b"chunked")
HELLO = answer(body=b"hello")
LIMIT = 10


def block(data: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a loop of its own, to which no task or exception is lost."""
    lost: list[dict[str, Any]] = []

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: lost.append(context))
        result = await asyncio.wait_for(coroutine, LIMIT)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for _ in range(3):  # those that were cancelled end
            await asyncio.sleep(0)
        assert not [task for task in left if not task.done()], "a task is left"
        del left
        gc.collect()  # asyncio tells of an exception that was not taken when its task goes
        return result

    result = asyncio.run(main())
    assert lost == []
    return result


def ask(
    upstream: RawUpstream,
    caller: Caller,
    *headers: tuple[bytes, bytes],
    behaviour: bytes | Script = HELLO,
    **changes: Any,
) -> BaseException | None:
    """One call; the messages are legal, and what was raised is returned."""
    upstream.behaviour = behaviour
    scope = http_scope(*headers, **changes)
    app = ASGIProxyApp(upstream.url)

    async def call() -> Any:
        try:
            return await caller(app, scope)
        finally:
            app.close()

    error = run(call())
    judged(caller.sent, scope)
    return error


def status(caller: Caller) -> int:
    return next(each["status"] for each in caller.sent if each["type"] == "http.response.start")


def waits(upstream: RawUpstream) -> Script:
    """Wait for the proxy to end the connection."""
    return [("read_head",), ("wait_ended",)]


# -- receive -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "headers"),
    [
        pytest.param([GONE], [CHUNKED], id="at once"),
        pytest.param([block(b"hel"), GONE], [CHUNKED], id="in a chunked body"),
        pytest.param([block(b"hel"), GONE], [(b"content-length", b"5")], id="in a counted body"),
        pytest.param([block(b"h"), OSError("broken")], [CHUNKED], id="receive raises OSError"),
        pytest.param([RuntimeError("odd")], [CHUNKED], id="receive raises something"),
    ],
)
def test_a_body_that_breaks_off_is_never_completed(
    events: list[Any], headers: list[tuple[bytes, bytes]], upstream: RawUpstream
) -> None:
    caller = Caller(events)
    error = ask(upstream, caller, *headers, method="POST", behaviour=[("read",), ("send", OPEN)])
    assert error is None
    assert status(caller) in (400, 499)
    assert not any(request.complete for request in upstream.requests)
    for number in range(len(upstream.accepted)):
        connection = upstream.accepted[number]
        assert upstream.wait_until(lambda connection=connection: connection.ended, 5)


@pytest.mark.parametrize("events", [[LAST, GONE], [GONE], [LAST, OSError("broken")]])
def test_a_client_that_leaves_before_the_answer(events: list[Any], upstream: RawUpstream) -> None:
    caller = Caller(events)
    assert ask(upstream, caller, behaviour=waits(upstream)) is None
    assert upstream.accepted[0].ended_by_peer or upstream.wait_until(
        lambda: upstream.accepted[0].ended_by_peer, 5
    )


def slow(seen: threading.Event) -> Script:
    return [("read_head",), ("wait", seen), ("send", answer(body=b"hello"))]


@pytest.mark.parametrize("body", [None, b"again"])
def test_a_receive_that_repeats_itself_does_not_stop_the_loop(
    body: bytes | None, upstream: RawUpstream
) -> None:
    """As middlewares write it that have read the body: it gives the same message for ever."""
    seen = threading.Event()
    message = LAST if body is None else block(body, more=False)

    class Repeats(Caller):
        asked = 0

        async def receive(self) -> dict[str, Any]:
            self.asked += 1
            if self.asked == 2:  # the watch has begun: the upstream may answer
                asyncio.get_running_loop().call_later(0, seen.set)
            if self.asked == 100:  # it would be asked for ever
                await asyncio.Event().wait()
            return message

    caller = Repeats()
    assert ask(upstream, caller, behaviour=slow(seen)) is None
    assert status(caller) == 200
    assert caller.asked < 100


def test_a_receive_that_fails_while_nothing_is_awaited_of_it(upstream: RawUpstream) -> None:
    """It says nothing about the client, so the answer is awaited."""
    seen = threading.Event()

    class Fails(Caller):
        async def receive(self) -> dict[str, Any]:
            asyncio.get_running_loop().call_later(0, seen.set)
            raise RuntimeError("read already")

    caller = Fails()
    assert ask(upstream, caller, behaviour=slow(seen)) is None
    assert status(caller) == 200


@pytest.mark.parametrize(
    ("events", "length", "expected"),
    [
        pytest.param([block(b"hel", more=False)], b"5", 400, id="too short"),
        pytest.param([block(b"hello!", more=False)], b"5", 400, id="too long"),
        pytest.param([block(b"hel"), block(b"lo"), LAST], b"5", 200, id="in pieces"),
        pytest.param([block(b""), block(b"hello"), LAST], b"5", 200, id="an empty block first"),
        pytest.param([{"type": "http.request", "body": b"hello"}], b"5", 200, id="defaults"),
        pytest.param([{"type": "http.request"}], b"0", 200, id="nothing"),
        pytest.param([block(bytearray(b"hello"), more=False)], b"5", 200, id="a bytearray"),
    ],
)
def test_a_body_is_as_long_as_it_says(
    events: list[Any], length: bytes, expected: int, upstream: RawUpstream
) -> None:
    caller = Caller(events)
    headers = (b"content-length", length)
    assert ask(upstream, caller, headers, method="POST", behaviour=answer()) is None
    assert status(caller) == expected
    assert [request.body for request in upstream.requests if request.complete] == (
        [b"hello" if length == b"5" else b""] if expected == 200 else []
    )


# -- send ----------------------------------------------------------------------------


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_send_that_fails_ends_the_upstream_connection(
    fails_at: int, upstream: RawUpstream
) -> None:
    """ASGI 2.4: OSError says that the client has left."""
    caller = Caller([LAST], fails_at)
    script = [("read_head",), ("send", OPEN), ("send_until_ended", b"x" * 65536)]
    assert ask(upstream, caller, behaviour=script) is None
    assert upstream.wait_until(lambda: upstream.accepted[0].ended_by_peer, 5)


@pytest.mark.parametrize("fails_at", [0, 1])
def test_an_error_page_that_cannot_be_sent(fails_at: int, upstream: RawUpstream) -> None:
    assert ask(upstream, Caller([LAST], fails_at), behaviour=b"SSH-2.0\r\n\r\n") is None


HINTS = {"extensions": {"http.response.early_hint": {}}}
EARLY = answer(103, [("Link", "</a>"), ("X-A", "1"), ("Link", "</b>")])


def test_early_hints_pass_where_the_server_takes_them(upstream: RawUpstream) -> None:
    both = EARLY + answer(102) + answer(body=b"hello")
    caller = Caller()
    assert ask(upstream, caller, behaviour=both, **HINTS) is None
    assert caller.sent[0] == {"type": "http.response.early_hint", "links": [b"</a>", b"</b>"]}
    plain = Caller()
    assert ask(upstream, plain, behaviour=both) is None
    assert [each["type"] for each in plain.sent] == ["http.response.start", "http.response.body"]


def test_early_hints_that_cannot_be_sent(
    upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The client has left; that is no fault of ours."""
    caller = Caller([LAST], 0)
    with caplog.at_level(logging.INFO, "wsgiproxy"):
        assert ask(upstream, caller, behaviour=[("read",), ("send", EARLY)], **HINTS) is None
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert upstream.wait_until(lambda: upstream.accepted[0].ended_by_peer, 5)


@pytest.mark.parametrize("name", [b"accept", b"Accept"])
def test_error_pages_are_what_is_accepted(name: bytes, upstream: RawUpstream) -> None:
    caller = Caller()
    accept = (name, b"application/json")
    assert ask(upstream, caller, accept, behaviour=b"SSH-2.0\r\n\r\n") is None
    assert dict(caller.sent[0]["headers"])[b"content-type"].startswith(b"application/json")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("host", b"front.example")], id="str for a name"),
        pytest.param([(b"host", "front.example")], id="str for a value"),
    ],
)
def test_scopes_that_are_malformed_get_500(
    fields: list[Any], upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller()
    assert ask(upstream, caller, headers=fields) is None
    assert status(caller) == 500
    assert upstream.requests == []


# -- cancellation --------------------------------------------------------------------


@pytest.mark.parametrize("at", ["before the answer", "in its middle"])
def test_a_request_that_the_server_cancels(at: str, upstream: RawUpstream) -> None:
    begins: Script = [("send", OPEN)] if at == "in its middle" else []
    upstream.behaviour = [("read_head",), *begins, ("wait_ended",)]
    app = ASGIProxyApp(upstream.url)
    caller = Caller()

    async def call() -> None:
        begun = asyncio.Event()

        async def note(message: dict[str, Any]) -> None:
            begun.set()

        caller.on_send = note
        task = asyncio.ensure_future(caller(app, http_scope()))
        if begins:
            await begun.wait()
        else:
            await asyncio.to_thread(upstream.wait_for_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(call())
    assert upstream.wait_until(lambda: upstream.accepted[0].ended_by_peer, 5)


# -- whatever the upstream answers ---------------------------------------------------

lines = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: 9",
        b"Content-Length: 5, 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Connection: close, X-A",
        b"Keep-Alive: 5",
        b"Upgrade: h2c",
        b"Trailer: X-Sum",
        b"Set-Cookie: a=1; Path=/",
        b"Set-Cookie: b=2",
        b"X-UPPER: caf\xe9",
        b"X-A: a\tb ",
        b"X-A:",
        b":status: 200",
        b"X-A: a\x01b",
        b"X-A: \x7f",
        b"Location: http://127.0.0.1/caf\xe9",
    ]
)
heads = st.builds(
    lambda status, fields: b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""]),
    st.sampled_from([b"200 OK", b"204 ", b"304 N", b"205 R", b"103 E", b"999 D", b"101 S", b"99 "]),
    st.lists(lines, max_size=4) | st.lists(st.binary(max_size=8), max_size=2),
)
bodies = st.sampled_from(
    [b"", b"hello", b"hello world", chunks(b"hello"), chunks(b"hello", last=False), b"5\r\nhel"]
) | st.binary(max_size=10)
messages = [answer(103) + answer(body=b"hello"), chunked_answer(b"a", b"b"), b"", b"HTTP/1.1 200"]


@pytest.fixture(scope="module")
def scripted() -> Iterator[RawUpstream]:
    with RawUpstream() as server:
        yield server


@given(
    raw=st.builds(b"".__class__.__add__, heads, bodies) | st.sampled_from(messages),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    end=st.sampled_from(["close", "reset", "shutdown_write"]),
)
def test_the_server_gets_legal_messages_whatever_the_upstream_answers(
    raw: bytes, method: str, end: str, scripted: RawUpstream
) -> None:
    """Promise 2: a legal answer, an error page, or an exception in mid-body."""
    scripted.behaviour = [("read",), ("send", raw), (end,)]
    app, caller, scope = ASGIProxyApp(scripted.url), Caller(), http_scope(method=method)

    async def call() -> BaseException | None:
        try:
            return await asyncio.wait_for(caller(app, scope), LIMIT)
        finally:
            app.close()
            await asyncio.sleep(0)  # in which the loop ends its connections

    error = asyncio.run(call())
    is_whole = judged(caller.sent, scope)
    assert is_whole if error is None else isinstance(error, ProxyError) and not is_whole
