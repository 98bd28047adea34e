"""Every case through every front server: the proxy is the same wherever it runs.

The tables are in `tests.support.parity`. A server that makes a promise impossible has its
own line there, or here where time plays a part, which says what happens instead.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.support.connection import Connection, Script
from tests.support.echo import CASE_FIELD, by_case
from tests.support.fronts import (
    ASGI_FRONTS,
    FRONTS,
    Front,
    Fronts,
    RawClient,
    app_path,
    raw_exchange,
    request_bytes,
)
from tests.support.messages import RawRequest, answer, chunks
from tests.support.parity import ALL, ASGI, Case, asgi_app, judge, mount_of, play, wsgi_apps
from tests.support.parity.bodies import BODIES
from tests.support.parity.failures import FAILURES
from tests.support.parity.headers import HEADERS
from tests.support.parity.refusals import REFUSALS
from tests.support.parity.responses import RESPONSES
from tests.support.parity.targets import TARGETS
from tests.support.rounds import FULL
from tests.support.upstream import RawUpstream

CASES: list[Case] = [*TARGETS, *BODIES, *HEADERS, *REFUSALS, *RESPONSES, *FAILURES]
SCRIPTS: dict[str, Script] = {case.id: case.script for case in CASES if case.script is not None}

# How long nothing may be seen where nothing should be; a passing test waits for it in full.
SILENCE = 0.3
# "Within a second" of a client's end, and some more for a loaded machine.
SOON = 2.0

Serve: TypeAlias = Callable[[str], Front]
_numbers = itertools.count(1)

every_wsgi_front = pytest.mark.parametrize("front", FRONTS)
every_front = pytest.mark.parametrize("front", [*FRONTS, *ASGI_FRONTS])
# Each server with one application, and each application with some of them; the long form has all
# servers for WSGI with all applications.
every_front_and_app = pytest.mark.parametrize(
    ("front", "app"),
    [
        *(
            itertools.product(FRONTS, ALL)
            if FULL
            else zip(FRONTS, itertools.cycle(ALL), strict=False)
        ),
        *zip(ASGI_FRONTS, itertools.cycle(ASGI), strict=False),
    ],
)


@pytest.fixture(scope="module")
def origin() -> Iterator[RawUpstream]:
    """One upstream for all of them, which plays the case that a request names."""
    with RawUpstream(by_case(SCRIPTS)) as upstream:
        yield upstream
        assert upstream.errors == [], "the proxy has sent malformed requests"


@pytest.fixture
def serve(fronts: Fronts, origin: RawUpstream, front: str) -> Serve:
    """Start the application in the front server, unless it runs already."""
    return lambda app: fronts.get(front, app_path(front, app), UPSTREAM=origin.url)


@pytest.mark.parametrize(
    ("front", "app", "case"),
    [
        *(
            pytest.param(front, app, case, id=f"{front}-{app}-{case.id}")
            for turn, front in enumerate(FRONTS)
            for number, case in enumerate(CASES)
            for app in wsgi_apps(case, front, turn + number)
        ),
        *(
            pytest.param(front, app, case, id=f"{front}-{app}-{case.id}")
            for turn, front in enumerate(ASGI_FRONTS)
            for number, case in enumerate(CASES)
            if (app := asgi_app(case, turn + number)) is not None
        ),
    ],
)
def test_case(case: Case, app: str, front: str, serve: Serve, origin: RawUpstream) -> None:
    response, arrived = play(case, app, serve(app), origin)
    judge(case.expected(front, app), response, arrived)


# -- time plays a part ---------------------------------------------------------------


class Scene:
    """One exchange that the test directs step by step at both ends."""

    def __init__(self, origin: RawUpstream, server: Front, script: Script) -> None:
        self.origin = origin
        self.mark = f"scene-{next(_numbers)}"
        self.client = RawClient(server.port)
        SCRIPTS[self.mark] = script

    def ask(self, line: str, headers: list[tuple[str, str]] | None = None) -> None:
        self.client.send(request_bytes(line, [*(headers or []), (CASE_FIELD, self.mark)]))

    @property
    def arrived(self) -> list[RawRequest]:
        found = list(self.origin.requests)
        return [request for request in found if self.mark in request.values(CASE_FIELD)]

    def connection(self) -> Connection:
        """The upstream's connection that carries the request, as soon as there is one."""
        assert self.origin.wait_until(lambda: bool(self.arrived)), "nothing arrived upstream"
        return self.origin.accepted[self.arrived[-1].connection]

    def ended(self, timeout: float) -> bool:
        """Whether the proxy ends its connection to the upstream within *timeout*."""
        connection = self.connection()
        return self.origin.wait_until(lambda: connection.ended_by_peer, timeout)


