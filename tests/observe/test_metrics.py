"""The figures: what they count, and that no client can add to their names."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.asgi.driven import Client, scope_of
from tests.hooks.edges import held
from tests.spawn.children import ask, child
from tests.support.in_process import Backend, front_environ, run
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import ConfigurationError, ForwardProxy, Router, WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp, ASGIRouter
from wsgiproxy.observe import accesslog, metrics
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.message import Origin
from wsgiproxy.transport import PooledTransport

prometheus = pytest.importorskip("prometheus_client")

EDGES = ("wsgi", "asgi")
Figure = Callable[..., Any]


@pytest.fixture
def registry() -> Iterator[Any]:
    """One of the test's own, in which the figures are."""
    metrics.stop()
    registry = prometheus.CollectorRegistry()
    metrics.measure(registry)
    yield registry
    metrics.stop()


@pytest.fixture
def figure(registry: Any) -> Figure:
    """The value of a figure; None for one that there is not."""

    def value(name: str, **labels: str) -> Any:
        return registry.get_sample_value(f"wsgiproxy_{name}", labels)

    return value


def names(registry: Any, label: str) -> set[str]:
    """All values of a label of requests."""
    text = {s.labels[label] for m in registry.collect() for s in m.samples if label in s.labels}
    return text


@pytest.mark.parametrize("edge", EDGES)
def test_an_exchange(edge: str, upstream: RawUpstream, figure: Figure):
    upstream.behaviour = answer(body=b"hello")
    held(edge, upstream.url, ())
    place = {"route": "", "upstream": upstream.url}
    assert figure("requests_total", method="GET", status="200", **place) == 1
    assert figure("request_duration_seconds_count", **place) == 1
    assert 0 < figure("request_duration_seconds_sum", **place) < 10
    assert figure("response_bytes_total", **place) == 5
    assert figure("requests_in_flight") == 0


@pytest.mark.parametrize("edge", EDGES)
def test_a_failure_counts_for_its_upstream(edge: str, figure: Figure):
    held(edge, "http://127.0.0.1:1", ())
    labels = {"route": "", "upstream": "http://127.0.0.1:1", "method": "GET", "status": "502"}
    assert figure("requests_total", **labels) == 1


def asked(made: Any, routes: Any, path: str, host: str) -> None:
    if made is Router:
        router = Router(routes)
        run(router, front_environ(PATH_INFO=path, HTTP_HOST=host))
        router.close()
        return
    scope = {**scope_of("GET", path), "headers": [(b"host", host.encode())]}

    async def exchange() -> None:
        router = ASGIRouter(routes)
        await Client(scope).run(router)
        await router.aclose()

    asyncio.run(exchange())


@pytest.mark.parametrize("made", [Router, ASGIRouter])
@pytest.mark.parametrize(
    ("path", "host", "route", "status"),
    [
        ("/shop/1", "h", "/shop", "200"),
        ("/shop", "h", "/shop", "302"),
        ("/b/c", "wiki.test", "wiki.test/b", "200"),
        ("/other", "any.one.test", ".one.test", "200"),
        ("/nothing", "h", "", "404"),
    ],
)
def test_the_route_is_the_configured_place(made, path, host, route, status, upstream, registry):
    upstream.behaviour = answer(body=b"hello")
    places = ("/shop", "wiki.test/b", ".one.test")
    asked(made, dict.fromkeys(places, upstream.url), path, host)
    samples = [
        (s.labels["route"], s.labels["status"], s.value)
        for m in registry.collect()
        for s in m.samples
        if s.name == "wsgiproxy_requests_total"
    ]
    assert samples == [(route, status, 1)]


@pytest.mark.parametrize("edge", EDGES)
def test_methods_that_are_not_registered_are_one(edge, upstream, registry, figure):
    upstream.behaviour = answer()
    for number in range(20):
        held(edge, upstream.url, (), method=f"M{number}")
    held(edge, upstream.url, (), method="PATCH")
    place = {"route": "", "upstream": upstream.url, "status": "200"}
    assert names(registry, "method") == {"other", "PATCH"}
    assert figure("requests_total", method="other", **place) == 20
    exchanges = metrics._exchanges
    assert exchanges is not None
    assert {method for _, _, method, _ in exchanges._table} == {"PATCH"}


