"""The demo: real servers, one process, what the backend knows, and the inspector beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from tests.cli.command import request_bytes, running
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from wsgiproxy.cli import main
from wsgiproxy.cli.demo import (
    asgi_demo_application,
    demo_application,
    in_background,
    key_file,
    pages,
)
from wsgiproxy.cli.listen import Listen, open_listener

pytestmark = pytest.mark.in_turns(2, "server")

ANYWHERE = ["--listen", "127.0.0.1:0", "--inspect-at", "127.0.0.1:0"]
JSON = ("Accept", "application/json")
BROWSER = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")


class Running(NamedTuple):
    """A demo, and what lets its event stream go on."""

    port: int
    next_event: threading.Semaphore
    secret_file: str

    def ask(self, line: str, *headers: tuple[str, str], body: bytes = b""):
        request = request_bytes(line, list(headers), body, host=f"127.0.0.1:{self.port}")
        return raw_exchange(self.port, request)

    def json(self, line: str, *headers: tuple[str, str], body: bytes = b""):
        response = self.ask(line, JSON, *headers, body=body)
        assert (response.status, response.values("Content-Type")) == (200, ["application/json"])
        return json.loads(response.body)

    def html(self, line: str, *headers: tuple[str, str], body: bytes = b"") -> str:
        response = self.ask(line, BROWSER, *headers, body=body)
        assert response.status == 200
        assert response.values("Content-Type") == ["text/html; charset=utf-8"]
        return response.body.decode()


@contextlib.contextmanager
def started() -> Iterator[Running]:
    next_event = threading.Semaphore(0)
    with (
        key_file() as secret_file,
        demo_application(partial(next_event.acquire, timeout=10), secret_file) as application,
        open_listener(Listen("127.0.0.1", 0)) as listener,
        in_background(application, listener),
    ):
        yield Running(listener.getsockname()[1], next_event, secret_file)


@contextlib.contextmanager
def started_asgi() -> Iterator[Running]:
    pytest.importorskip("uvicorn")
    from wsgiproxy.cli.demo.asgi_backend import asgi_in_background

    next_event = threading.Semaphore(0)
    with (
        key_file() as secret_file,
        asgi_demo_application(partial(next_event.acquire, timeout=10), secret_file) as application,
        open_listener(Listen("127.0.0.1", 0)) as listener,
        asgi_in_background(application, listener),
    ):
        yield Running(listener.getsockname()[1], next_event, secret_file)


@pytest.fixture(scope="module", params=[started, started_asgi], ids=["wsgi", "asgi"])
def demo(request: pytest.FixtureRequest) -> Iterator[Running]:
    with request.param() as running_demo:
        yield running_demo


class Tags(HTMLParser):
    """The start tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# -- what the backend knows ------------------------------------------------------------


def test_what_the_backend_received_and_knows(demo):
    said = demo.json("GET /demo/?a=b", ("X-Mine", "1"))
    backend = said["backend_received"]
    assert (backend["method"], backend["target"]) == ("GET", "/?a=b")
    assert backend["headers"]["X-Mine"] == "1"
    assert backend["headers"]["X-Forwarded-Prefix"] == "/demo"
    knows = said["backend_knows"]
    assert knows.pop("carried").keys() == {"request"}
    assert knows == {
        "public_url": f"http://127.0.0.1:{demo.port}/demo/?a=b",
        "prefix": "/demo",
        "client_address": "127.0.0.1",
        "key": "demo",
    }
    assert said["backend_would_know"] == {
        "public_url": f"http://{backend['headers']['Host']}/?a=b",
        "prefix": "",
        "client_address": "127.0.0.1",
    }


def test_requests_are_signed_and_the_page_says_so(demo):
    said = demo.json("GET /demo/")
    fields = said["backend_received"]["headers"]
    assert {"Wsgiproxy", "Signature", "Signature-Input"} <= set(fields)
    page = demo.html("GET /demo/")
    (proof,) = re.findall(r'<section id="facts".*?</section>', page, re.DOTALL)
    for shown in (
        f"<code>http://127.0.0.1:{demo.port}/demo/</code>",
        f'<code class="quiet">http://{fields["Host"]}/</code>',
        "<code>demo</code>",
    ):
        assert shown in proof
    assert re.search(r"demo\.front = {&quot;request&quot;: \d+}", proof)


def test_each_request_has_a_number_of_its_own(demo):
    first, second = (demo.json("GET /demo/")["backend_knows"]["carried"] for _ in range(2))
    assert second["request"] > first["request"]


def test_the_backend_refuses_unsigned_requests(demo):
    host = demo.json("GET /demo/")["backend_received"]["headers"]["Host"]
    port = int(host.rpartition(":")[2])
    assert raw_exchange(port, request_bytes("GET /", host=host)).status == 403


