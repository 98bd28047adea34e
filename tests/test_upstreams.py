"""Several upstreams at one ``href``, from both edges: who gets a request, and who gets it next."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from tests.asgi.sockets import Client, serving
from tests.support.asgi_calls import Caller, http_scope
from tests.support.in_process import front_environ, run
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import ConfigurationError, Router, WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp, ASGIRouter
from wsgiproxy.asgi import balanced as asgi_balanced
from wsgiproxy.errors import ConnectTimeout, ProxyError
from wsgiproxy.hooks import Request
from wsgiproxy.sansio.balance import Outcome
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.transport.attendant import Attendant
from wsgiproxy.transport.rewindable import Rewindable
from wsgiproxy.transport.room import Room
from wsgiproxy.transport.srv import services
from wsgiproxy.transport.turn import Turn
from wsgiproxy.wsgi import balanced as wsgi_balanced

Start = Callable[..., RawUpstream]


class Asked:
    """What a client has got."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


class Front:
    """A proxy of one world, and its client."""

    def __init__(self, edge: str, href: Any, **options: Any) -> None:
        self.edge = edge
        self.app: Any = (WSGIProxyApp if edge == "wsgi" else ASGIProxyApp)(href, **options)
        self._loop = asyncio.new_event_loop() if edge == "asgi" else None

    def ask(
        self,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        peer: str = "203.0.113.9",
    ) -> Asked:
        if self._loop is None:
            return self.ask_wsgi(method, headers, body, peer)
        lines = [(name.lower().encode(), value.encode()) for name, value in headers]
        if body:
            lines.append((b"content-length", b"%d" % len(body)))
        scope = http_scope(*lines, method=method, path="/", raw_path=b"/", client=(peer, 40000))
        blocks = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
        events: list[Any] = [
            {"type": "http.request", "body": block, "more_body": True} for block in blocks
        ]
        events[-1]["more_body"] = False
        caller = Caller(events)
        error = self._loop.run_until_complete(caller(self.app, scope))
        assert error is None, error
        start, *rest = caller.sent
        found = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Asked(start["status"], found, b"".join(each.get("body", b"") for each in rest))

    def ask_wsgi(
        self, method: str, headers: tuple[tuple[str, str], ...], body: bytes, peer: str
    ) -> Asked:
        more = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}
        environ = front_environ(body, **more, REMOTE_ADDR=peer)
        environ["REQUEST_METHOD"] = method
        found = run(self.app, environ)
        return Asked(found.head.status, found.head.headers, found.whole)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self.app.aclose())
            self._loop.close()
        else:
            self.app.close()


@pytest.fixture(params=["wsgi", "asgi"])
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def front(edge: str) -> Iterator[Callable[..., Front]]:
    with ExitStack() as stack:

        def made(href: Any, **options: Any) -> Front:
            found = Front(edge, href, **options)
            stack.callback(found.close)
            return found

        yield made


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda behaviour=b"": stack.enter_context(RawUpstream(behaviour))


def named(name: str, *headers: tuple[str, str], status: int = 200) -> bytes:
    return answer(status, headers, name.encode())


@pytest.fixture
def three(start: Start) -> list[RawUpstream]:
    return [start(named(name)) for name in "abc"]


@pytest.fixture
def dead() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def urls(upstreams: list[RawUpstream]) -> list[str]:
    return [each.url for each in upstreams]


def shares(front: Front, count: int, **more: Any) -> Counter[bytes]:
    return Counter(front.ask(**more).body for _ in range(count))


# -- choosing ------------------------------------------------------------------------


def test_each_has_its_share(front, three):
    assert shares(front(urls(three)), 9) == {b"a": 3, b"b": 3, b"c": 3}
    weighted = [(three[0].url, 3), three[1].url]
    assert shares(front(weighted), 8) == {b"a": 6, b"b": 2}


