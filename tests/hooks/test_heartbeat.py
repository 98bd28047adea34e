"""Comments come in silences of event streams, between lines only, and keep nothing alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.hooks.streamed import STREAMING, streamed
from tests.support.upstream import Connection, RawUpstream, answer, chunks
from wsgiproxy.errors import ClientGone, ConfigurationError, UpstreamTimeout
from wsgiproxy.hooks import HookFailed, Request, Response
from wsgiproxy.hooks.body import Changes
from wsgiproxy.hooks.heartbeat import heartbeat

EVENTS = ("Content-Type", "text/event-stream; charset=utf-8")
OFTEN = 0.02
CHUNKED = answer(200, [EVENTS, ("Transfer-Encoding", "chunked")])
# Its connection stays open.
SILENT = [("read",), ("send", CHUNKED)]


class Events:
    """An upstream that sends each block as soon as the client has said so."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks
        self.more = threading.Semaphore(0)

    def __call__(self, connection: Connection) -> None:
        connection.read()
        connection.send(CHUNKED)
        for block in self.blocks:
            assert self.more.acquire(timeout=5)
            connection.send(chunks(block, last=False))
        assert self.more.acquire(timeout=5)
        connection.send(b"0\r\n\r\n")
        connection.wait_ended()


def mapped(headers: Sequence[tuple[str, str]], status: int = 200, method: str = "GET") -> Any:
    """The changes of the body of a response that the hook has seen."""
    steps: Any = heartbeat(15)(Request(method, "http://a/"))  # type: ignore[call-arg]
    next(steps)
    response = Response(status, list(headers))
    with pytest.raises(StopIteration):
        steps.send(response)
    return response.body.changes


# -- where a comment may be ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "sent"),
    [
        pytest.param([], b":\n", id="before-the-first-event"),
        pytest.param([b"data: a\n\n"], b":\ndata: a\n\n:\n", id="between-events"),
        pytest.param([b"data: a\n", b"\n"], b":\ndata: a\n:\n\n:\n", id="between-lines"),
        pytest.param([b"data", b": a\n"], b":\ndata: a\n:\n", id="within-a-line"),
        pytest.param([b"a\r\n\r\n"], b":\na\r\n\r\n:\n", id="crlf"),
        pytest.param([b"a\r", b"\n"], b":\na\r:\r\n:\n", id="crlf-in-two-blocks"),
        pytest.param([b"a\r", b"b\r"], b":\na\r:\rb\r:\r", id="cr"),
        pytest.param([b"\xef\xbb\xbfdata: a\n"], b":\ndata: a\n:\n", id="mark"),
    ],
)
def test_a_comment_is_sent_between_lines(blocks: list[bytes], sent: bytes) -> None:
    changes = Changes(mapped([EVENTS]))
    idle = changes.idle(0.0)
    assert idle is not None
    got, now = idle.passed(b"", changes, 15.0), 15.0
    for block in blocks:
        got += idle.passed(block, changes, now) + idle.passed(b"", changes, now + 14)
        now += 15
        got += idle.passed(b"", changes, now)
    assert got == sent


def test_a_mark_stays_where_no_comment_was() -> None:
    assert Changes(mapped([EVENTS])).block(b"\xef\xbb\xbfdata") == b"\xef\xbb\xbfdata"


@pytest.mark.parametrize(
    ("headers", "status", "method"),
    [
        pytest.param([EVENTS], 200, "HEAD", id="head"),
        pytest.param([EVENTS], 204, "GET", id="no-content"),
        pytest.param([EVENTS, ("Content-Encoding", "gzip")], 200, "GET", id="compressed"),
        pytest.param([("Content-Type", "text/plain")], 200, "GET", id="other-type"),
        pytest.param([], 200, "GET", id="no-type"),
    ],
)
def test_other_answers_stay_as_they_are(headers: Any, status: int, method: str) -> None:
    assert mapped(headers, status, method) == []