def test_doctor_says_healthy(demo, capsys):
    url = f"http://127.0.0.1:{demo.port}/demo/"
    assert main(["doctor", url, "--secret-file", demo.secret_file]) == 0
    assert capsys.readouterr().out.endswith("\nHealthy; one thing is worth a look.\n")


def test_the_backend_knows_better_than_forged_fields(demo):
    forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"),
        ("Connection", "x-secret"),
        ("X-Secret", "1"),
    ]
    said = demo.json("GET /demo/", *forged)
    assert "6.6.6.6" not in json.dumps(said["backend_received"])
    assert "X-Secret" not in said["backend_received"]["headers"]
    assert said["backend_knows"]["client_address"] == "127.0.0.1"


# -- how it is said --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param([BROWSER], "text/html; charset=utf-8", id="browser"),
        pytest.param([JSON], "application/json", id="json"),
        pytest.param([("Accept", "*/*")], "application/json", id="curl"),
        pytest.param([], "application/json", id="nothing"),
        pytest.param([("Accept", "image/png")], "application/json", id="neither"),
        pytest.param(
            [("Accept", "application/json;q=0.5, text/html")], "text/html; charset=utf-8", id="q"
        ),
    ],
)
def test_accept(accept, kind, demo):
    response = demo.ask("GET /demo/", *accept)
    assert response.values("Content-Type") == [kind]
    assert response.values("Vary") == ["Accept"]
    assert response.values("Cache-Control") == ["no-store"]


NASTY = """"><script>alert(1)</script><img src=x onerror='a'>$prefix &amp; {x}"""