def test_a_text_says_the_same(front, three):
    text = f"{three[0].url} weight=3 {three[1].url}"
    assert shares(front(text), 8) == {b"a": 6, b"b": 2}


def test_the_host_is_that_of_the_upstream(front, three):
    proxy = front(urls(three[:2]))
    for _ in range(2):
        proxy.ask()
    for each in three[:2]:
        assert each.requests[0].values("host") == [each.netloc]


def test_a_function_gives_them(front, three):
    places = urls(three[:1])
    proxy = front(lambda: places)
    assert shares(proxy, 2) == {b"a": 2}
    places.append(three[1].url)
    assert shares(proxy, 4) == {b"a": 2, b"b": 2}
    del places[0]
    assert shares(proxy, 2) == {b"b": 2}


@pytest.mark.parametrize("given", [[], ["x"], None, 5, [("http://a", 0)]], ids=repr)
def test_a_function_that_gives_none_is_503(front, given):
    assert front(lambda: given).ask().status == 503


def test_a_function_that_fails_is_503_and_is_asked_again(front, three, caplog):
    answers: list[Any] = [OSError("the registry is down"), urls(three[:1])]

    def source() -> Any:
        found = answers.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    proxy = front(source)
    assert proxy.ask().status == 503
    assert "the registry is down" in caplog.text
    assert proxy.ask().body == b"a"


def test_a_name_is_looked_up(front, three):
    proxy = front(f"dns:localhost:{three[0].port}/base")
    assert proxy.ask().body == b"a"
    request = three[0].requests[0]
    assert request.values("host") == [f"localhost:{three[0].port}"]
    assert request.target == "/base/"


def test_a_name_without_addresses_is_503_and_a_line(front, caplog):
    assert front("dns:nonesuch.invalid:80").ask().status == 503
    assert "dns:nonesuch.invalid" in caplog.text


def test_what_the_name_says_later_counts(front, three, monkeypatch):
    places = [three[0]]
    monkeypatch.setattr(
        "wsgiproxy.transport.attendant.services",
        lambda name: [("127.0.0.1", each.port, 1) for each in places],
    )
    proxy = front("dns:_http._tcp.site.internal", lookup_interval=0.05)
    assert proxy.ask().body == b"a"
    places[:] = [three[1]]
    until(lambda: proxy.ask().body == b"b")
    assert [each.key for each in proxy.app.upstreams] == [three[1].url]


def test_a_name_that_is_gone_changes_nothing(front, three, monkeypatch, caplog):
    places: list[Any] = [("127.0.0.1", three[0].port, 1)]
    asked = threading.Event()

    def services(name: str) -> Any:
        if not places:
            asked.set()
            raise OSError("SERVFAIL")
        return places

    monkeypatch.setattr("wsgiproxy.transport.attendant.services", services)
    proxy = front("dns:_http._tcp.site.internal", lookup_interval=0.05)
    assert proxy.ask().body == b"a"
    places.clear()
    assert asked.wait(10)
    until(lambda: "SERVFAIL" in caplog.text)
    assert proxy.ask().body == b"a"


def test_services_have_ports_and_weights_of_their_own(front, three, monkeypatch):
    monkeypatch.setattr(
        "wsgiproxy.transport.attendant.services",
        lambda name: [("127.0.0.1", three[0].port, 3), ("127.0.0.1", three[1].port, 1)],
    )
    proxy = front("dns:_http._tcp.site.internal")
    assert shares(proxy, 8) == {b"a": 6, b"b": 2}
    assert three[0].requests[0].values("host") == ["site.internal"]


def test_services_are_scaled_to_our_weights(monkeypatch):
    resolver = pytest.importorskip("dns.resolver")
    records: list[SimpleNamespace] = []
    monkeypatch.setattr(resolver, "resolve", lambda name, kind, lifetime: records)

    def add(priority: int, weight: int, target: str = "a.internal.") -> None:
        records.append(SimpleNamespace(priority=priority, weight=weight, port=80, target=target))

    assert services("_http._tcp.x") == []
    add(0, 9, ".")
    add(2, 1)
    assert services("_http._tcp.x") == [("a.internal", 80, 1)]
    for weight in (65535, 30000, 0):
        add(1, weight)
    assert [weight for *_, weight in services("_http._tcp.x")] == [256, 117, 1]