@pytest.fixture
def scene(origin: RawUpstream, serve: Serve) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(script: Script, app: str = "reverse") -> Scene:
        made.append(Scene(origin, serve(app), script))
        return made[-1]

    yield make
    for each in made:
        each.client.close()
        del SCRIPTS[each.mark]


_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@every_front_and_app
def test_every_event_arrives_before_the_next_is_sent(
    app: str, front: str, scene: Callable[..., Scene]
) -> None:
    events = [b"data: %d\n\n" % number for number in range(3)]
    seen = [threading.Event() for _ in events]
    script: list[tuple[object, ...]] = [("send", _STREAM)]
    for event, was_seen in zip(events, seen, strict=True):
        script += [("send", chunks(event, last=False)), ("wait", was_seen)]
    stage = scene([*script, ("send", chunks())], app)
    stage.ask(f"GET {mount_of(app)}/events")
    for event, was_seen in zip(events, seen, strict=True):
        stage.client.read_until(event)
        was_seen.set()


# PEP 3333: the head may wait for the first block. We offer an empty one; these do not take it.
HEAD_WAITS = {"waitress", "cheroot"}


@every_front
def test_the_head_arrives_before_the_body(front: str, scene: Callable[..., Scene]) -> None:
    more = threading.Event()
    stage = scene([("send", _STREAM), ("wait", more), ("send", chunks(b"hello"))])
    stage.ask("GET /slow")
    if front in HEAD_WAITS:
        assert stage.client.silent_for(SILENCE)
        more.set()
    assert b" 200 " in stage.client.read_until(b"\r\n\r\n")
    more.set()
    assert stage.client.read_until(b"hello")


# What lets us look whether the client is still there while the upstream is silent.
TELLS_CLIENT_GONE = {"waitress", "gunicorn", "werkzeug", "handler", *ASGI_FRONTS}
GOODBYES = ["close", "reset"]


@every_front_and_app
@pytest.mark.in_turns(2)
@pytest.mark.parametrize("goodbye", GOODBYES)
def test_a_client_that_leaves_before_the_answer_ends_the_upstream_connection(
    app: str, goodbye: str, front: str, scene: Callable[..., Scene]
) -> None:
    answers = threading.Event()
    stage = scene([("wait", answers), ("send", _OPEN), ("send_until_ended", b"x" * 65536)], app)
    stage.ask(f"GET {mount_of(app)}/silent")
    stage.connection()
    getattr(stage.client, goodbye)()
    if front in TELLS_CLIENT_GONE:
        assert stage.ended(SOON)
    else:
        assert not stage.ended(SILENCE), "the server has told us after all"
    answers.set()
    assert stage.ended(5)


@every_front
@pytest.mark.in_turns(2)
@pytest.mark.parametrize("goodbye", GOODBYES)
def test_a_client_that_leaves_a_silent_stream_ends_the_upstream_connection(
    goodbye: str, front: str, scene: Callable[..., Scene]
) -> None:
    goes_on = threading.Event()
    script = [("wait", goes_on), ("send_until_ended", b"x" * 65536)]
    stage = scene([("send", _OPEN + b"hello"), *script])
    stage.ask("GET /stream")
    stage.client.read_until(b"hello")
    getattr(stage.client, goodbye)()
    if front in TELLS_CLIENT_GONE | {"granian"}:  # to granian we offer empty blocks
        assert stage.ended(SOON)
    else:
        assert not stage.ended(SILENCE), "the server has told us after all"
    goes_on.set()
    assert stage.ended(5)


