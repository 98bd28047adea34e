"""The store of nonces that the documentation shows, with a real Redis between two processes."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from webob import Request

from tests.support.client import raw_exchange
from tests.support.daemon import Daemon, redis_server
from tests.support.documented import code_block
from tests.support.fronts import Front, front
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.replay import MemoryReplay

pytestmark = pytest.mark.system("redis-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Daemon]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def client(server: Daemon, tmp_path: Path) -> Iterator[Any]:
    with redis.Redis(unix_socket_path=str(tmp_path / "redis.sock")) as connected:
        yield connected


def documented(client: Any) -> Any:
    """The store, made of the block in docs/trust.rst."""
    shown: dict[str, Any] = {}
    exec(code_block("docs/trust.rst", "class RedisReplay"), shown)
    return shown["RedisReplay"](client)


@pytest.fixture
def backends(server: Daemon, tmp_path: Path, secret_file: str) -> Iterator[list[Front]]:
    """Two processes that share the store."""
    env = {
        "OPTIONS": json.dumps({"secret_file": secret_file}),
        "REDIS": str(tmp_path / "redis.sock"),
    }
    app = "tests.support.backend:shared"
    with front("waitress", app, env) as one, front("gunicorn", app, env) as other:
        yield [one, other]


def signed(secret_file: str) -> bytes:
    """A signed request, as it is on the wire."""
    with RawUpstream() as upstream:
        app = WSGIProxyApp(upstream.url, secret_file, preserve_host=True)
        Request.blank("/pay?amount=1", base_url="https://shop.example").get_response(app)
        app.close()
        return upstream.wait_for_requests(1)[0].head


def test_the_store_does_as_the_one_in_the_package(client: Any) -> None:
    keys = ["k1:a", "k1:b", "k1:a", "k2:a", "k2:a"]
    for store in (documented(client), MemoryReplay()):
        assert [store.add(key, 65.0) for key in keys] == [True, True, False, True, False]


@pytest.mark.parametrize("ttl", [64.9, 65, 1.0, 0.5])
def test_a_nonce_is_kept_as_long_as_its_signature_is_good(client: Any, ttl: float) -> None:
    assert documented(client).add("k1:nonce", ttl) is True
    (key,) = client.keys()
    # Redis has begun to count down, and counts in thousandths.
    assert ttl * 1000 - 500 < client.pttl(key) <= ttl * 1000 + 1000


def test_a_request_passes_once_in_all_processes(backends: list[Front], secret_file: str) -> None:
    for first, second in (backends, backends[::-1]):
        request = signed(secret_file)
        answers = [raw_exchange(each.port, request) for each in (first, second, first, second)]
        assert [answer.status for answer in answers] == [200, 403, 403, 403]
        assert json.loads(answers[0].body)["wsgiproxy.verified"] == "k1"
    assert "was used before" in backends[0].log
    assert "was used before" in backends[1].log


def test_of_many_at_once_one_passes(backends: list[Front], secret_file: str) -> None:
    request = signed(secret_file)
    statuses: Counter[int] = Counter()
    start = threading.Barrier(8)

    def send(port: int) -> None:
        start.wait(30)
        statuses[raw_exchange(port, request).status] += 1

    ports = [each.port for each in backends] * 4
    threads = [threading.Thread(target=send, args=[port]) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == {200: 1, 403: 7}


def test_new_requests_pass(backends: list[Front], secret_file: str) -> None:
    for each in backends:
        app = WSGIProxyApp(f"http://127.0.0.1:{each.port}", secret_file)
        answers = [Request.blank("/").get_response(app).json for _ in range(20)]
        app.close()
        assert [answer["wsgiproxy.verified"] for answer in answers] == ["k1"] * 20


def test_a_forged_request_leaves_nothing_in_the_store(
    backends: list[Front], secret_file: str, client: Any
) -> None:
    request = signed(secret_file)
    forged = request.replace(b"amount=1", b"amount=2")
    assert raw_exchange(backends[0].port, forged).status == 403
    assert client.keys() == []
    assert raw_exchange(backends[0].port, request).status == 200


def test_without_the_store_nothing_passes(
    backends: list[Front], server: Daemon, secret_file: str, tmp_path: Path
) -> None:
    seen = signed(secret_file)
    assert raw_exchange(backends[0].port, seen).status == 200
    server.stop()
    for each in backends:
        for request in (seen, signed(secret_file)):
            answer = raw_exchange(each.port, request)
            assert answer.status == 503
            assert b"redis" not in answer.body.lower()
        assert "the store of nonces failed" in each.log
    with redis_server(tmp_path):
        fresh = signed(secret_file)
        answers = [raw_exchange(each.port, fresh).status for each in backends]
    assert answers == [200, 403]
