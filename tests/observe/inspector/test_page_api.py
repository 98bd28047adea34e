"""The page of the inspector by HTTP: who may see it, what is served, and what can be done there."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any
from wsgiref.validate import validator

import pytest
from webtest.lint import middleware as lint

from tests.observe.inspector.filled import Client, Got, add, attempt, served
from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.observe.inspector.page import Page
from wsgiproxy.observe.inspector.page_server import PageServer
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.message import ResponseHead
from wsgiproxy.sansio.secrets import Secrets

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def ring(shared: tuple[Ring, Client]) -> Ring:
    ring = shared[0]
    ring.pause(False)
    ring.clear()
    return ring


@pytest.fixture
def client(shared: tuple[Ring, Client]) -> Client:
    return shared[1]


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Ring, Client]]:
    ring = Ring()
    with served(
        ring,
        title="<b>app</b>",
        replay=lambda exchange, replayed: exchange.number + 1,
        to_har=lambda exchanges: json.dumps([each.number for each in exchanges]),
        from_har=lambda text, name: len(json.loads(text)),
    ) as client:
        yield ring, client


def assert_guarded(got: Got) -> None:
    """No answer can be run, framed, kept or read by another site."""
    headers = {name.lower(): value for name, value in got.headers.items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert not any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        pytest.param("", "GET", {}, 200, id="page"),
        pytest.param("", "HEAD", {}, 200, id="head"),
        pytest.param("api/state", "GET", {"Sec_Fetch_Site": "same-origin"}, 200, id="own-fetch"),
        pytest.param("", "GET", {"Sec_Fetch_Site": "none"}, 200, id="typed-address"),
        pytest.param("", "GET", {"Host": "localhost:{port}"}, 200, id="localhost"),
        pytest.param("", "GET", {"Host": "[::1]:{port}"}, 200, id="ipv6"),
        pytest.param("", "GET", {"Host": "rebound.example:{port}"}, 421, id="rebound-name"),
        pytest.param("", "GET", {"Host": "app.localhost:{port}"}, 421, id="below-localhost"),
        pytest.param("", "GET", {"Host": "127.0.0.1:1"}, 421, id="other-port"),
        pytest.param("", "GET", {"Host": ""}, 421, id="no-host"),
        pytest.param("/", "GET", {}, 404, id="no-token"),
        pytest.param("/x" + "y" * 42 + "/", "GET", {}, 404, id="wrong-token"),
        pytest.param("/%ff%00/api/state", "GET", {}, 404, id="strange-token"),
        pytest.param("/api/state", "GET", {}, 404, id="api-without-token"),
        pytest.param("", "GET", {"Sec_Fetch_Site": "cross-site"}, 403, id="link-elsewhere"),
        pytest.param("api/state", "GET", {"Sec_Fetch_Site": "same-site"}, 403, id="other-port-app"),
        pytest.param("api/state", "OPTIONS", {"Origin": "http://a.example"}, 405, id="preflight"),
        pytest.param("api/state", "PUT", {}, 405, id="put"),
        pytest.param("", "POST", {}, 405, id="post-to-the-page"),
        pytest.param("api/clear", "POST", {"Origin": "http://evil.example"}, 403, id="origin"),
        pytest.param("api/clear", "POST", {"Origin": "null"}, 403, id="origin-null"),
        pytest.param("api/clear", "POST", {"Origin": "http://localhost:{port}"}, 403, id="alias"),
        pytest.param("api/clear", "POST", {"Content_Type": "text/plain"}, 415, id="simple-post"),
        pytest.param("api/clear", "POST", {"Content_Length": "a"}, 411, id="no-length"),
        pytest.param("api/clear", "POST", {"Content_Length": "99999999"}, 413, id="large"),
        pytest.param("api/clear", "GET", {}, 404, id="clear-by-get"),
        pytest.param("api/har", "POST", {"Transfer_Encoding": "chunked"}, 411, id="chunked"),
        pytest.param("../assets/index.html", "GET", {}, 404, id="dots"),
        pytest.param("page.py", "GET", {}, 404, id="source"),
        pytest.param("nothing.js", "GET", {}, 404, id="no-asset"),
    ],
)
def test_who_may_see_it(client, ring, path, method, headers, status):
    add(ring)
    fields = {name: value.format(port=client.url.port) for name, value in headers.items()}
    got = client.ask(path, method, b"{}" if method == "POST" else None, **fields)
    assert got.status == status
    assert_guarded(got)
    assert len(ring) == 1
    if method == "HEAD":
        assert got.body == b"" and int(got.headers["Content-Length"]) > 0


def test_post_without_origin_does_nothing(client, ring):
    add(ring)
    got = client.ask("api/clear", "PUT")
    assert got.status == 405
    with client.opened("api/clear", "POST", b"{}", Origin="") as response:
        assert response.status == 403
    assert len(ring) == 1


def test_address_without_its_last_slash_is_completed(client):
    got = client.ask(client.url.path.rstrip("/"))
    assert (got.status, got.headers["Location"]) == (308, client.url.path)
    assert_guarded(got)


def test_list_and_detail(client, ring):
    exchange = add(ring, "/a?page=1", [("TE", "trailers")], b"hello", method="PUT")
    passed = [("Host", "127.0.0.1:9000"), ("Via", "1.1 x")]
    attempt(exchange, passed).fail(ConnectionError("refused"))
    location = "http://127.0.0.1:9000/b"
    attempt(exchange, passed, ResponseHead(302, "Found", [("Location", location)]))
    exchange.begin_answer("302 Found", [("Location", "http://app.example/b")])
    exchange.end()
    (line,) = client.json("exchanges")["exchanges"]
    assert (line["method"], line["target"], line["host"]) == ("PUT", "/a?page=1", "app.example")
    assert (line["status"], line["attempts"], line["request_size"]) == (302, 2, 5)
    assert line["upstream"] == "http://127.0.0.1:9000" and line["seconds"] >= 0
    shown = client.json(f"exchanges/{exchange.number}")
    own = {"attempts", "messages"}
    assert {key: shown[key] for key in line if key not in own}.items() <= line.items()
    assert shown["request"]["body"]["name"] == "request"
    assert shown["attempts"][0]["error"] == "ConnectionError: refused"
    states = {each["name"]: each["state"] for each in shown["differences"]["request"]}
    assert states == {"Host": "changed", "TE": "removed", "Via": "added"}
    (moved,) = shown["differences"]["response"]
    assert moved["upstream"] == location and moved["client"] == "http://app.example/b"
    assert "upstream’s own address" in moved["why"]
    ends = [bar["to"] - bar["from"] for bar in shown["timing"]]
    assert min(ends) >= 0 and "attempt 2: waiting" in [bar["name"] for bar in shown["timing"]]


def test_nothing_of_that_name(client, ring):
    number = add(ring, answer=(200, [], b"")).number
    for path in ("exchanges/99", "exchanges/x", "exchanges/²", "nothing", "har?numbers=1,x"):
        got = client.ask(f"api/{path}".replace("²", "%C2%B2"))
        assert got.status in (400, 404) and got.json["error"].endswith("."), path
    for rest in ("bodies", "bodies/x", "bodies/response/x", "as/perl", "x", ""):
        assert client.ask(f"api/exchanges/{number}/{rest}").status == 404, rest


HOSTILE = [
    pytest.param("text/html", "", SCRIPT.encode(), "text", SCRIPT, id="html"),
    pytest.param("image/svg+xml", "", f"<svg>{SCRIPT}</svg>".encode(), "text", SCRIPT, id="svg"),
    pytest.param("image/png", "", SCRIPT.encode(), "text", SCRIPT, id="no-image"),
    pytest.param("application/json", "", b'{"a":', "text", '{"a":', id="broken-json"),
    pytest.param("application/json", "", b"[" * 200_000, "text", "[[[", id="deep-json"),
    pytest.param("application/json", "", b"[NaN]", "text", "[NaN]", id="nan"),
    pytest.param("application/json", "", b"[%s]" % (b"9" * 9000), "json", "9", id="huge-number"),
    pytest.param("application/json", "", b'["\\ud800"]', "json", "\\ud800", id="half-character"),
    pytest.param("application/json", "", b'["{ }",{}]', "json", '"{ }",\n', id="braces-in-text"),
    pytest.param("application/json", "", b'[" ' + b"x" * (2 << 20), "text", "xxx", id="long-json"),
    pytest.param("text/plain", "", b"caf\xe9 " * 99, "text", "caf\ufffd", id="no-utf-8"),
    pytest.param("text/plain", "", b"\0\1\2", "hex", "00 01 02", id="bytes"),
    pytest.param("text/plain", "gzip", b"no gzip", "text", "no gzip", id="no-gzip"),
    pytest.param("text/plain", "x-own", b"abc", "text", "abc", id="unknown-coding"),
    pytest.param("text/plain", "gzip, gzip, gzip, gzip, gzip", b"abc", "text", "abc", id="codings"),
    pytest.param("text/plain; charset=zip", "", b"abc", "text", "abc", id="charset"),
    pytest.param("text/plain", "gzip", gzip.compress(bytes(64 << 20)), "hex", "00 00", id="bomb"),
]


@pytest.mark.parametrize(("media_type", "coding", "body", "kind", "text"), HOSTILE)
def test_hostile_bodies_are_inert(client, ring, media_type, coding, body, kind, text):
    headers = [("Content-Type", media_type), ("Content-Encoding", coding), ("X", SCRIPT)]
    number = add(ring, f"/{SCRIPT}", answer=(200, headers, body)).number
    got = client.ask(f"api/exchanges/{number}/bodies/response")
    shown = got.json
    assert shown["kind"] == kind and text in shown["text"]
    assert len(got.body) < 8 << 20
    assert_guarded(got)
    detail = client.ask(f"api/exchanges/{number}")
    assert {"name": "X", "value": SCRIPT, "masked": False} in detail.json["response"]["headers"]
    raw = client.ask(f"api/exchanges/{number}/bodies/response/raw")
    assert raw.body == body
    assert raw.headers["Content-Type"] == "application/octet-stream"
    assert raw.headers["Content-Disposition"].startswith("attachment; ")
    assert "sandbox" in raw.headers["Content-Security-Policy"]
    assert_guarded(raw)
    assert client.ask(f"api/exchanges/{number}/bodies/response/image").status == 404


def test_raster_images_alone_are_served_as_such(client, ring):
    number = add(ring, answer=(200, [("Content-Type", "text/html")], PNG)).number
    assert client.json(f"exchanges/{number}/bodies/response")["kind"] == "image"
    got = client.ask(f"api/exchanges/{number}/bodies/response/image")
    assert (got.headers["Content-Type"], got.body) == ("image/png", PNG)
    assert "sandbox" in got.headers["Content-Security-Policy"]
    assert_guarded(got)


def test_no_answer_has_a_secret(client, ring):
    secret = "pl4nted"
    form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
    cookies = [("Set-Cookie", f"{name}={secret}; Path=/") for name in "ab"]
    address = f"http://u:{secret}@app.example/?token={secret}#access_token={secret}"
    exchange = add(
        ring,
        f"/a?api_key={secret}&b=1",
        [*form, ("Authorization", f"Bearer {secret}"), ("Referer", address), ("X-Api-Key", secret)]
        + [("Cookie", f"a={secret}"), ("Cookie", f"b={secret}; c={secret}")],
        f"user=a&password={secret}&pass%77ord={secret}".encode(),
        method="POST",
    )
    sent = [field for field in exchange.request.headers if field[0] != "X-Api-Key"]
    attempt(exchange, sent, ResponseHead(302, "Found", [*cookies, ("Location", address)]))
    exchange.begin_answer("302 Found", [*cookies[:1], ("Location", address)])
    exchange.fail(ConnectionError(f"at {address}"))
    exchange.end()
    found = f"api/exchanges/{exchange.number}"
    paths = ["api/exchanges", found, f"{found}/editable", f"{found}/bodies/request"]
    paths += [f"{found}/bodies/request/raw"]
    paths += [f"{found}/as/{kind}" for kind in ("curl", "requests", "webob", "pytest")]
    for path in paths:
        got = client.ask(path)
        assert got.status == 200 and secret not in got.body.decode(), path
    with client.opened("api/events") as stream:
        next_event(stream)
        add(ring, f"/?token={secret}")
        assert secret not in next_event(stream)


def test_what_is_shown_by_name_is_shown(ring):
    exchange = add(ring, "/?token=7", [("Cookie", "a=b")])
    with served(ring, Secrets.named(hidden=["X"], shown=["Cookie"])) as client:
        detail = client.json(f"exchanges/{exchange.number}")
    assert ("Cookie", "a=b") in [(f["name"], f["value"]) for f in detail["request"]["headers"]]
    assert detail["target"] == "/?token=***"


def next_event(stream: HTTPResponse) -> str:
    """The next event with data."""
    lines: list[str] = []
    while True:
        line = stream.readline().decode()
        assert line, "the stream has ended"
        if line != "\n":
            lines.append(line)
        elif any(each.startswith("data:") for each in lines):
            return "".join(lines)
        else:
            lines = []


def test_changes_come_at_once_and_end_with_the_server(ring):
    with served(ring) as client, client.opened("api/events") as stream:
        assert stream.getheader("Content-Type") == "text/event-stream"
        assert next_event(stream).startswith("event: state")
        began = time.monotonic()
        exchange = add(ring, "/new")
        event = next_event(stream)
        assert time.monotonic() - began < 0.5
        found = json.loads(event.partition("data: ")[2])
        assert event.startswith("event: exchanges") and found["first"] == exchange.number
        assert [each["target"] for each in found["exchanges"]] == ["/new"]
        assert client.post("pause", {"paused": True}).json["paused"] is True
        assert json.loads(next_event(stream).partition("data: ")[2])["paused"] is True
        ended = threading.Event()
        reader = threading.Thread(target=lambda: (stream.read(), ended.set()))
        reader.start()
        began = time.monotonic()
        client.server.close()
        assert ended.wait(5) and time.monotonic() - began < 1
        reader.join()


def test_ninth_stream_ends_the_oldest(ring):
    page = Page(ring, "t" * 32, Secrets())
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/{'t' * 32}/api/events",
        "HTTP_HOST": "127.0.0.1:1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "1",
    }
    statuses = []

    def ask():
        return page(dict(environ), lambda status, headers: statuses.append(status[:3]))

    bodies = [ask() for _ in range(9)]
    assert statuses == ["200"] * 9
    assert list(bodies[0])[1:] == []  # it has ended
    page.close()
    assert list(bodies[1])[1:] == []
    ask()
    assert statuses[-1] == "503"


def test_clear_and_pause(client, ring):
    add(ring)
    assert client.post("clear", {}).json["kept"] == 0
    assert client.post("pause", {"paused": True}).json["paused"]
    assert ring.is_paused
    for value in ({"paused": 1}, {}, [], b"{", b"[" * 100_000):
        assert client.post("pause", value).status == 400


def test_har_files(client, ring):
    numbers = [add(ring).number for _ in range(3)]
    got = client.ask("api/har")
    assert json.loads(got.body) == numbers
    assert got.headers["Content-Disposition"] == 'attachment; filename="wsgiproxy.har"'
    assert_guarded(got)
    assert json.loads(client.ask(f"api/har?numbers={numbers[1]},99").body) == numbers[1:2]
    assert client.post("har?name=a.har", [1, 2]).json == {"added": 2}
    assert client.post("har?name=a.har", b"no json").status == 400
    assert client.post("har?name=a.har", b"\xff").json == {"error": "The file is not UTF-8."}


def test_failure_is_guarded_and_logged(ring, caplog):
    def to_har(exchanges):
        raise OSError("disk")

    with served(ring, to_har=to_har) as client:
        got = client.ask("api/har")
    assert got.status == 500 and "disk" not in got.json["error"]
    assert "disk" in caplog.text
    assert_guarded(got)


def test_replay_that_cannot_be_says_why(ring):
    def replay(exchange, replayed):
        raise BadRequest("nothing has been served yet")

    number = add(ring).number
    with served(ring, replay=replay) as client:
        got = client.post(f"exchanges/{number}/replay", {})
    assert got.status == 400 and "nothing has been served yet" in got.json["error"]


class Judged(Page):
    """A page whose every response is judged."""

    judge: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.judge(super().__call__)(environ, start_response)


@pytest.mark.parametrize("judge", [validator, lint], ids=["wsgiref", "webtest"])
def test_judges_of_wsgi_find_nothing(ring, judge):
    number = add(ring, answer=(200, [], PNG)).number
    kind = type("Judged", (Judged,), {"judge": staticmethod(judge)})
    server = PageServer(lambda token: kind(ring, token, Secrets()), "127.0.0.1:0")
    try:
        client = Client(server)
        assert client.ask("").status == 200
        assert client.ask("", "HEAD").status == 200
        image = client.ask(f"api/exchanges/{number}/bodies/response/image")
        assert (image.status, image.body) == (200, PNG)
        assert client.post("clear", {}).status == 200
        assert client.ask("api/none").status == 404
        assert client.ask("api/events", "HEAD").status == 200
        with client.opened("api/events") as stream:
            assert next_event(stream).startswith("event: state")
    finally:
        server.close()


def test_server_is_on_loopback_alone_and_finds_a_free_port(ring):
    def make(token):
        return Page(ring, token, Secrets())

    for listen in ("0.0.0.0:4040", "192.0.2.1:1", "app.example:80", "", "127.0.0.1:x", None, "a b"):
        with pytest.raises(ConfigurationError, match="listen=.*loopback"):
            PageServer(make, listen)
    first = PageServer(make, "127.0.0.1:0")
    port = Client(first).url.port
    second = PageServer(make, f"localhost:{port}")
    assert Client(second).url.port not in (None, port)
    assert len(Client(first).url.path) >= 34
    assert Client(first).url.path != Client(second).url.path
    first.close()
    first.close()
    second.close()
