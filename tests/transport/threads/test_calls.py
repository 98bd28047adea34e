"""The calls of a small request that give up the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.benchmarks.threads import calls_of_one_request
from tests.support.calls import counted, in_thread
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.threads import connection

GET = Request("GET", "/", [("Host", "a")])
TIMES = 5

pytestmark = pytest.mark.skipif(not connection._IS_LINUX, reason="as Linux does it")


@pytest.fixture
def calls_for(tls_files) -> Iterator[Callable[[RawUpstream, Origin], list[str]]]:
    transport = PooledTransport(ca_file=str(tls_files[1]))

    def calls_for(upstream: RawUpstream, origin: Origin) -> list[str]:
        upstream.behaviour = answer(body=b"x")
        transport.send(origin, GET).read()
        calls = counted(transport)
        for _ in range(TIMES):
            assert transport.send(origin, GET).whole == b"x"
        assert upstream.connections == 1
        return calls

    yield calls_for
    transport.close()


def test_tcp_needs_two(upstream, calls_for):
    origin = Origin("http", "127.0.0.1", upstream.port)
    assert in_thread(lambda: calls_for(upstream, origin)) == ["send", "recv"] * TIMES


def test_the_first_thread_needs_four(upstream, calls_for):
    origin = Origin("http", "127.0.0.1", upstream.port)
    assert calls_for(upstream, origin) == ["poll", "send", "poll", "recv"] * TIMES


def test_a_forked_child_of_a_worker_thread_needs_four(upstream, calls_for):
    """Its only thread is the first of a process, which gets the signals."""
    origin = Origin("http", "127.0.0.1", upstream.port)

    def calls_of_a_child() -> int:
        assert calls_for(upstream, origin) == ["send", "recv"] * TIMES
        child = os.fork()
        if not child:
            status = 1
            try:
                status = len(calls_for(upstream, origin))
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_thread(calls_of_a_child) == 4 * TIMES


def test_a_unix_socket_needs_three(unix_upstream, calls_for):
    origin = Origin("http", "localhost", 80, unix_upstream.path)
    calls = in_thread(lambda: calls_for(unix_upstream, origin))
    assert calls == ["poll", "send", "recv"] * TIMES


def test_an_application_needs_no_more(upstream):
    upstream.behaviour = answer(body=b"x" * 1024)
    assert calls_of_one_request(upstream.port) == 2
