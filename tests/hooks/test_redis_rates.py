"""Limits that are counted in a real Redis, for all applications that use it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.hooks.both import EDGES, asked
from tests.support.daemon import redis_server
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks import redis_rates
from wsgiproxy.hooks.limit_rate import limit_rate
from wsgiproxy.hooks.redis_rates import RedisRates

needs_redis = pytest.mark.system("redis-server")
GONE = "redis://:s3cr3t@127.0.0.1:1/0"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with redis_server(folder):
        yield f"unix://{folder}/redis.sock"


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with redis.Redis.from_url(address) as connected:
        connected.flushdb()
        yield connected


@needs_redis
@pytest.mark.parametrize("edge", EDGES)
def test_two_applications_count_together(edge: str, client, address, upstream: RawUpstream) -> None:
    hooks = [limit_rate(2, 3600, redis=address), limit_rate(2, 3600, redis=client)]
    answers = [asked(edge, upstream.url, [hooks[each]]) for each in (0, 1, 0, 1)]
    assert [each.status for each in answers] == [200, 200, 429, 429]
    assert 0 < int(answers[3].value("Retry-After") or "") <= 1800
    assert asked(edge, upstream.url, hooks[:1], peer="192.0.2.2").status == 200
    assert len(upstream.requests) == 3


@needs_redis
@pytest.mark.parametrize("edge", EDGES)
def test_clients_without_a_name_are_one(edge: str, client: Any, upstream: RawUpstream) -> None:
    hook = limit_rate(1, 3600, redis=client)
    assert [asked(edge, upstream.url, [hook], peer="").status for _ in range(2)] == [200, 429]


@needs_redis
def test_of_many_at_once_as_many_pass_as_may(client: Any, address: str) -> None:
    found: list[float] = []
    start = threading.Barrier(8)

    def ask() -> None:
        rates = RedisRates(5, 3600, address)
        start.wait(30)
        found.extend(rates.wait("a") for _ in range(4))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 32 and found.count(0) == 5


@needs_redis
def test_the_limit_comes_back_and_keys_run_out(client: Any) -> None:
    rates = RedisRates(2, 3600, client)
    assert [rates.wait("a") == 0 for _ in range(3)] == [True, True, False]
    (key,) = client.keys()
    assert 3_500_000 < client.pttl(key) <= 3_600_000
    # As if an interval had passed: what has been used is half of it.
    client.set(key, int(client.get(key)) - 1_800_000_000)
    assert [rates.wait("a") == 0 for _ in range(2)] == [True, False]
    # As if the clock of Redis had been put back by a day.
    client.set(key, int(client.get(key)) + 86_400_000_000)
    assert rates.wait("a") <= 3600


@pytest.mark.parametrize("edge", EDGES)
def test_without_redis_requests_pass(edge: str, upstream: RawUpstream, caplog: Any) -> None:
    hook = limit_rate(1, 3600, redis=GONE)
    assert [asked(edge, upstream.url, [hook]).status for _ in range(3)] == [200, 200, 200]
    (line,) = [each for each in caplog.records if "Redis" in each.getMessage()]
    assert line.levelno == logging.WARNING and "s3cr3t" not in caplog.text


@needs_redis
@pytest.mark.parametrize("pause", [0.0, 1e9])
def test_redis_is_asked_again_after_a_pause(pause: float, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(redis_rates, "_PAUSE", pause)
    rates = RedisRates(1, 3600, f"unix://{tmp_path}/redis.sock")
    assert [rates.wait("a"), rates.wait("a")] == [0, 0]
    with redis_server(tmp_path):
        assert [rates.wait("a") == 0, rates.wait("a") == 0] == [True, pause > 0]


@pytest.mark.parametrize(
    "given",
    ["http://:s3cr3t@localhost", "redis://:s3cr3t@localhost:x", 5, redis.asyncio.Redis()],
    ids=["scheme", "port", "number", "asyncio"],
)
def test_what_is_no_redis_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="redis=") as error:
        limit_rate(1, 1, redis=given)
    assert "s3cr3t" not in str(error.value)