def test_one_server_of_a_service_without_an_address(front, three, monkeypatch):
    monkeypatch.setattr(
        "wsgiproxy.transport.attendant.services",
        lambda name: [("nonesuch.invalid", 80, 1), ("127.0.0.1", three[0].port, 1)],
    )
    assert front("dns:_http._tcp.site.internal").ask().body == b"a"


def test_a_service_without_servers_is_503(front, monkeypatch, caplog):
    monkeypatch.setattr("wsgiproxy.transport.attendant.services", lambda name: [])
    assert front("dns:_http._tcp.site.internal").ask().status == 503
    assert "no addresses" in caplog.text


def test_those_that_wait_for_a_name_share_its_failure(front, monkeypatch):
    asked: list[str] = []
    turn = threading.Event()

    def services(name: str) -> Any:
        asked.append(name)
        assert turn.wait(10)
        raise OSError("SERVFAIL")

    monkeypatch.setattr("wsgiproxy.transport.attendant.services", services)
    attendant = front("dns:_http._tcp.site.internal").app._upstreams._attendant
    threads = [threading.Thread(target=attendant.look_up_now) for _ in range(5)]
    began: list[int] = []
    monkeypatch.setattr(
        "wsgiproxy.transport.attendant.monotonic", lambda: began.append(1) or time.monotonic()
    )
    for thread in threads:
        thread.start()
    until(lambda: asked and len(began) == 5)
    turn.set()
    for thread in threads:
        thread.join(10)
    assert len(asked) == 1


def test_an_unexpected_failure_does_not_end_the_checks(front, three, monkeypatch, caplog):
    failures = [RuntimeError("can't start new thread"), RuntimeError("again")]
    check = Attendant._check

    def failing(*args: Any) -> None:
        if failures:
            raise failures.pop()
        check(*args)

    monkeypatch.setattr(Attendant, "_check", failing)
    front(urls(three), check_path="/health", check_interval=0.02).ask()
    until(lambda: any(each.target == "/health" for up in three for each in up.requests))
    assert "can't start new thread" in caplog.text


def test_a_client_stays_where_it_is(front, three):
    proxy = front(urls(three), balance="hash:client")
    assert len(shares(proxy, 6, peer="192.0.2.7")) == 1
    clients = Counter(proxy.ask(peer=f"192.0.2.{number}").body for number in range(40))
    assert set(clients) == {b"a", b"b", b"c"}


def test_the_client_is_the_one_that_a_trusted_proxy_states(front, three):
    proxy = front(urls(three), balance="hash:client", trusted_proxies=["10.0.0.1"])
    many = [
        proxy.ask(peer="10.0.0.1", headers=(("X-Forwarded-For", f"192.0.2.{number}"),)).body
        for number in range(40)
    ]
    assert set(many) == {b"a", b"b", b"c"}
    forged = [
        proxy.ask(peer="10.0.0.2", headers=(("X-Forwarded-For", f"192.0.2.{number}"),)).body
        for number in range(20)
    ]
    assert len(set(forged)) == 1


def test_a_header_decides(front, three):
    proxy = front(urls(three), balance="hash:X-User")
    assert len(shares(proxy, 6, headers=(("x-user", "ann"),))) == 1


def test_a_session_stays_with_the_upstream_that_gave_it(front, start):
    ids = ("Mcp-Session-Id", "one"), ("Mcp-Session-Id", "two")
    upstreams = [start(named("a", ids[0])), start(named("b", ids[1]))]
    proxy = front(urls(upstreams), balance="session:Mcp-Session-Id")
    first = {proxy.ask().body for _ in range(2)}
    assert first == {b"a", b"b"}
    assert shares(proxy, 4, headers=(("Mcp-Session-Id", "two"),)) == {b"b": 4}
    assert shares(proxy, 4, headers=(("Mcp-Session-Id", "one"),)) == {b"a": 4}


