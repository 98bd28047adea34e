"""A hostile page in the browser of the developer, which even knows the address with its token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from tests.observe.inspector.filled import add
from tests.support.chromium import chromium
from tests.support.devtools import Tab, tab_of
from wsgiproxy.inspector import Inspector
from wsgiproxy.observe.inspector.ring import Ring

pytestmark = pytest.mark.system("chromium")

_NAMES = "MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1"
_SECRET = "/of-the-developer"

# Each attack gives what it could read, as text. *base* is the address with the token.
ATTACKS = {
    "fetch": "fetch(base + 'api/exchanges').then(r => r.text())",
    "fetch-with-credentials": (
        "fetch(base + 'api/exchanges', {credentials: 'include'}).then(r => r.text())"
    ),
    "fetch-no-cors": "fetch(base + 'api/exchanges', {mode: 'no-cors'}).then(r => r.text())",
    "fetch-with-a-field": (
        "fetch(base + 'api/exchanges', {headers: {'X-A': 'b'}}).then(r => r.text())"
    ),
    "request": """new Promise((done, fail) => {
        const request = new XMLHttpRequest(); request.open('GET', base + 'api/exchanges');
        request.onload = () => done(request.responseText); request.onerror = fail;
        request.send(); })""",
    "events": """new Promise((done, fail) => {
        const source = new EventSource(base + 'api/events');
        source.onmessage = event => done(event.data); source.onerror = fail;
        source.addEventListener('exchanges', event => done(event.data));
        source.addEventListener('state', event => done(event.data)); })""",
    "websocket": """new Promise((done, fail) => {
        const socket = new WebSocket(base.replace('http', 'ws') + 'api/events');
        socket.onopen = () => done('open'); socket.onmessage = event => done(event.data);
        socket.onerror = fail; })""",
    "script": """new Promise((done, fail) => {
        const script = document.createElement('script'); script.src = base + 'inspector.js';
        script.onload = () => done('loaded'); script.onerror = fail;
        document.head.append(script); })""",
    "style": """new Promise((done, fail) => {
        const link = document.createElement('link'); link.rel = 'stylesheet';
        link.href = base + 'inspector.css'; link.onload = () => done('loaded');
        link.onerror = fail; document.head.append(link); })""",
    "picture": """new Promise((done, fail) => {
        const image = new Image(); image.src = base + 'icon.svg';
        image.onload = () => done('loaded'); image.onerror = fail; })""",
    "frame": """new Promise(done => {
        const frame = document.createElement('iframe'); frame.src = base;
        frame.onload = () => { let text = '';
            try { text = frame.contentDocument.documentElement.outerHTML; } catch (error) { }
            done(text); };
        document.body.append(frame); })""",
    "window": """new Promise(done => {
        const other = window.open(base);
        const end = performance.now() + 500;
        const look = () => { let text = '';
            try { text = other.document.documentElement.outerHTML; } catch (error) { }
            if (text.length < 100 && performance.now() < end) return setTimeout(look, 20);
            if (other) other.close(); done(text.length < 100 ? '' : text); };
        look(); })""",
}
CHANGES = {
    "form": """new Promise(done => {
        const frame = document.createElement('iframe'); frame.name = 'target';
        const form = document.createElement('form'); form.target = 'target';
        form.method = 'post'; form.enctype = 'text/plain'; form.action = base + 'api/clear';
        const field = document.createElement('input'); field.name = '{"a": "'; field.value = '"}';
        form.append(field); document.body.append(frame, form);
        frame.onload = () => done('posted'); form.submit(); })""",
    "post": """fetch(base + 'api/clear', {method: 'POST', mode: 'no-cors', body: '{}'})
        .then(() => 'posted')""",
    "post-json": """fetch(base + 'api/clear', {method: 'POST', body: '{}',
        headers: {'Content-Type': 'application/json'}}).then(r => r.text())""",
    "beacon": """Promise.resolve(String(navigator.sendBeacon(base + 'api/exchanges/1/replay',
        new Blob(['{}'], {type: 'text/plain'}))))""",
}


class Place(NamedTuple):
    """The browser, the inspector, and the address of the hostile page."""

    tab: Tab
    inspector: Any
    hostile: str

    def tried(self, script: str) -> str:
        """What an attack gives; the error if it fails."""
        base = json.dumps(self.inspector.url)
        return str(
            self.tab.run(
                f"(() => {{ const base = {base}; return Promise.resolve({script})"
                ".then(text => 'got ' + text, error => 'failed ' + error); })()"
            )
        )


class Hostile(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>hostile</title><body>hello")

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    inspector: Any = Inspector(lambda environ, start_response: [], listen="127.0.0.1:0")
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server,
        chromium(
            "--remote-debugging-port=0", f"--host-resolver-rules={_NAMES}", "about:blank"
        ) as browser,
        tab_of(browser) as tab,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Place(tab, inspector, f"http://evil.example:{server.server_port}/")
        finally:
            server.shutdown()
            inspector.close()


@pytest.fixture
def ring(place: Place) -> Ring:
    found: Ring = place.inspector.ring
    found.clear()
    add(found, _SECRET, answer=(200, [], b"x"))
    return found


def test_the_page_itself_can_read_and_change(place: Place, ring: Ring) -> None:
    """What the attacks below would give if nothing stood in their way."""
    place.tab.open(place.inspector.url)
    for name in ("fetch", "request"):
        assert _SECRET in place.tried(ATTACKS[name])
    for name in ("style", "picture"):
        assert place.tried(ATTACKS[name]) == "got loaded"
    assert place.tried(CHANGES["post-json"]).startswith("got {")
    assert len(ring) == 0


def test_another_origin_reads_nothing(place: Place, ring: Ring) -> None:
    place.tab.open(place.hostile)
    found = {name: place.tried(script) for name, script in ATTACKS.items()}
    read = {name: text for name, text in found.items() if not text.startswith("failed")}
    assert read == {"frame": "got ", "window": "got "}


def test_another_origin_changes_nothing(place: Place, ring: Ring) -> None:
    place.tab.open(place.hostile)
    found = {name: place.tried(script) for name, script in CHANGES.items()}
    assert found["form"] == "got posted" and found["beacon"] == "got true"
    assert found["post"].startswith("failed") and found["post-json"].startswith("failed")
    # What was sent before has been answered when this is.
    place.tab.open(place.inspector.url)
    assert _SECRET in place.tried(ATTACKS["fetch"])
    assert len(ring) == 1


def test_a_name_that_leads_here_shows_nothing(place: Place, ring: Ring) -> None:
    rebound = place.inspector.url.replace("127.0.0.1", "rebound.example")
    place.tab.open(rebound)
    assert "The host of this address" in place.tab.run("document.body.textContent")
    found = place.tried(f"fetch({json.dumps(rebound)} + 'api/exchanges').then(r => r.text())")
    assert _SECRET not in found
    # A page of that name which was there before the name began to lead here.
    answer = place.tried(
        f"fetch({json.dumps(rebound)} + 'api/state').then(r => r.status + ' ' + r.type)"
    )
    assert answer == "got 421 basic"


def test_a_link_of_another_page_shows_nothing(place: Place, ring: Ring) -> None:
    place.tab.open(place.hostile)
    place.tab.run(f"location.assign({json.dumps(place.inspector.url + 'api/exchanges')})")
    place.tab.until("!location.href.includes('evil') && document.readyState === 'complete'")
    assert _SECRET not in place.tab.run("document.documentElement.outerHTML")