def test_statuses_that_are_not_registered_are_one(upstream, registry):
    for status in (299, 298, 404, 599, 700, 999):
        upstream.behaviour = answer(status)
        held("wsgi", upstream.url, ())
    assert names(registry, "status") == {"2xx", "404", "5xx", "7xx", "9xx"}


def test_destinations_of_clients_have_no_name(upstream, registry, figure):
    upstream.behaviour = answer(body=b"hello")
    proxy = ForwardProxy(allow=["127.0.0.1"], ports="*", allow_clients="*")
    environ = front_environ(REQUEST_URI=f"{upstream.url}/x", HTTP_HOST=upstream.netloc)
    assert run(proxy, environ).whole == b"hello"
    assert figure("requests_total", route="", upstream="", method="GET", status="200") == 1
    assert figure("pool_idle", upstream="") >= 1
    assert names(registry, "upstream") == {""}


def test_upstreams_without_end_are_one_in_the_end(registry, monkeypatch):
    monkeypatch.setattr("wsgiproxy.observe.exchanges._UPSTREAMS", 2)
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    for number in range(5):
        app.href = f"http://10.0.0.{number}"
        run(app, front_environ())
    # A thread of another test may end an exchange of its own meanwhile.
    found = names(registry, "upstream") - {""}
    assert found == {"http://10.0.0.0", "http://10.0.0.1", "other"}


def test_a_full_table_begins_anew_and_counts_on(figure, monkeypatch):
    monkeypatch.setattr("wsgiproxy.observe.exchanges._BOUND", 1)
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    for _ in range(3):
        for method in ("GET", "POST"):
            run(app, front_environ(REQUEST_METHOD=method))
    place = {"route": "", "upstream": "http://10.0.0.1", "status": "200"}
    assert figure("requests_total", method="POST", **place) == 3


def test_a_route_that_is_no_utf_8(registry):
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    run(app, front_environ(**{accesslog.ROUTE: "/caf\udce9"}))
    assert b'route="/caf?"' in prometheus.generate_latest(registry)


@pytest.mark.parametrize("edge", EDGES)
def test_in_flight(edge, upstream, figure):
    seen = []

    def look(request):
        seen.append(figure("requests_in_flight"))
        yield request

    upstream.behaviour = answer()
    held(edge, upstream.url, [look])
    assert (seen, figure("requests_in_flight")) == ([1], 0)


def test_a_record_that_is_discarded_is_not_in_flight(figure):
    record = Record({})
    assert figure("requests_in_flight") == 1
    record.discard()
    record.discard()
    record.end(200)
    assert figure("requests_in_flight") == 0


def test_a_record_from_before_is_not_counted():
    metrics.stop()
    record = Record({})
    registry = prometheus.CollectorRegistry()
    metrics.measure(registry)
    record.end(200)
    assert registry.get_sample_value("wsgiproxy_requests_in_flight") == 0
    metrics.stop()
    assert Record({})._meter is None
    assert prometheus.generate_latest(registry) == b""


def test_threads_count_together(figure):
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())

    def work() -> None:
        for _ in range(200):
            run(app, front_environ())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = {"route": "", "upstream": "http://10.0.0.1", "method": "GET", "status": "200"}
    assert figure("requests_total", **labels) == 800
    assert figure("requests_in_flight") == 0


# What is looked at


def test_the_pool_of_threads(upstream, figure):
    upstream.behaviour = answer(body=b"x" * 200_000)
    app = WSGIProxyApp(upstream.url)
    for _ in range(2):
        run(app, front_environ())
    started: list[Any] = []
    blocks = app(front_environ(), lambda *found: started.append(found))
    where = {"upstream": upstream.url}
    assert (figure("pool_open", **where), figure("pool_idle", **where)) == (1, 0)
    b"".join(blocks)
    blocks.close()
    assert (figure("pool_open", **where), figure("pool_idle", **where)) == (1, 1)
    assert figure("pool_reused_total", route="", **where) == 2
    app.close()
    assert (figure("pool_open", **where), figure("pool_idle", **where)) == (0, 0)


def test_the_pool_of_an_event_loop(upstream, figure):
    upstream.behaviour = answer(body=b"hello")
    where = {"upstream": upstream.url}

    async def exchanges() -> None:
        app = ASGIProxyApp(upstream.url)
        for _ in range(2):
            await Client(scope_of("GET", "/")).run(app)
        assert (figure("pool_open", **where), figure("pool_idle", **where)) == (1, 1)
        assert figure("pool_reused_total", route="", **where) == 1
        app.close()
        await asyncio.sleep(0)
        assert (figure("pool_open", **where), figure("pool_idle", **where)) == (0, 0)

    asyncio.run(exchanges())


