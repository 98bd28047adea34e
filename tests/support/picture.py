"""Takes the picture of the inspector, ``docs/inspector.png``: ``python -m tests.support.picture``.

It needs Chromium. The picture bears the words of its page, so that a test can tell when it shows
another one than that of today.
"""

from __future__ import annotations

import contextlib
import html
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from webob import Request

from tests.support.chromium import chromium
from tests.support.devtools import tab_of
from wsgiproxy.cli.demo import demo_application, key_file
from wsgiproxy.inspector import Inspector
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.shown import detail

_ROOT = Path(__file__).parents[2]
PATH = _ROOT / "docs" / "inspector.png"
_ASSETS = _ROOT / "wsgiproxy" / "observe" / "inspector" / "assets"
_SIZE = 1280, 860
_HOST = "http://127.0.0.1:8080/demo"
#: What the button of the demo sends.
FORGED = {
    "Accept": "text/html",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "6.6.6.6",
}
_OTHERS = ("/static/style.css", "/static/script.js", "/redirect", "/landed", "/a%2Fb//c;d?x=%zz")
_OTHERS += ("/events", "/upload")
_KEY = b"Description\0"


@contextlib.contextmanager
def shown(*, has_page: bool) -> Iterator[tuple[Inspector, Exchange]]:
    """The demo with its inspector, and the exchange of the picture."""
    with key_file() as secret_file, demo_application(lambda: None, secret_file) as application:
        inspector = Inspector(
            application, listen="127.0.0.1:0" if has_page else None, title="wsgiproxy demo"
        )
        try:
            for path in ("/", *_OTHERS):
                _ask(inspector, path, {"Accept": "text/html"})
            _ask(inspector, "/", FORGED)
            yield inspector, inspector.ring.exchanges()[-1]
        finally:
            inspector.close()


def _ask(inspector: Inspector, path: str, headers: dict[str, str]) -> None:
    client = {"REMOTE_ADDR": "127.0.0.1", "REQUEST_URI": f"/demo{path}"}
    environ = {**client, "SERVER_PROTOCOL": "HTTP/1.1"}
    response = Request.blank(_HOST + path, headers=headers, environ=environ).get_response(inspector)
    assert response.status_int < 400 and response.body is not None


def words(inspector: Inspector, exchange: Exchange) -> str:
    """What the picture has to show: words of the page, and the fields that differ, one a line."""
    page = (_ASSETS / "index.html").read_text("utf-8").partition("<dialog")[0]
    found = re.findall(r"<(?:button|span|option|h1)\b[^>]*>([^<>]+)</", page)
    differences = detail(exchange, inspector.secrets)["differences"]["request"]
    found += [f"{each['state']} {each['name']}" for each in differences]
    text = "\n".join(html.unescape(" ".join(each.split())) for each in found)
    return text.encode("ascii", "ignore").decode()  # as a picture can bear it


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a picture: type and data."""
    found, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    """The picture of such parts."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )


def description(png: bytes) -> str:
    """The words that a picture bears; empty if none."""
    texts = [data for kind, data in chunks(png) if kind == b"tEXt" and data.startswith(_KEY)]
    return texts[0].removeprefix(_KEY).decode("ascii") if texts else ""


def described(png: bytes, text: str) -> bytes:
    """The picture with words, and packed as small as zlib can."""
    parts = chunks(png)
    pixels = zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT"))
    (head,) = (part for part in parts if part[0] == b"IHDR")
    note = (b"tEXt", _KEY + text.encode("ascii"))
    return joined([head, note, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")])


def take() -> None:
    """Start the demo and its inspector, forge, and look."""
    with (
        shown(has_page=True) as (inspector, exchange),
        chromium("--remote-debugging-port=0", "about:blank") as browser,
        tab_of(browser) as tab,
        tempfile.TemporaryDirectory() as folder,
    ):
        tab.looks(*_SIZE)
        tab.open(f"{inspector.url}#{exchange.number}")
        tab.until("document.querySelector('#panel .facts')")
        tab.click("#tab-request")
        tab.until("document.querySelector('#panel table, #panel .fields')")
        tab.until("!document.querySelector('#panel [aria-busy]')")
        file = Path(folder) / "page.png"
        tab.picture(file)
        PATH.write_bytes(described(file.read_bytes(), words(inspector, exchange)))


if __name__ == "__main__":
    take()