# -- on the edges --------------------------------------------------------------------------


def on_count(mark: bytes, call: Callable[[int], object]) -> Callable[[bytes], object]:
    """Calls with each number of marks, as it is reached."""
    seen = [0]

    def on_data(got: bytes) -> object:
        while got.count(mark) > seen[0]:
            seen[0] += 1
            if call(seen[0]):
                return True
        return False

    return on_data


@pytest.mark.parametrize("edge", STREAMING)
def test_silences_are_filled(edge: str, upstream: RawUpstream) -> None:
    events = Events(b"data: a\n\n", b"data: b\n\n")
    upstream.behaviour = events
    each_second = on_count(b":\n", lambda number: number % 2 == 0 and events.more.release())
    got, error = streamed(edge, upstream.url, [heartbeat(OFTEN)], each_second)
    assert error is None and got.replace(b":\n", b"") == b"data: a\n\ndata: b\n\n"
    before, between, behind = got.replace(b"data: b", b"data: a").split(b"data: a\n\n")
    assert before.count(b":\n") >= 2 and between and behind


@pytest.mark.parametrize("edge", STREAMING)
def test_a_hook_further_out_gets_the_comments(edge: str, upstream: RawUpstream) -> None:
    events = Events(b"data: a\n\n")
    upstream.behaviour = events

    def outer(request: Request) -> Any:
        response = yield request
        response.body.map(lambda block: block.replace(b":", b";"))

    release = on_count(b";\n", lambda number: events.more.release())
    got, error = streamed(edge, upstream.url, [outer, heartbeat(OFTEN)], release)
    assert error is None and got.replace(b";\n", b"") == b"data; a\n\n"


@pytest.mark.parametrize("edge", STREAMING)
def test_comments_do_not_keep_a_silent_upstream(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = SILENT
    hooks = [heartbeat(OFTEN)]
    got, error = streamed(edge, upstream.url, hooks, lambda got: False, idle_timeout=0.15)
    assert isinstance(error, UpstreamTimeout) and got.count(b":\n") >= 2
    assert upstream.wait_closed()


@pytest.mark.parametrize("edge", STREAMING)
def test_a_client_that_leaves_is_noticed(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = SILENT
    leave = on_count(b":\n", lambda number: number == 2)
    _, error = streamed(edge, upstream.url, [heartbeat(OFTEN)], leave)
    assert isinstance(error, ClientGone) if edge == "wsgi" else error is None
    assert upstream.wait_closed()


@pytest.mark.parametrize("edge", STREAMING)
def test_two_idle_functions_have_their_own_times(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = SILENT

    def rarely(request: Request) -> Any:
        response = yield request
        response.body.map(bytes, idle=(OFTEN * 4, lambda: b"#"))

    leave = on_count(b"#", lambda number: number == 2)
    got, _ = streamed(edge, upstream.url, [heartbeat(OFTEN), rarely], leave)
    assert got.startswith(b":\n") and got.count(b"#") >= 2


@pytest.mark.parametrize("edge", STREAMING)
def test_an_idle_function_that_fails_breaks_the_answer(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = SILENT

    def wrong(request: Request) -> Any:
        response = yield request
        response.body.map(bytes, idle=(OFTEN, lambda: "text"))

    _, error = streamed(edge, upstream.url, [wrong], lambda got: False)
    assert (
        isinstance(error, HookFailed) and "wrong" in str(error) and "str, not bytes" in str(error)
    )
    assert upstream.wait_closed()


@pytest.mark.parametrize("seconds", [0, -1, "15", True, float("inf"), 10**400])
def test_settings_are_checked(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds"):
        heartbeat(seconds)


@pytest.mark.parametrize(
    ("idle", "error"), [((0, bytes), ValueError), (("1", bytes), ValueError), ((1, b""), TypeError)]
)
def test_map_refuses_wrong_values(idle: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="idle"):
        Response().body.map(bytes, idle=idle)