# It reads the whole body before it calls the application, so nothing is ever sent.
READS_BODY_FIRST = {"waitress"}

# Its wsgi.input just ends where the client has left, as if it were the end of the body.
TAKES_A_CUT_FOR_THE_END = {("granian", "chunked")}


@every_front_and_app
@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_a_request_body_that_breaks_off_is_never_completed(
    framing: str, app: str, front: str, scene: Callable[..., Scene]
) -> None:
    stage = scene([("send", answer(body=b"not reached"))], app)
    name, _, value = framing.partition(": ")
    stage.ask(f"POST {mount_of(app)}/x", [(name, value)])
    with contextlib.suppress(OSError):  # wsgiref gets its 411 and has gone
        stage.client.send(b"5\r\nhello\r\n" if value == "chunked" else b"hello")
        stage.client.shutdown_write()
    response = stage.client.response()
    if (front, value) in TAKES_A_CUT_FOR_THE_END:
        assert (response.status, stage.arrived[0].body) == (200, b"hello")
        return
    assert response.status != 200
    assert not any(request.complete for request in stage.arrived)
    assert not stage.arrived or stage.ended(SOON)
    assert not stage.arrived or front not in READS_BODY_FIRST


@every_front_and_app
def test_a_redirection_to_the_upstream_leads_to_us(
    app: str, front: str, origin: RawUpstream, scene: Callable[..., Scene]
) -> None:
    us = origin.netloc if app == "exact" else f"front.example{mount_of(app)}"
    stage = scene([("send", answer(302, [("Location", f"{origin.url}/y%2Fz?a#b")]))], app)
    stage.ask(f"GET {mount_of(app)}/x")
    assert stage.client.response().values("Location") == [f"http://{us}/y%2Fz?a#b"]


# The client waits for 100 before it sends the body; wsgiref speaks HTTP/1.0, which has none.
NEVER_SAYS_100 = {"wsgiref"}


@every_front
def test_a_client_that_waits_for_100_gets_its_turn(front: str, scene: Callable[..., Scene]) -> None:
    stage = scene([("send", answer(body=b"thanks"))])
    stage.ask("POST /x", [("Content-Length", "5"), ("Expect", "100-continue")])
    if front in NEVER_SAYS_100:
        assert stage.client.silent_for(SILENCE)
    else:
        assert stage.client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    stage.client.send(b"hello")
    assert stage.client.response().body == b"thanks"
    assert stage.arrived[0].body == b"hello"


# These end every connection themselves.
ONE_REQUEST_EACH = {"wsgiref", "werkzeug", "handler"}


@every_front
def test_a_kept_connection_stays_in_step(
    front: str, serve: Serve, scene: Callable[..., Scene]
) -> None:
    stage = scene([("send", answer(body=b"hello"))])
    for number, body in enumerate([b"", b"a" * 70_000, b"", b"b"]):
        framing = [("Content-Length", str(len(body)))]
        stage.ask(f"POST /{number}", framing)
        stage.client.send(body)
        response = stage.client.response()
        assert (response.status, response.body, response.complete) == (200, b"hello", True)
        assert (stage.arrived[-1].target, stage.arrived[-1].body) == (f"/{number}", body)
        if front in ONE_REQUEST_EACH:
            assert stage.client.closed_by_server()
            stage.client.close()
            stage.client = RawClient(serve("reverse").port)
    assert len({request.connection for request in stage.arrived}) == 1, "it reuses connections"


@every_wsgi_front
def test_the_exact_proxy_leaves_via_only_where_ports_are_unknown(
    front: str, serve: Serve, origin: RawUpstream
) -> None:
    before = len(origin.requests)
    raw_exchange(serve("exact").port, request_bytes("GET /x"))
    traces = origin.wait_for_requests(before + 1)[-1].values("Via")
    assert len(traces) == (1 if front in ("wsgiref", "granian") else 0)


@every_wsgi_front
def test_a_proxy_that_asks_itself_says_so(front: str, serve: Serve) -> None:
    response = raw_exchange(serve("itself").port, request_bytes("GET /x"))
    assert response.status == 508