def test_a_pool_is_not_kept_alive():
    transport = PooledTransport()
    before = set(map(id, metrics_pools()))
    assert id(transport._pool) in before
    known = id(transport._pool)
    del transport
    gc.collect()
    assert known not in set(map(id, metrics_pools()))


def metrics_pools() -> list[Any]:
    from wsgiproxy.observe.watched import POOLS

    return list(POOLS)


def test_tunnels_of_threads(figure):
    from wsgiproxy.transport.threads.tunnels import Tunnels

    tunnels, before = Tunnels(), figure("tunnels_open")
    with tunnels.opened(SimpleNamespaceWithHash(close=lambda: None)):
        assert figure("tunnels_open") == before + 1
    assert figure("tunnels_open") == before


class SimpleNamespaceWithHash(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]


def test_websockets_of_an_event_loop(figure):
    app, before = ASGIProxyApp("http://10.0.0.1"), figure("tunnels_open")
    with app._upgrades._counted({"client": ("192.0.2.1", 1)}):
        assert figure("tunnels_open") == before + 1
    assert figure("tunnels_open") == before


def test_commands(registry, figure):
    from wsgiproxy.spawn import SpawningApplication

    words = child()
    command = Path(words[0]).name
    gc.collect()  # those of other tests, which are counted as long as they are there
    with SpawningApplication([*words, "--password=secret"]) as app:
        stopped = figure("spawners", command=command, state="stopped")
        assert ask(app).status == 200
        assert figure("spawners", command=command, state="ready") == 1
        assert figure("spawners", command=command, state="stopped") == stopped - 1
        assert figure("spawner_starts_total", command=command) == 1
        assert figure("spawner_failures_total", command=command) == 0
        app.stop()
        assert ask(app).status == 200
        assert figure("spawner_starts_total", command=command) == 2
    text = prometheus.generate_latest(registry).decode()
    assert "secret" not in text
    # Its address is another one after each start.
    assert names(registry, "upstream") <= {""}


def test_a_command_of_an_event_loop(figure):
    from wsgiproxy.asgi import ASGISpawningApplication

    async def exchanges() -> None:
        async with ASGISpawningApplication(child()) as app:
            for _ in range(2):
                client = Client(scope_of("GET", "/"))
                await client.run(app)
                assert client.status == 200

    asyncio.run(exchanges())
    labels = {"route": "", "upstream": "", "method": "GET", "status": "200"}
    assert figure("requests_total", **labels) == 2
    assert figure("requests_in_flight") == 0


def test_a_command_that_fails(figure):
    from wsgiproxy.spawn import SpawningApplication

    with SpawningApplication(["/nowhere/no-such-program"]) as app:
        assert ask(app).status == 502
        assert figure("spawner_failures_total", command="no-such-program") == 1
        assert figure("spawners", command="no-such-program", state="failed") == 1


class State(Enum):
    ASIDE = "aside"


class Upstreams:
    """A set of upstreams, as a balancer has it."""

    def __init__(self) -> None:
        self.members = [
            SimpleNamespace(key=Origin("http", "10.0.0.1", 80), state="up", in_flight=2),
            SimpleNamespace(key="10.0.0.2:80", state=State.ASIDE, in_flight=0),
        ]


def test_the_health_of_upstreams(figure):
    upstreams = Upstreams()
    metrics.watch_upstreams(upstreams)
    assert figure("upstream_state", upstream="http://10.0.0.1", state="up") == 1
    assert figure("upstream_state", upstream="10.0.0.2:80", state="aside") == 1
    assert figure("upstream_in_flight", upstream="http://10.0.0.1") == 2
    upstreams.members[0].state = "aside"
    del upstreams.members[1]
    assert figure("upstream_state", upstream="http://10.0.0.1", state="up") == 0
    assert figure("upstream_state", upstream="http://10.0.0.1", state="aside") == 1
    assert figure("upstream_state", upstream="10.0.0.2:80", state="aside") == 0
    del upstreams
    gc.collect()
    assert figure("upstream_in_flight", upstream="http://10.0.0.1") == 0


# The applications, and what is refused