# -- sticky --------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("one:" + "A" * 43 + "\n")
    path.chmod(0o600)
    return path


def test_a_cookie_keeps_the_upstream(front, three, secret):
    proxy = front(urls(three), balance="sticky", secret_file=secret)
    first = proxy.ask()
    (cookie,) = first.values("set-cookie")
    pair, *attributes = cookie.split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    again = [proxy.ask(headers=(("Cookie", f"a=1; {pair}; b=2"),)) for _ in range(4)]
    assert {each.body for each in again} == {first.body}
    assert not any(each.values("set-cookie") for each in again)
    asked = next(each for each in three if each.requests)
    assert asked.requests[-1].values("cookie") == ["a=1; b=2"]
    assert "127.0.0.1" not in cookie


def test_another_process_with_the_same_key_knows_the_cookie(front, three, secret):
    one, other = (front(urls(three), balance="sticky", secret_file=secret) for _ in range(2))
    first = one.ask()
    pair = first.values("set-cookie")[0].split(";")[0]
    assert shares(other, 4, headers=(("Cookie", pair),)) == {first.body: 4}


@pytest.mark.parametrize("value", ["", "x", "A" * 24, "é".encode().decode("latin-1"), "x" * 5000])
def test_a_forged_cookie_is_no_cookie(front, three, secret, value):
    proxy = front(urls(three), balance="sticky", secret_file=secret)
    if not value.isascii() and proxy.edge == "asgi":
        pytest.skip("fields of this test are text in UTF-8 there")
    found = proxy.ask(headers=(("Cookie", f"wsgiproxy_upstream={value}"),))
    assert found.status == 200
    assert found.values("set-cookie")
    assert all(not each.values("cookie") for up in three for each in up.requests)


def test_a_dead_upstream_gives_its_users_another_one(front, three, secret):
    with RawUpstream(named("gone")) as going:
        proxy = front([going.url, three[0].url], balance="sticky", secret_file=secret)
        answers = [proxy.ask() for _ in range(2)]
    first = next(each for each in answers if each.body == b"gone")
    pair = first.values("set-cookie")[0].split(";")[0]
    moved = proxy.ask(headers=(("Cookie", pair),))
    assert (moved.status, moved.body) == (200, b"a")
    assert moved.values("set-cookie")


# -- failures ------------------------------------------------------------------------


