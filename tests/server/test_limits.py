"""Slow clients, silent ones, and too many of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.serving import connections, handler, hello, serving, until
from tests.support.client import RawClient, raw_exchange, request_bytes

HALF = b"GET / HTTP/1.1\r\nHost: h\r\n"


class Gate:
    """An application whose requests wait until they may go on."""

    def __init__(self) -> None:
        self.inside = 0
        self.open = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with self._lock:
            self.inside += 1
        assert self.open.wait(30)
        return hello(environ, start_response)


@contextlib.contextmanager
def clients(port: int, count: int, data: bytes) -> Iterator[list[RawClient]]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            found.append(stack.enter_context(RawClient(port)))
            found[-1].send(data)
        yield found


# Time


def test_half_a_head_gets_a_408() -> None:
    with serving(hello, handler(head_timeout=0.2)) as server, RawClient(server.server_port) as half:
        half.send(HALF)
        response = half.response()
        assert (response.status, response.complete) == (408, True)
        assert half.closed_by_server()


def test_a_silent_connection_is_closed_without_a_response() -> None:
    with serving(hello, handler(head_timeout=0.2)) as server, RawClient(server.server_port) as mute:
        assert mute.closed_by_server()
        assert mute.received == b""


def test_drips_do_not_extend_the_time_for_a_head() -> None:
    with serving(hello, handler(head_timeout=0.5)) as server, RawClient(server.server_port) as slow:
        slow.send(HALF)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while slow.silent_for(0.02):
                slow.send(b"A: b\r\n")
                assert time.monotonic() - begun < 20
        assert slow.response().status == 408


def test_a_slow_head_within_its_time_is_served() -> None:
    with serving(hello) as server, RawClient(server.server_port) as client:
        for byte in request_bytes("GET /"):
            client.send(bytes([byte]))
            assert client.silent_for(0.001) or byte == ord("\n")
        assert client.response().body == b"hello"


@pytest.mark.parametrize("option", ["class", "socket_timeout"])
def test_a_body_that_stops_coming(option: str) -> None:
    found: list[BaseException] = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            environ["wsgi.input"].read()
        except TimeoutError as error:
            found.append(error)
            raise

    options: dict[str, Any] = {"socket_timeout": 1} if option == "socket_timeout" else {}
    patience = 60 if options else 0.2
    kind = handler(idle_timeout=patience)
    with serving(app, kind, **options) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Content-Length", "9")]) + b"abc")
        response = client.response("POST")
    assert (response.status, response.complete) == (408, True)
    assert len(found) == 1


def test_a_body_that_goes_on_coming_is_waited_for() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    with serving(app, handler(idle_timeout=2)) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Content-Length", "30")]))
        for _ in range(30):
            assert client.silent_for(0.1)
            client.send(b"x")
        assert client.response("POST").body == b"x" * 30


def test_a_client_that_takes_nothing_is_reset() -> None:
    dropped: list[BaseException] = []
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Any:
            for _ in range(10_000):
                yield b"x" * 65536

        def close(self) -> None:
            closed.set()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Endless()

    def drop(self: object, exce: BaseException, environ: object = None) -> None:
        dropped.append(exce)

    kind = handler(idle_timeout=0.3, wsgi_connection_drop=drop)
    with serving(app, kind) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("GET /"))
        assert closed.wait(20)
        until(lambda: dropped, "drop")
        response = client.response()
    assert not response.complete
    assert isinstance(dropped[0], TimeoutError)


def test_a_client_that_goes_on_sending_is_closed_after_linger_timeout() -> None:
    kind = handler(linger_timeout=0.3)
    with serving(hello, kind) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("POST /", [("Content-Length", "1000000")]))
        assert client.response("POST").complete
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - begun < 20:
                client.send(b"x")


# Number


def test_500_half_sent_requests_do_not_stop_the_501st() -> None:
    """1.2: ten of them stop all service of Paste's own handler."""
    with serving(hello) as server, clients(server.server_port, 500, HALF) as half:
        response = raw_exchange(server.server_port, request_bytes("GET /"))
        assert response.body == b"hello"
        # They are waited for still.
        half[0].send(b"\r\n")
        assert half[0].response().body == b"hello"


def test_many_requests_in_progress_do_not_stop_the_next() -> None:
    gate = Gate()
    with serving(gate) as server, clients(server.server_port, 40, request_bytes("GET /")) as busy:
        until(lambda: gate.inside == 40, "forty requests at the same time")
        gate.open.set()
        assert [client.response().body for client in busy] == [b"hello"] * 40


def test_beyond_the_limit_the_longest_wait_ends() -> None:
    kind = handler(max_connections=3)
    with serving(hello, kind) as server, clients(server.server_port, 3, HALF) as half:
        # The thread that accepts takes them in their order, the pool's do not.
        until(lambda: connections(server) == 3, "three connections")
        assert raw_exchange(server.server_port, request_bytes("GET /")).body == b"hello"
        ended = [client for client in half if not client.silent_for(0.2)]
        assert len(ended) == 1
        assert ended[0].closed_by_server()
        assert ended[0].received == b""
        half.remove(ended[0])
        for client in half:
            client.send(b"\r\n")
            assert client.response().body == b"hello"


def test_when_all_are_served_the_next_gets_a_503() -> None:
    gate = Gate()
    with serving(gate, handler(max_connections=2)) as server:
        with clients(server.server_port, 2, request_bytes("GET /")) as busy:
            until(lambda: gate.inside == 2, "two requests")
            response = raw_exchange(server.server_port, request_bytes("GET /"))
            assert (response.status, response.complete) == (503, True)
            gate.open.set()
            assert [client.response().body for client in busy] == [b"hello"] * 2
        until(lambda: not connections(server), "end of the two")
        assert raw_exchange(server.server_port, request_bytes("GET /")).body == b"hello"


def test_refused_connections_do_not_pile_up() -> None:
    gate = Gate()
    kind = handler(max_connections=1, linger_timeout=30)
    asked = request_bytes("GET /")
    with serving(gate, kind) as server, clients(server.server_port, 1, asked) as busy:
        until(lambda: gate.inside == 1, "one request")
        with clients(server.server_port, 60, HALF) as away:
            statuses = [client.response().status for client in away]
            assert statuses == [503] * 60
            until(lambda: connections(server) <= 33, "end of the first of them")
        gate.open.set()
        assert busy[0].response().body == b"hello"