def test_the_application_for_wsgi(registry):
    shown = run(metrics.metrics_app(), front_environ(PATH_INFO="/any"))
    assert shown.head.status == 200
    assert dict(shown.head.headers)["Content-Type"].startswith("text/plain; version=")
    assert b"wsgiproxy_tunnels_open 0.0" in shown.whole
    assert run(metrics.metrics_app(), front_environ(REQUEST_METHOD="POST")).head.status == 405


def test_the_application_for_asgi(registry):
    client = Client(scope_of("GET", "/"))
    asyncio.run(client.run(metrics.asgi_metrics_app()))
    assert client.status == 200
    assert b"wsgiproxy_tunnels_open 0.0" in client.body


def test_they_stand_in_routers(registry, upstream):
    upstream.behaviour = answer()
    router = Router({"/metrics": metrics.metrics_app(), "/": upstream.url})
    run(router, front_environ(PATH_INFO="/x"))
    shown = run(router, front_environ(PATH_INFO="/metrics"))
    router.close()
    assert b'method="GET",route="/",status="200"' in shown.whole


def test_a_second_registry_is_refused(registry):
    metrics.measure()
    metrics.measure(registry)
    with pytest.raises(ConfigurationError, match="registry=.*: expected the one that holds"):
        metrics.measure(prometheus.CollectorRegistry())


def test_a_folder_that_is_none_is_refused(monkeypatch):
    metrics.stop()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    with pytest.raises(ConfigurationError, match="PROMETHEUS_MULTIPROC_DIR='/nowhere': expected a"):
        metrics.measure()


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"prometheus-client is not installed; try: pip"):
        metrics.measure()


# Several processes


def test_a_child_counts_nothing_of_its_parent_again(figure):
    exchanges = metrics._exchanges
    assert exchanges is not None
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    run(app, front_environ())
    Record({})
    assert (len(exchanges._waiting), len(exchanges._open)) == (1, 1)
    exchanges._lock.acquire()
    exchanges.looked_at._lock.acquire()
    pid = os.fork()
    if not pid:  # a failure here must not go on as the tests of the parent
        is_right = not exchanges._waiting and not exchanges._open
        is_free = exchanges._lock.acquire(timeout=1) and exchanges.looked_at._lock.acquire(
            timeout=1
        )
        os._exit(0 if is_right and is_free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    exchanges._lock.release()
    exchanges.looked_at._lock.release()
    assert figure("requests_in_flight") == 1


def test_many_that_wait_are_added_up_at_the_end_of_one(figure):
    exchanges = metrics._exchanges
    assert exchanges is not None
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    for _ in range(250):
        run(app, front_environ())
    assert len(exchanges._waiting) < 101


def test_an_exchange_waits_for_no_other_that_adds_up(figure):
    exchanges = metrics._exchanges
    assert exchanges is not None
    app = WSGIProxyApp("http://10.0.0.1", transport=Backend())
    with exchanges._lock:
        for _ in range(150):
            run(app, front_environ())
    labels = {"route": "", "upstream": "http://10.0.0.1", "method": "GET", "status": "200"}
    assert figure("requests_total", **labels) == 150


CHILD = """
import threading, sys
from tests.support.in_process import Backend, front_environ, run
from wsgiproxy import WSGIProxyApp
from wsgiproxy.observe.metrics import measure

measure()
assert threading.active_count() == 1  # as before a fork
run(WSGIProxyApp("http://10.0.0.1", transport=Backend()), front_environ())
assert [each.daemon for each in threading.enumerate()] == [False, True]
"""


def test_what_a_worker_has_counted_is_written_at_its_end(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", CHILD], env=env, cwd=root, check=True, timeout=60)
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = prometheus.CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    labels = {"route": "", "upstream": "http://10.0.0.1", "method": "GET", "status": "200"}
    assert registry.get_sample_value("wsgiproxy_requests_total", labels) == 1
    assert registry.get_sample_value("wsgiproxy_requests_in_flight") == 0


def test_a_folder_that_has_gone_ends_no_exchange(registry, figure, caplog, monkeypatch):
    exchanges = metrics._exchanges
    assert exchanges is not None

    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(exchanges.looked_at, "_before", fail)
    exchanges._look()
    exchanges._look()
    found = [each.getMessage() for each in caplog.records]
    assert found == ["figures cannot be written: No space left on device"]
