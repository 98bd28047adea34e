"""Requests from the first thread of the process, whose reads signals interrupt, and from others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.calls import in_thread
from tests.support.upstream import RawUpstream
from wsgiproxy.sansio.message import Origin
from wsgiproxy.transport import PooledTransport

Run = Callable[[Callable[[], Any]], Any]


@pytest.fixture(
    params=[
        pytest.param(("first", "upstream"), id="first thread, TCP"),
        pytest.param(("other", "upstream"), id="other thread, TCP"),
        pytest.param(("other", "unix_upstream"), id="other thread, Unix socket"),
    ]
)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which thread asks, and over what; the product of both would say no more."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def run(way: tuple[str, str]) -> Run:
    """Calls a function in the thread, and gives what it returns."""
    return in_thread if way[0] == "other" else lambda function: function()


@pytest.fixture
def server(way: tuple[str, str], request: pytest.FixtureRequest) -> RawUpstream:
    upstream: RawUpstream = request.getfixturevalue(way[1])
    return upstream


@pytest.fixture
def transport() -> Iterator[PooledTransport]:
    transport = PooledTransport(connect_timeout=5, head_timeout=10, idle_timeout=10)
    yield transport
    transport.close()


def origin_of(upstream: RawUpstream) -> Origin:
    if upstream.url.startswith("unix:"):
        return Origin("http", "localhost", 80, upstream.path)
    return Origin("http", "127.0.0.1", upstream.port)
