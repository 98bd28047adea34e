"""Our archives as a validator sees them, and what Chromium records, served again."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from webob import Request

from tests.programs.installed import npm_package
from tests.sansio.har.test_round_trip import entries
from tests.support.chromium import chromium
from tests.support.page import _address as page_address
from tests.support.rounds import FULL
from wsgiproxy.har import HarApplication, read_har
from wsgiproxy.sansio.har.entry import Entry
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.har.write import har
from wsgiproxy.sansio.secrets import Secrets

FILES = Path(__file__).parent / "sansio" / "har" / "files"

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="node or npm is not installed"
)

_VALIDATE = """
const {har} = require(process.argv[1] + "/har-validator/lib/promise");
const text = require("fs").readFileSync(0, "utf8");
har(JSON.parse(text)).then(
  () => console.log("valid"),
  (error) => console.log(JSON.stringify(error.errors || String(error))),
);
"""


def judged(archive: object) -> str:
    """What the validator of the schema says."""
    modules = npm_package("har-validator@5.1.5")
    done = subprocess.run(
        ["node", "-e", _VALIDATE, str(modules)],
        input=json.dumps(archive),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_what_we_write_is_valid() -> None:
    written: list[Entry] = []

    @settings(max_examples=1000 if FULL else 60, database=None)
    @given(entries())
    def collect(entry: Entry) -> None:
        written.append(entry)

    collect()
    for path in FILES.glob("*.har"):
        written += entries_of(path.read_bytes())
    written.append(written[0]._replace(url="http://a.example/b|c?d[]=e f&g=%zz#h#i"))
    assert judged(har(written, version="1.0")) == "valid"
    assert judged(har(written, version="1.0", mask=Secrets())) == "valid"


def test_what_is_not_valid_is_found() -> None:
    broken = har([Entry(0.0, "GET", "http://a.example/", "HTTP/1.1", [])], version="1.0")
    del broken["log"]["entries"][0]["cache"]
    assert "cache" in judged(broken)


# Chromium keeps no body of an image that is none.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PAGE = """<!DOCTYPE html><title>Grüße</title><img src="/a.png"><script>
fetch("/api?q=a%20b", {method: "POST", body: JSON.stringify({a: "€"}), headers: {"X-A": "b"}})
</script>"""
ANSWERS = {
    "/": (gzip.compress(PAGE.encode()), "text/html; charset=utf-8"),
    "/a.png": (PNG, "image/png"),
    "/api": (b'{"x": 1}', "application/json"),
}


class Site(BaseHTTPRequestHandler):
    """A page, what it loads, and what it sends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body, mime = ANSWERS.get(self.path.partition("?")[0], (b"none", "text/plain"))
        self.send_response(200)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(body)))
        if body[:2] == b"\x1f\x8b":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Vary", "Accept")
        self.send_header("Vary", "Cookie")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.skipif(not FULL, reason="a browser belongs to the long form (WSGIPROXY_FULL)")
@pytest.mark.system("chromium")
def test_what_chromium_has_recorded_is_served_again(tmp_path: Path) -> None:
    capturer = npm_package("chrome-har-capturer@0.14.4") / "chrome-har-capturer" / "bin" / "cli.js"
    path = tmp_path / "chromium.har"
    with site() as url, chromium("--remote-debugging-port=0", "about:blank") as browser:
        port = urlsplit(page_address(browser)).port
        command = ["node", str(capturer), "-t", "127.0.0.1", "-p", str(port), "-c"]
        command += ["-g", "1000", "-o", str(path), url]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    application = HarApplication(path)
    assert Request.blank("/").get_response(application).text == PAGE
    assert Request.blank("/a.png").get_response(application).body == PNG
    asked = Request.blank("/api?q=a%20b", method="POST", body='{"a":"€"}'.encode())
    assert asked.get_response(application).json == {"x": 1}
    asked.body = b"{}"
    assert asked.get_response(application).status_int == 502
    assert judged(har(read_har(path), version="1.0")) == "valid"