def test_a_dead_one_costs_no_request(front, three, dead):
    proxy = front([dead, *urls(three)])
    assert sum(shares(proxy, 24).values()) == 24
    assert {each.key: each.state for each in proxy.app.upstreams}[dead] == "paused"
    assert all(each.in_flight == 0 for each in proxy.app.upstreams)


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_body_that_reached_nothing_goes_to_the_next(front, start, dead, size):
    upstream = start([("read",), ("send", named("a")), ("read",), ("send", named("a"))])
    proxy = front([dead, upstream.url])
    body = bytes(range(256)) * (size // 256 + 1)
    assert [proxy.ask("POST", body=body).status for _ in range(2)] == [200, 200]
    assert [each.body for each in upstream.requests] == [body, body]


def test_a_signed_body_that_reached_nothing_goes_to_the_next(front, start, dead, secret):
    upstream = start([("read",), ("send", named("a")), ("read",), ("send", named("a"))])
    proxy = front([dead, upstream.url], secret_file=secret, sign_body=True)
    body = bytes(200_000)
    assert [proxy.ask("POST", body=body).status for _ in range(2)] == [200, 200]
    assert [each.body for each in upstream.requests] == [body, body]


def test_a_generator_that_an_upload_still_reads_is_not_begun_again() -> None:
    async def blocks(turn: asyncio.Event) -> Any:
        yield b"one"
        await turn.wait()
        yield b"two"

    async def main() -> None:
        turn = asyncio.Event()
        body = Rewindable(blocks(turn))
        assert await anext(body) == b"one"
        assert body.rewind()
        assert await anext(body) == b"one"
        upload = asyncio.ensure_future(anext(body))
        await asyncio.sleep(0)
        assert not body.rewind()
        turn.set()
        assert await upload == b"two"
        assert await anext(body, None) is None
        assert body.rewind()
        assert [block async for block in body] == [b"one", b"two"]

    asyncio.run(main())


def test_a_websocket_is_in_progress_until_it_is_closed() -> None:
    async def main() -> None:
        async with serving(max_in_flight=5) as (app, upstream):
            client = Client(app)
            await upstream.peer()
            await client.accepted()
            assert app.upstreams[0].in_flight == 1
            client.close()
            await client.ended()
            assert app.upstreams[0].in_flight == 0

    asyncio.run(main())


def test_not_all_of_a_silent_network_are_waited_for():
    proxy = Front("wsgi", [f"http://127.0.0.1:{port}" for port in range(1, 9)])
    turn = Turn(proxy.app._upstreams, environs.read(front_environ(b"")))
    asked = 0
    while turn.choose():
        asked += 1
        if not turn.failed(ConnectTimeout("silent"), None):
            break
    turn.end()
    assert asked == 3
    proxy.close()


def test_all_dead_is_502(front, dead):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        proxy = front([dead, f"http://127.0.0.1:{sock.getsockname()[1]}"])
        assert [proxy.ask().status for _ in range(8)] == [502] * 8


def test_a_single_one_is_never_put_aside(front, dead):
    proxy = front([dead], max_in_flight=5)
    assert [proxy.ask().status for _ in range(5)] == [502] * 5
    assert proxy.app.upstreams[0].state == "up"


CUT: list[Any] = [("read",), ("close",)]


def test_a_request_that_may_have_been_served_is_not_sent_again(front, start):
    upstreams = [start(CUT), start(named("b"))]
    proxy = front(urls(upstreams))
    assert Counter(proxy.ask().status for _ in range(2)) == {502: 1, 200: 1}


def test_retries_are_for_idempotent_methods(front, start):
    upstreams = [start(CUT), start(named("b"))]
    proxy = front(urls(upstreams), retries=1)
    assert Counter(proxy.ask().status for _ in range(2)) == {200: 2}
    statuses = Counter(proxy.ask("POST", body=b"x").status for _ in range(2))
    assert statuses == {502: 1, 200: 1}


def test_a_status_leads_to_the_next_and_retry_after_counts(front, start):
    busy = start(named("busy", ("Retry-After", "100"), status=429))
    proxy = front([busy.url, start(named("b")).url], retries=1, retry_statuses="429 529")
    bodies = [proxy.ask("POST", body=b"prompt").body for _ in range(6)]
    assert bodies == [b"b"] * 6
    assert len(busy.requests) == 1


@pytest.mark.parametrize(
    ("status", "method", "asked"),
    [
        (500, "POST", 1),
        (504, "POST", 1),
        (503, "POST", 2),
        (529, "POST", 2),
        (500, "PUT", 2),
    ],
)
def test_what_may_have_been_done_is_not_done_again(front, start, status, method, asked):
    upstreams = [start(named("no", status=status)) for _ in range(2)]
    proxy = front(urls(upstreams), retries=1, retry_statuses=status)
    assert proxy.ask(method, body=b"x").status == status
    assert sum(len(each.requests) for each in upstreams) == asked


def test_a_status_without_another_upstream_is_the_answer(front, start):
    busy = [start(named("busy", status=503)) for _ in range(2)]
    proxy = front(urls(busy), retries=5, retry_statuses=503)
    found = proxy.ask()
    assert (found.status, found.body) == (503, b"busy")
    assert sum(len(each.requests) for each in busy) == 2


def test_gateway_errors_put_an_upstream_aside(front, start):
    bad, good = start(named("bad", status=502)), start(named("good"))
    proxy = front([bad.url, good.url], max_fails=2)
    assert shares(proxy, 20)[b"bad"] == 2


def test_it_says_so_in_the_log(front, three, dead, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.error")
    proxy = front([dead, three[0].url])
    shares(proxy, 8)
    found = [each.message for each in caplog.records if each.name == "wsgiproxy.error"]
    assert found == [f"upstream {dead} is paused"]


# -- room ----------------------------------------------------------------------------


def test_a_request_beyond_the_limit_is_503(edge, front, start):
    if edge == "asgi":
        pytest.skip("the test of the event loop is the next one")
    turn = threading.Event()
    upstream = start([("read",), ("wait", turn), ("send", named("a"))])
    proxy = front(upstream.url, max_in_flight=1)
    found: list[Asked] = []
    thread = threading.Thread(target=lambda: found.append(proxy.ask()))
    thread.start()
    upstream.wait_for_requests(1)
    refused = proxy.ask()
    assert (refused.status, refused.values("retry-after")) == (503, ["1"])
    turn.set()
    thread.join(10)
    assert found[0].status == 200
    assert proxy.app.upstreams[0].in_flight == 0


def test_a_request_in_the_queue_gets_the_room(edge, front, start):
    if edge == "asgi":
        pytest.skip("threads")
    turn = threading.Event()
    upstream = start(
        [("read",), ("wait", turn), ("send", named("a")), ("read",), ("send", named("b"))]
    )
    proxy = front(upstream.url, max_in_flight=1, queue_size=1, queue_timeout=10)
    found: list[Asked] = []
    threads = [threading.Thread(target=lambda: found.append(proxy.ask())) for _ in range(2)]
    threads[0].start()
    upstream.wait_for_requests(1)
    threads[1].start()
    until(lambda: len(proxy.app._upstreams.room) == 1)
    assert proxy.ask().status == 503
    turn.set()
    for thread in threads:
        thread.join(10)
    assert [each.body for each in found] == [b"a", b"b"]


def test_those_that_wait_look_once_for_each_place(edge, monkeypatch):
    proxy = Front(edge, "http://127.0.0.1:9", max_in_flight=1, queue_size=9, queue_timeout=0.5)
    upstreams = proxy.app._upstreams
    inbound = environs.read(front_environ(b""))
    looks: list[Turn] = []
    choose = Turn.choose
    monkeypatch.setattr(Turn, "choose", lambda turn: looks.append(turn) or choose(turn))
    first, *others = (Turn(upstreams, inbound) for _ in range(6))
    first.choose()
    taken: list[Any] = []

    def wait(turn: Turn) -> None:
        with suppress(ProxyError):
            if edge == "wsgi":
                taken.append(wsgi_balanced._wait_for_room(turn, upstreams, {}))
            else:
                taken.append(asyncio.run(asgi_balanced._wait_for_room(turn, upstreams)))

    threads = [threading.Thread(target=wait, args=[turn]) for turn in others]
    for thread in threads:
        thread.start()
    until(lambda: len(upstreams.room) == 5)
    first.end()
    for thread in threads:
        thread.join(10)
    proxy.close()
    assert len(taken) == 1
    assert len(looks) < 40
    assert not len(upstreams.room)


def test_room_for_one_client_gets_past_those_of_others() -> None:
    room = Room(1, 9)
    woken: list[str] = []
    places = [room.queue(partial(woken.append, name)) for name in "abc"]
    room.let_one_in()
    room.listen(places[0])
    room.let_one_in(behind=places[0])
    room.listen(places[1])
    room.let_one_in(behind=places[1])
    assert woken == ["a", "b", "c"]
    room.let_one_in()
    assert woken[3:] == ["a"]
    room.unqueue(places[0])  # it had no use for that call
    assert woken[4:] == ["b"]
    for place in places[1:]:
        room.unqueue(place)
    assert not len(room)


def test_a_client_has_a_limit_of_its_own(edge, front, start):
    if edge == "asgi":
        pytest.skip("threads")
    turn = threading.Event()
    upstream = start([[("read",), ("wait", turn), ("send", named("a")), ("close",)], named("b")])
    proxy = front(upstream.url, max_in_flight_per_client=1)
    found: list[Asked] = []
    thread = threading.Thread(target=lambda: found.append(proxy.ask(peer="2001:db8::1")))
    thread.start()
    upstream.wait_for_requests(1)
    assert proxy.ask(peer="2001:db8::ffff:1").status == 429  # of the same network
    assert proxy.ask(peer="192.0.2.2").status == 200
    turn.set()
    thread.join(10)
    assert found[0].status == 200
    assert proxy.ask(peer="2001:db8::1").status == 200


def test_room_in_an_event_loop(start):
    turn = threading.Event()
    upstream = start(
        [("read",), ("wait", turn), ("send", named("a")), ("read",), ("send", named("b"))]
    )

    async def one(app: Any) -> Any:
        caller = Caller()
        assert await caller(app, http_scope()) is None
        return caller.sent

    async def main() -> list[Any]:
        app = ASGIProxyApp(upstream.url, max_in_flight=1, queue_size=1, queue_timeout=10)
        first = asyncio.create_task(one(app))
        await asyncio.to_thread(upstream.wait_for_requests, 1)
        second = asyncio.create_task(one(app))
        while not len(app._upstreams.room):
            await asyncio.sleep(0)
        third = await one(app)
        turn.set()
        found = [await first, await second, third]
        app.close()
        return found

    first, second, third = asyncio.run(main())
    assert (first[1]["body"], second[1]["body"], third[0]["status"]) == (b"a", b"b", 503)


def test_the_queue_has_its_time(front, edge, start):
    if edge == "asgi":
        pytest.skip("threads")
    turn = threading.Event()
    upstream = start([("read",), ("wait", turn), ("send", named("a"))])
    proxy = front(upstream.url, max_in_flight=1, queue_size=5, queue_timeout=0.05)
    thread = threading.Thread(target=proxy.ask)
    thread.start()
    upstream.wait_for_requests(1)
    assert proxy.ask().status == 503
    assert not len(proxy.app._upstreams.room)
    turn.set()
    thread.join(10)


# -- checks --------------------------------------------------------------------------


def test_checks_take_one_out_and_back(front, start):
    sick, well = start(named("sick", status=500)), start(named("well"))
    proxy = front([sick.url, well.url], check_path="/health", check_interval=0.02)
    proxy.ask()  # which begins them

    def state() -> str:
        return next(each.state for each in proxy.app.upstreams if each.key == sick.url)

    until(lambda: state() == "down")
    assert shares(proxy, 6) == {b"well": 6}
    assert {each.target for each in sick.requests} <= {"/health", "/"}
    sick.behaviour = named("cured")
    for each in sick.accepted:  # a kept connection would go on with what it has begun
        each.stop()
    until(lambda: state() == "up")
    assert b"cured" in shares(proxy, 6)


# -- hooks ---------------------------------------------------------------------------


def test_a_hook_chooses(front, three):
    def to_b(request: Any) -> Any:
        request.upstream = three[1].url
        yield request

    assert shares(front(urls(three), hooks=[to_b]), 3) == {b"b": 3}


def test_a_hook_that_chooses_what_is_not_there_is_500(front, three, caplog):
    def elsewhere(request: Any) -> Any:
        request.upstream = "http://evil.example"
        yield request

    assert front(urls(three), hooks=[elsewhere]).ask().status == 500
    assert "expected one of" in caplog.text
    assert front(three[0].url, hooks=[elsewhere]).ask().status == 500


def test_a_request_that_a_hook_sends_again_is_one_of_its_client(front, start):
    long = b"HTTP/1.1 401 No\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)

    def again(request: Any) -> Any:
        response = yield request
        if response.status == 401:
            yield request

    upstream = start([[("read",), ("send", long), ("close",)], [("read",), ("send", named("b"))]])
    proxy = front([upstream.url], hooks=[again], max_in_flight_per_client=1)
    assert proxy.ask().body == b"b"
    assert not proxy.app._upstreams.room._clients
    assert proxy.app.upstreams[0].in_flight == 0


def test_a_hook_chooses_among_those_with_room(front, three):
    def to_b(request: Any) -> Any:
        request.upstream = three[1].url
        yield request

    proxy = front(urls(three), hooks=[to_b], max_in_flight=1)
    assert proxy.ask().body == b"b"
    upstreams = proxy.app._upstreams
    member, _ = upstreams.named(three[1].url)
    assert proxy.ask().status == 503
    upstreams.end(member, Outcome.GOOD)
    assert proxy.ask().body == b"b"


def test_hooks_see_the_failure_of_the_last_one_alone(front, three, dead):
    seen: list[int] = []

    def note(request: Any) -> Any:
        response = yield request
        seen.append(response.status)

    shares(front([dead, three[0].url], hooks=[note]), 4)
    assert seen == [200] * 4


def test_the_hooks_own_requests_go_where_they_say(front, three, start):
    other = start(named("other"))

    def ask_first(request: Any) -> Any:
        found = yield Request("GET", other.url)
        request.headers["X-Found"] = str(found.status)
        yield request

    assert front(urls(three), hooks=[ask_first]).ask().status == 200
    (asked,) = [request for each in three for request in each.requests]
    assert asked.values("x-found") == ["200"]
    assert len(other.requests) == 1


# -- construction --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "options", "words"),
    [
        ([], {}, "at least one"),
        (["http://a", "https://b"], {}, "one scheme"),
        (["http://a", "http://a"], {}, "twice"),
        ("http://a", {"balance": "fastest"}, "balance='fastest'"),
        (["http://a", "http://b"], {"balance": "sticky"}, "secret_file"),
        (["http://a", "http://b"], {"retry_statuses": "200", "retries": 1}, "retry_statuses"),
        (["http://a", "http://b"], {"retry_statuses": "503"}, "retries"),
        (["http://a", "http://b"], {"check_path": "health"}, "check_path"),
        (["http://a", "http://b"], {"queue_size": 3}, "max_in_flight"),
        ("dns:a", {}, "dns:name:port"),
        (["dns:a:80"], {}, "alone"),
    ],
)
def test_what_cannot_be_is_said_at_construction(edge, href, options, words):
    with pytest.raises(ConfigurationError, match=words):
        Front(edge, href, **options)


def test_href_can_be_assigned(front, three):
    proxy = front(urls(three[:2]))
    proxy.app.href = three[2].url
    assert shares(proxy, 3) == {b"c": 3}
    proxy.app.href = urls(three[:2])
    assert shares(proxy, 4) == {b"a": 2, b"b": 2}


def test_a_router_takes_a_list_at_a_place(edge, front, three):
    proxy = front(urls(three[:1]))
    router = (Router if edge == "wsgi" else ASGIRouter)({"/": urls(three[:2])}, balance="least")
    proxy.app = router
    assert shares(proxy, 4) == {b"a": 2, b"b": 2}


def test_a_retry_that_nothing_is_left_for_is_not_taken_from_the_budget(front, start):
    upstream = start([[("read",), ("close",)]])
    proxy = front(upstream.url, retries=3, max_in_flight=5)
    taken: list[bool] = []
    upstreams = proxy.app._upstreams
    upstreams.may_retry = lambda: taken.append(True) or True
    assert proxy.ask().status == 502
    assert not taken
