"""Hooks that wait for time, for a thread, and for what goes on beside the request."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.both import EDGES
from tests.hooks.edges import held
from tests.support.asgi_calls import Caller, http_scope
from tests.support.in_process import front_environ, run
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy import ExactProxy, Guard, HostProxy
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.errors import ClientGone, ProxyError
from wsgiproxy.hooks import Beside, InThread, Request, Response, Wait
from wsgiproxy.hooks.exchange import MOST_BESIDE


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "wsgiproxy.error"]


# -- Wait ------------------------------------------------------------------------------


def test_a_wait_takes_its_time(edge: str, upstream: RawUpstream) -> None:
    def hook(request):
        began = time.monotonic()
        yield Wait(0.03)
        yield Wait(0)
        found.append(time.monotonic() - began)
        yield request

    found: list[float] = []
    assert held(edge, upstream.url, [hook])[0] == 200
    assert found[0] >= 0.03


def test_a_client_that_leaves_ends_a_wait(edge: str, upstream: RawUpstream) -> None:
    def hook(request):
        try:
            yield Wait(60)
        except ClientGone as error:
            found.append(str(error))
            raise

    found: list[str] = []
    began = time.monotonic()
    assert held(edge, upstream.url, [hook], has_left=True)[0] == ClientGone.status
    assert found == ["the client left while a hook waited"]
    assert time.monotonic() - began < 5
    assert upstream.requests == []


def test_a_bad_wait_names_the_hook(edge: str, upstream: RawUpstream, caplog: Any) -> None:
    def sleepy(request):
        yield Wait(-1)

    assert held(edge, upstream.url, [sleepy])[0] == 500
    assert "sleepy" in caplog.text and "Wait(-1)" in caplog.text


# -- InThread --------------------------------------------------------------------------


def test_a_function_is_called_where_it_may_block(edge: str, upstream: RawUpstream) -> None:
    def hook(request):
        thread = yield InThread(threading.get_ident)
        total = yield InThread(int.__add__, 2, 3)
        found.extend([thread == threading.get_ident(), total])
        yield request

    found: list[Any] = []
    assert held(edge, upstream.url, [hook])[0] == 200
    assert found == [edge == "wsgi", 5]


@pytest.mark.parametrize("error", [OSError("no store"), StopIteration(5)])
def test_what_a_function_raises_is_raised_in_the_hook(
    edge: str, error: Exception, upstream: RawUpstream
) -> None:
    def fails():
        raise error

    def hook(request):
        try:
            yield InThread(fails)
        except (OSError, RuntimeError) as caught:
            return Response(299, body=type(caught).__name__)

    expected = b"RuntimeError" if isinstance(error, StopIteration) else b"OSError"
    assert held(edge, upstream.url, [hook])[::2] == (299, expected)


def test_what_the_hook_does_not_catch_is_its_failure(edge: str, upstream, caplog) -> None:
    def outer(request):
        yield request

    def reader(request):
        yield InThread(open, "/does/not/exist")

    assert held(edge, upstream.url, [outer, reader])[0] == 500
    assert "reader: FileNotFoundError" in caplog.text
    assert "unexpected failure" not in caplog.text


# -- Beside ----------------------------------------------------------------------------


def test_the_request_does_not_wait(edge: str, upstream: RawUpstream) -> None:
    may_answer = threading.Event()
    found: list[Any] = []

    def answers(connection):
        connection.read()
        connection.wait(may_answer)
        connection.send(answer(200, body=b"beside"))

    def ask(url):
        response = yield Request("POST", url, body=b"tell")
        found.append((yield response.read()))

    def hook(request):
        found.append((yield Beside(ask(other.url))))
        yield request
        found.append("answered")
        may_answer.set()

    with RawUpstream(answers) as other:
        assert held(edge, upstream.url, [hook], lambda: len(found) == 3)[0] == 200
        assert other.requests[0].body == b"tell"
    assert found == [True, "answered", b"beside"]


def test_the_guard_holds_beside(edge: str, upstream: RawUpstream, caplog: Any) -> None:
    def ask(url):
        yield Request("GET", url)

    def hook(request):
        yield Beside(ask(other.url))
        yield request

    guard = Guard(allow=["127.0.0.1"], ports=[upstream.port])
    with RawUpstream() as other:
        found = held(edge, upstream.url, [hook], lambda: lines(caplog), guard=guard)
        assert found[0] == 200 and other.connections == 0
    assert "hook: beside the request: DestinationForbidden" in lines(caplog)[0]


def test_the_bound_is_that_of_the_application(upstream: RawUpstream) -> None:
    begun: list[bool] = []

    def waits():
        yield Wait(3600)

    def hook(request):
        for _ in range(20):
            begun.append((yield Beside(waits())))
        return Response(200)

    for app in (HostProxy(upstream.url, hooks=[hook]), ExactProxy(hooks=[hook])):
        begun.clear()
        assert [run(app, front_environ()).head.status for _ in range(2)] == [200, 200]
        assert begun.count(True) == MOST_BESIDE and len(begun) == 40
        app.close()


def test_as_many_as_may_run_beside_and_end_with_the_application(edge: str, upstream) -> None:
    begun: list[bool] = []
    ended: list[int] = []

    def waits(number):
        try:
            yield Wait(3600)
        finally:
            ended.append(number)

    def hook(request):
        for number in range(MOST_BESIDE):
            begun.append((yield Beside(waits(number))))
        refused = waits(-1)
        next(refused)
        begun.append((yield Beside(refused)))
        yield request

    assert held(edge, upstream.url, [hook])[0] == 200
    assert begun == [True] * MOST_BESIDE + [False]
    deadline = time.monotonic() + 5
    while len(ended) <= MOST_BESIDE and time.monotonic() < deadline:
        time.sleep(0.002)  # a thread ends when it has been told
    assert sorted(ended) == [-1, *range(MOST_BESIDE)]


def test_room_is_left_when_one_has_ended(edge: str, upstream: RawUpstream) -> None:
    begun: list[bool] = []

    def nothing():
        return
        yield

    def hook(request):
        for _ in range(MOST_BESIDE * 2):
            while not (yield Beside(nothing())):
                yield Wait(0.001)
            begun.append(True)
        yield request

    assert held(edge, upstream.url, [hook])[0] == 200
    assert len(begun) == MOST_BESIDE * 2


def test_what_is_raised_beside_is_logged_and_goes_no_further(edge, upstream, caplog) -> None:
    def fails():
        yield Wait(0)
        raise ValueError("broken")

    def refused():
        yield Request("GET", "http://127.0.0.1:1/")

    def careless(request):
        yield Beside(fails())
        yield Beside(refused())
        yield request

    answered = held(edge, upstream.url, [careless], lambda: len(lines(caplog)) == 2)
    assert answered[0] == 200
    found = "\n".join(lines(caplog))
    assert "careless: ValueError('broken')" in found
    assert "careless: beside the request: ConnectFailed" in found
    assert {each.levelno for each in caplog.records if each.name == "wsgiproxy.error"} == {
        logging.WARNING
    }


def test_beside_there_is_no_served_request(edge: str, upstream: RawUpstream, caplog: Any) -> None:
    def other(step):
        yield step

    def hook(request):
        own = yield Request("GET", upstream.url)
        for step in (request, request.read(), own.read(), Beside(other(None)), 5):
            yield Beside(other(step))
        yield request

    assert held(edge, upstream.url, [hook], lambda: len(lines(caplog)) == 5)[0] == 200
    found = "\n".join(lines(caplog))
    assert found.count("beside the request: yields") == 4
    assert found.count("a response that belongs to another request") == 1
    assert len(upstream.requests) == 2


def test_what_was_received_beside_is_closed(edge: str, upstream: RawUpstream) -> None:
    seen: list[int] = []

    def unread(url):
        response = yield Request("GET", url)
        seen.append(response.status)

    def hook(request):
        yield Beside(unread(other.url))
        yield request

    long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"
    with RawUpstream(lambda connection: (connection.read(), connection.send(long))) as other:

        def is_closed() -> bool:
            return bool(seen) and other.connections == 1 and other.accepted[0].ended

        assert held(edge, upstream.url, [hook], is_closed)[0] == 200


def test_lifespan_waits_for_the_end_of_what_runs_beside(upstream: RawUpstream) -> None:
    ended: list[bool] = []

    def waits():
        try:
            yield Wait(3600)
        finally:
            ended.append(True)

    def hook(request):
        yield Beside(waits())
        yield Wait(0)  # it begins
        yield request

    async def main() -> tuple[int, list[bool]]:
        app = ASGIProxyApp(upstream.url, hooks=[hook])
        assert await Caller()(app, http_scope()) is None
        running = len(asyncio.all_tasks())
        lifespan = Caller([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        assert await lifespan(app, {"type": "lifespan"}) is None
        assert len(asyncio.all_tasks()) == running - 1
        return running, list(ended)

    assert asyncio.run(main())[1] == [True]


def test_a_body_is_not_lost_by_a_wait(upstream: RawUpstream) -> None:
    def hook(request):
        yield Wait(0.001)
        yield request

    async def main() -> None:
        app = ASGIProxyApp(upstream.url, hooks=[hook])
        event = {"type": "http.request", "body": b"abc", "more_body": False}
        scope = http_scope((b"content-length", b"3"), method="POST")
        assert await Caller([event])(app, scope) is None
        app.close()

    asyncio.run(main())
    assert upstream.requests[0].body == b"abc"


@pytest.mark.parametrize("kind", ["error", "end"])
def test_a_hook_that_fails_leaves_what_it_has_begun(
    edge: str, kind: str, upstream: RawUpstream
) -> None:
    found: list[str] = []

    def later():
        yield Wait(0.001)
        found.append("done")

    def hook(request):
        yield Beside(later())
        if kind == "error":
            raise ProxyError("no")
        return Response(200)

    assert held(edge, upstream.url, [hook], lambda: found)[0] in (200, 500)


def test_a_program_ends_without_waiting() -> None:
    code = """
from webob import Request
from wsgiproxy import WSGIProxyApp
from wsgiproxy.hooks import Beside, Response, Wait, InThread
import time

def waits():
    yield InThread(time.sleep, 600)

def hook(request):
    yield Beside(waits())
    return Response(200)

print(Request.blank("/").get_response(WSGIProxyApp("http://127.0.0.1:1", hooks=[hook])).status)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "200 OK\n" and done.stderr == ""