def test_values_of_a_request_are_escaped(demo):
    page = demo.html(f"GET /demo/?<script>$x'&{NASTY.replace(' ', '')}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "$prefix&amp;amp;{x}" in page
    tags = Tags(page).found
    assert [attributes for tag, attributes in tags if tag == "script"] == [
        {"src": "/demo/static/script.js", "defer": None}
    ]
    assert not [tag for tag, _ in tags if tag in ("img", "style")]
    names = {name for _, attributes in tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}


@pytest.mark.parametrize("path", ["/", "/events", "/upload", "/landed", "/a%2Fb//c;d?x=%zz"])
def test_pages_are_whole_and_load_nothing_from_elsewhere(path, demo):
    page = demo.html(f"GET /demo{path}")
    tags = Tags(page).found
    assert ("html", {"lang": "en"}) in tags
    links = [a[name] for _, a in tags for name in ("href", "src", "action") if name in a]
    assert links and all(link.startswith(("/demo/", "#")) for link in links)
    assert "$" not in page
    assert len([tag for tag, _ in tags if tag == "h1"]) == 1
    assert len([tag for tag, a in tags if "aria-current" in a]) == 1


def test_the_policy_allows_nothing_inline(demo):
    policy = demo.ask("GET /demo/", BROWSER).values("Content-Security-Policy")[0]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("script.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_static_files(name, kind, demo):
    response = demo.ask(f"GET /demo/static/{name}")
    assert response.status == 200
    assert response.values("Content-Type")[0].partition(";")[0] == kind
    assert response.body.decode() == pages.resource(name)


@pytest.mark.parametrize("name", ["", "page.html", "../__init__.py", "%2e%2e/__init__.py"])
def test_no_other_files(name, demo):
    assert demo.ask(f"GET /demo/static/{name}").status in (400, 404)


def test_outside_the_mount(demo):
    assert demo.ask("GET /demonstration").status == 404
    assert demo.ask("GET /").values("Location") == ["/demo/"]
    assert demo.ask("GET /demo?q").values("Location") == ["/demo/?q"]
    assert demo.json("GET /demo/")["backend_received"]["target"] == "/"


# -- the other pages -------------------------------------------------------------------


def test_a_path_arrives_byte_for_byte(demo):
    said = demo.json("GET /demo/a%2Fb//c;d?x=%zz")
    assert said["backend_received"]["target"] == "/a%2Fb//c;d?x=%zz"
    page = demo.html("GET /demo/a%2Fb//c;d?x=%zz")
    assert "<h1>A path, byte for byte</h1>" in page
    assert "<mark>/demo</mark>/a%2Fb//c;d?x=%zz " in page


def test_a_redirect_to_the_backend_comes_back_to_the_public_address(demo):
    response = demo.ask("GET /demo/redirect", JSON)
    assert response.status == 302
    (location,) = response.values("Location")
    assert location == f"http://127.0.0.1:{demo.port}/demo/landed"
    said = json.loads(response.body)["said"]
    assert said.endswith("/landed") and str(demo.port) not in said
    landed = demo.json("GET /demo/landed")
    assert landed == {"backend_said": said, "client_got": location}
    page = demo.html("GET /demo/landed")
    assert f"Location: {said}<" in page and f"Location: {location}<" in page


@pytest.mark.parametrize(
    ("accept", "start"),
    [
        pytest.param("text/event-stream", b'data: {"event": %d,', id="event-stream"),
        pytest.param("*/*", b'data: {"event": %d,', id="curl"),
        pytest.param("application/json", b'{"event": %d,', id="json"),
    ],
)
def test_events_arrive_one_by_one(accept, start, demo):
    """The backend may go on only after the client has read what it has sent."""
    request = request_bytes("GET /demo/events", [("Accept", accept)])
    with RawClient(demo.port) as client:
        client.send(request)
        assert b"200 OK" in client.read_until(b"\r\n\r\n")
        for number in range(1, 11):
            client.read_until(start % number)
            assert b'"event": %d,' % (number + 1) not in client.received
            demo.next_event.release()
        demo.next_event.acquire()  # there is no pause after the last one
        client.read_until(b"0\r\n\r\n")


def test_an_upload_is_measured(demo):
    body = bytes(range(256)) * 4096
    (arrived,) = demo.json("PUT /demo/upload", body=body)["arrived"]
    assert arrived["size"] == len(body)
    assert arrived["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_form_with_files(demo):
    part = '--B\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n\r\n{}\r\n'
    body = (part.format("<b>.txt", "hello") + part.format("2.txt", "") + "--B--\r\n").encode()
    kind = ("Content-Type", "multipart/form-data; boundary=B")
    page = demo.html("POST /demo/upload", kind, body=body)
    assert "&lt;b&gt;.txt" in page
    assert hashlib.sha256(b"hello").hexdigest() in page
    said = demo.json("POST /demo/upload", kind, body=body)
    assert [(file["name"], file["size"]) for file in said["arrived"]] == [
        ("<b>.txt", 5),
        ("2.txt", 0),
    ]


def test_a_form_without_a_file(demo):
    body = b'--B\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--B--\r\n'
    kind = ("Content-Type", "multipart/form-data; boundary=B")
    assert demo.json("POST /demo/upload", kind, body=body) == {"arrived": []}


# -- the command -----------------------------------------------------------------------


@pytest.mark.parametrize("server", ["uvicorn", "waitress"])
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    ids=["ctrl-c", "sigterm", "closed-terminal"],
)
def test_the_command_prints_its_addresses_and_ends_with_0(number, server):
    pytest.importorskip(server)
    with running("demo", *ANYWHERE, "--server", server) as command:
        inspector = re.fullmatch(r"Inspect it at (http://127\.0\.0\.1:\d+/\S+/)\n", command.line())
        first, second = command.line(), command.line()
        url = re.search(r"http://127\.0\.0\.1:\d+/demo/", first)
        assert url and first == f"Open {url[0]} in a browser, or ask for JSON:\n"
        assert second == f"  curl -H 'X-Forwarded-For: 6.6.6.6' {url[0]}\n"
        assert "doctor" in command.line()
        line = command.line().split()
        assert line[:4] == ["wsgiproxy", "doctor", url[0], "--secret-file"]
        secret = Path(line[4])
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert inspector
        inspected(url[0], inspector[1])
        until(lambda: " GET '/demo/' 200 " in command.stderr, "a line in the log")
        assert command.end(number) == 0
        assert not secret.parent.exists()
        assert not command.left_over()
        assert len(command.stderr.splitlines()) == 2


def inspected(url: str, inspector: str) -> None:
    """Ask the demo once, with a forged field, and look at both sides in the inspector."""
    port = int(url.split(":")[2].split("/")[0])
    forged = [("X-Forwarded-For", "6.6.6.6"), BROWSER]
    answer = raw_exchange(port, request_bytes("GET /demo/", forged))
    assert answer.status == 200
    # No page of the demo tells where the inspector is.
    token = inspector.split("/")[3]
    assert token not in answer.body.decode() and token not in str(answer.headers)
    assert raw_exchange(port, request_bytes(f"GET /{token}/")).status == 404
    with urlopen(f"{inspector}api/exchanges/1", timeout=10) as response:
        shown = json.load(response)
    text = json.dumps(shown, ensure_ascii=False)
    assert "6.6.6.6" in text and "The client may not say this." in text


@pytest.mark.system("chromium")
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        pytest.param("/", ["<mark>/demo</mark>/ ", "The backend knows"], id="request"),
        pytest.param("/redirect", ["You were redirected", "/demo/landed"], id="redirect"),
        pytest.param("/events", ["Event 1 of 10", "Event 10 of 10"], id="events"),
    ],
)
def test_in_a_browser(path, wanted):
    chromium = shutil.which("chromium")
    assert chromium
    with (
        # Its path is short, as that of a Unix socket has to be.
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running("demo", *ANYWHERE) as command,
    ):
        command.line()  # the inspector's address
        url = command.url().rstrip("/") + path
        dom = subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}",
                "--virtual-time-budget=20000", "--dump-dom", url,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, text=True, check=True,
            env={**os.environ, "TMPDIR": folder},  # where it leaves a folder of its own
        ).stdout  # fmt: skip
        assert command.end() == 0  # or it would leave its key file behind
    for text in wanted:
        assert text in dom
